// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Exits} from "../../src/Exits.sol";
import {QueueEntry, SettlementErrors} from "../lib/Fixture.sol";
import {ExitFixture} from "../lib/ExitFixture.sol";

contract ReclaimDepositTest is ExitFixture {
    QueueEntry internal first;
    QueueEntry internal late;

    function setUp() public override {
        super.setUp();
        // As setUp has made it, in the same block.
        first = depositEntry(1, ALICE, USD, 5_000);
        finalizeTip();
        deposit(ALICE, USD, 250);
        late = depositEntry(4, ALICE, USD, 250);
        force(BOB, ETH);
        beSilent();
        settlement.freeze(late);
        settlement.rollBack(header, stamp);
    }

    function setUpTime() private pure returns (uint64) {
        return 1_800_000_000;
    }

    function refusedReclaim(QueueEntry memory entry, bytes memory reason) private {
        vm.expectRevert(reason);
        exits.reclaimDeposit(entry);
    }

    function test_ComesBackOnce() public {
        vm.expectEmit();
        emit Exits.DepositReclaimed(4, USD, ALICE, 250);
        exits.reclaimDeposit(late);
        assertEq(usd.balanceOf(ALICE), 250, "back");
        assertTrue(exits.isReclaimed(4), "remembered");
        refusedReclaim(late, abi.encodeWithSelector(Exits.AlreadyReclaimed.selector, 4));
    }

    function test_RevertWhen_Consumed() public {
        first.time = setUpTime();
        refusedReclaim(first, abi.encodeWithSelector(Exits.NotReclaimable.selector, 1));
    }

    function test_RevertWhen_NoDeposit() public {
        QueueEntry memory forced = late;
        (,, uint64 length) = settlement.counts();
        forced.queueId = length;
        forced.kind = 5;
        (forced.account, forced.asset, forced.amount, forced.extra) = (2, ETH, 0, 0);
        refusedReclaim(forced, abi.encodeWithSelector(Exits.NotReclaimable.selector, length));
    }

    function test_RevertWhen_WrongEntry() public {
        late.amount += 1;
        refusedReclaim(late, abi.encodeWithSelector(SettlementErrors.WrongEntry.selector, 4));
    }
}

contract ReclaimDepositEarlyTest is ExitFixture {
    function test_RevertWhen_NotRolledBack() public {
        deposit(ALICE, USD, 250);
        QueueEntry memory late = depositEntry(4, ALICE, USD, 250);
        vm.expectRevert(abi.encodeWithSelector(Exits.NotRolledBack.selector));
        exits.reclaimDeposit(late);
    }
}
