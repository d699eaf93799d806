// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Batch, QueueEntry, SettlementErrors, SettlementEvents} from "../lib/Fixture.sol";
import {DemoToken} from "../../src/dev/DemoToken.sol";
import {ExitFixture} from "../lib/ExitFixture.sol";

contract FreezeTest is ExitFixture {
    function refusedFreeze(QueueEntry memory entry, bytes memory reason) private {
        vm.expectRevert(reason);
        settlement.freeze(entry);
    }

    function test_AfterAWeekOfSilence() public {
        QueueEntry memory entry = force(ALICE, USD);
        beSilent();
        vm.expectEmit();
        emit SettlementEvents.VenueFrozen(1);
        settlement.freeze(entry);
        assertTrue(settlement.frozen(), "frozen");
    }

    /// Neither the operator nor the administrator nor time brings it back, and it is frozen once.
    function test_FrozenIsForEver() public {
        finalizeTip();
        Batch memory b = balancesBatch();
        QueueEntry memory entry = force(ALICE, USD);
        vm.prank(ADMINISTRATOR);
        keys.announce(BOB, BOB);
        beSilent();
        settlement.freeze(entry);
        refused(b, abi.encodeWithSelector(SettlementErrors.Frozen.selector));
        settlement.rollBack(header, stamp);
        refused(b, abi.encodeWithSelector(SettlementErrors.Frozen.selector));
        vm.warp(block.timestamp + 3650 days);
        keys.rotate();
        list(new DemoToken("Late", "LATE", 6), 1);
        vm.prank(ADMINISTRATOR);
        settlement.setLimits(USD, 1, CAP);
        settlement.collectFees();
        assertTrue(settlement.frozen(), "it came back");
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.Frozen.selector));
        settlement.finalize(header, stamp);
        refusedFreeze(entry, abi.encodeWithSelector(SettlementErrors.Frozen.selector));
    }

    function test_RevertWhen_TooEarly() public {
        QueueEntry memory entry = force(ALICE, USD);
        uint64 from = entry.time + 7 days;
        vm.roll(block.number + FREEZE_BLOCKS);
        vm.warp(from - 1);
        refusedFreeze(entry, abi.encodeWithSelector(SettlementErrors.TooEarly.selector, from));
        vm.warp(from);
        settlement.freeze(entry);
    }

    function test_RevertWhen_TooFewBlocks() public {
        QueueEntry memory entry = force(ALICE, USD);
        uint64 from = uint64(block.number) + FREEZE_BLOCKS;
        vm.warp(block.timestamp + 7 days);
        vm.roll(from - 1);
        refusedFreeze(entry, abi.encodeWithSelector(SettlementErrors.TooFewBlocks.selector, from));
        vm.roll(from);
        settlement.freeze(entry);
    }

    /// The clock's entry was consumed and later ones were not: it has to be started again, and counts from then on.
    function test_RevertWhen_NoClockRuns() public {
        force(ALICE, USD);
        QueueEntry memory second = force(BOB, USD);
        // A batch consumes the first entry only.
        consumeUpTo(4);
        beSilent();
        refusedFreeze(second, abi.encodeWithSelector(SettlementErrors.TooFewBlocks.selector, type(uint64).max));
        vm.expectEmit();
        emit SettlementEvents.FreezeClockStarted(5, uint64(block.number));
        settlement.startFreezeClock();
        vm.roll(block.number + FREEZE_BLOCKS);
        settlement.freeze(second);
    }

    function consumeUpTo(uint64 queueId) private {
        Batch memory b = nextBatch();
        b.header.queueUpTo = queueId;
        b.header.queuePrefix = settlement.queuePrefix(queueId);
        commit(b);
    }

    function test_RevertWhen_ClockRunning() public {
        force(ALICE, USD);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.ClockRunning.selector, 4));
        settlement.startFreezeClock();
    }

    function test_RevertWhen_QueueEmpty() public {
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.QueueEmpty.selector));
        settlement.startFreezeClock();
    }

    function test_RevertWhen_ClockOfAFrozenVenue() public {
        force(ALICE, USD);
        settlement.setFrozen();
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.Frozen.selector));
        settlement.startFreezeClock();
    }

    function test_RevertWhen_NotOldest() public {
        force(ALICE, USD);
        QueueEntry memory second = force(BOB, USD);
        beSilent();
        refusedFreeze(second, abi.encodeWithSelector(SettlementErrors.NotOldest.selector, 4, 5));
    }

    function test_RevertWhen_WrongEntry() public {
        QueueEntry memory entry = force(ALICE, USD);
        beSilent();
        entry.time -= 1;
        refusedFreeze(entry, abi.encodeWithSelector(SettlementErrors.WrongEntry.selector, 4));
        entry.queueId = 0;
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.WrongEntry.selector, 0));
        settlement.requireEntry(entry);
    }

    /// Frozen is for ever, and nothing goes on but leaving.
    function test_RevertWhen_Frozen() public {
        QueueEntry memory entry = force(ALICE, USD);
        beSilent();
        settlement.freeze(entry);
        bytes memory frozen = abi.encodeWithSelector(SettlementErrors.Frozen.selector);
        refusedFreeze(entry, frozen);
        refused(nextBatch(), frozen);
    }

    function test_RevertWhen_NoProof() public {
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotProofs.selector, ALICE));
        vm.prank(ALICE);
        settlement.freezeForProof();
    }

    function test_RevertWhen_ProvedTwice() public {
        settlement.setFrozen();
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.Frozen.selector));
        vm.prank(address(proofs));
        settlement.freezeForProof();
    }
}
