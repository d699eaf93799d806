// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Line, Batch, Header, QueueEntry, SettlementErrors, SettlementEvents, Stamp} from "../lib/Fixture.sol";
import {WatchFixture} from "../lib/WatchFixture.sol";
import {Watchers} from "../../src/Watchers.sol";

contract VetoTest is WatchFixture {
    function refusedVeto(address watcher, uint64 batchId, bytes memory reason) private {
        vm.prank(watcher);
        vm.expectRevert(reason);
        vetoNow(batchId, headers[batchId].firstSequence);
    }

    function test_EnoughDropTheBatchAndAllAfterIt() public {
        veto(WATCHER_A, 2);
        (uint64 batchId,,,,) = settlement.tip();
        assertEq(batchId, 3, "one is not enough");
        vm.prank(WATCHER_C);
        vm.expectEmit();
        emit SettlementEvents.BatchDropped(2, keccak256(abi.encode(headers[2])));
        vetoNow(2, 17);
        uint64 lastSequence;
        uint64 queueUpTo;
        uint64 lastTime;
        (batchId, lastSequence, queueUpTo, lastTime,) = settlement.tip();
        assertEq(batchId, 1, "batch");
        assertEq(lastSequence, 10, "sequence");
        assertEq(queueUpTo, 3, "queue");
        assertEq(lastTime, headers[1].lastTime, "time");
        assertEq(settlement.tipRoot(), headers[1].newRoot, "root");
        assertEq(settlement.vetoes(), 1, "counted");
        assertTrue(settlement.hasPendingDeposits(USD), "deposits wait again");
        // Both are gone: neither becomes final.
        waitForWindow();
        for (uint256 dropped = 2; dropped <= 3; ++dropped) {
            vm.expectRevert(abi.encodeWithSelector(SettlementErrors.UnknownBatch.selector, dropped));
            settlement.finalize(headers[dropped], stamps[dropped]);
        }
    }

    function test_TheSameRangeMayBeCommittedAgain() public {
        drop(2);
        has[USD][1] -= 500;
        has[USD][2] += 500;
        commitBalances();
        (uint64 batchId, uint64 lastSequence, uint64 queueUpTo,,) = settlement.tip();
        assertEq(batchId, 2, "batch");
        assertEq(lastSequence, 20, "sequence");
        assertEq(queueUpTo, 5, "queue");
        finalizeTip();
        assertTrue(!settlement.hasPendingDeposits(USD), "all consumed");
    }

    /// Whoever commits the very same batch again, in the block in which it was dropped, gains nothing by it.
    function test_TheSameBatchInTheSameBlockIsVotedOnAnew() public {
        drop(2);
        commitBalances();
        remember(2);
        bytes32 first = settlement.batchHash(2);
        drop(2);
        commitBalances();
        remember(2);
        assertEq(settlement.batchHash(2), first, "the very same");
        drop(2);
        assertEq(settlement.vetoes(), 3, "each counts");
        (uint64 tip,,,,) = settlement.tip();
        assertEq(tip, 1, "and it is gone");
    }

    function test_TheFirstBatchOfAllCanBeDropped() public {
        WatchFixtureOfOne one = new WatchFixtureOfOne();
        one.setUp();
        one.checkFirstBatchDropped();
    }

    /// Watchers who have to drop batches three times say that something is badly wrong: anybody may end it.
    function test_TheThirdVetoLetsAnybodyFreeze() public {
        QueueEntry memory any;
        for (uint256 i = 1; i <= 3; ++i) {
            drop(2);
            assertEq(settlement.vetoes(), i, "counted");
            if (i == 3) break;
            vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotOldest.selector, 4, 0));
            settlement.freeze(any);
            vm.warp(stamps[2].time + 60);
            vm.roll(stamps[2].blockNumber + 5);
            commitBalances();
            remember(2);
        }
        vm.expectEmit();
        emit SettlementEvents.VenueFrozen(2);
        settlement.freeze(any);
        assertTrue(settlement.frozen(), "frozen");
    }

    function test_RevertWhen_NotWatcher() public {
        vm.deal(ALICE, VETO_BOND);
        refusedVeto(ALICE, 3, abi.encodeWithSelector(Watchers.NotWatcher.selector, ALICE));
    }

    function test_RevertWhen_WrongBond() public {
        vm.prank(WATCHER_A);
        vm.expectRevert(abi.encodeWithSelector(Watchers.WrongBond.selector, VETO_BOND, VETO_BOND - 1));
        watchers.veto{value: VETO_BOND - 1}(headers[3], stamps[3], headers[2], stamps[2], packed(linesOf[2]), 25);
    }

    function test_RevertWhen_VetoedBefore() public {
        veto(WATCHER_A, 3);
        refusedVeto(WATCHER_A, 3, abi.encodeWithSelector(Watchers.VetoedBefore.selector, WATCHER_A));
    }

    function test_RevertWhen_SequenceBeforeTheBatch() public {
        vm.prank(WATCHER_A);
        vm.expectRevert(abi.encodeWithSelector(Watchers.WrongSequence.selector, 20));
        vetoNow(3, 20);
    }

    function test_RevertWhen_SequenceAfterTheBatch() public {
        vm.prank(WATCHER_A);
        vm.expectRevert(abi.encodeWithSelector(Watchers.WrongSequence.selector, 31));
        vetoNow(3, 31);
    }

    function test_RevertWhen_Final() public {
        headers[0] = headers[1];
        bytes memory reason = abi.encodeWithSelector(SettlementErrors.AlreadyFinal.selector, 1);
        refusedVeto(WATCHER_A, 1, reason);
    }

    /// Both of seconds and blocks have to be over.
    function test_RevertWhen_WindowOver() public {
        vm.warp(stamps[3].time + WINDOW_SECONDS);
        veto(WATCHER_A, 3);
        vm.roll(stamps[3].blockNumber + WINDOW_BLOCKS);
        refusedVeto(WATCHER_B, 3, abi.encodeWithSelector(SettlementErrors.WindowOver.selector, 3));
    }

    function test_RevertWhen_UnknownBatch() public {
        headers[3].newRoot = bytes32(uint256(1));
        refusedVeto(WATCHER_A, 3, abi.encodeWithSelector(SettlementErrors.UnknownBatch.selector, 3));
    }

    function test_RevertWhen_Frozen() public {
        settlement.setFrozen();
        refusedVeto(WATCHER_A, 3, abi.encodeWithSelector(SettlementErrors.Frozen.selector));
    }

    function test_RevertWhen_WrongLines() public {
        veto(WATCHER_A, 3);
        linesOf[2][USD].sum += 1;
        vm.prank(WATCHER_B);
        vm.expectPartialRevert(SettlementErrors.WrongLines.selector);
        vetoNow(3, 25);
    }

    function test_RevertWhen_UnknownPredecessor() public {
        veto(WATCHER_A, 3);
        headers[2].queueUpTo += 1;
        refusedVeto(WATCHER_B, 3, abi.encodeWithSelector(SettlementErrors.UnknownBatch.selector, 2));
    }

    function test_RevertWhen_WrongPredecessor() public {
        veto(WATCHER_A, 3);
        (headers[2], stamps[2]) = (headers[1], stamps[1]);
        refusedVeto(WATCHER_B, 3, abi.encodeWithSelector(SettlementErrors.WrongPredecessor.selector, 1));
    }

    function test_RevertWhen_SomebodyElseDrops() public {
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotWatchers.selector, ALICE));
        settlement.drop(headers[3], stamps[3], headers[2], stamps[2], packed(linesOf[2]));
    }

    function test_RevertWhen_DroppingWhatIsFinal() public {
        vm.prank(address(watchers));
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.AlreadyFinal.selector, 1));
        settlement.drop(headers[1], stamps[1], headers[1], stamps[1], packed(linesOf[0]));
    }
}

/// A venue whose first batch is still open.
contract WatchFixtureOfOne is WatchFixture {
    function setUp() public override {
        super.setUp();
    }

    function checkFirstBatchDropped() external {
        // Another venue, before its first window is over.
        Header memory none;
        settlement = deploy(setup());
        watchers = settlement.watchers();
        delete tipLines;
        Batch memory b = nextBatch();
        Stamp memory s = commit(b);
        Line[] memory empty;
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(i == 0 ? WATCHER_A : WATCHER_B);
            watchers.veto{value: VETO_BOND}(b.header, s, none, s, packed(empty), 1);
        }
        (uint64 batchId, uint64 lastSequence, uint64 queueUpTo, uint64 lastTime,) = settlement.tip();
        assertEq(batchId + lastSequence + queueUpTo + lastTime, 0, "back at the beginning");
        assertEq(settlement.tipRoot(), keccak256(new bytes(64)), "root of no lines");
    }
}
