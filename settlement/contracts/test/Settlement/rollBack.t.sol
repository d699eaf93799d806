// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Header, QueueEntry, SettlementErrors, SettlementEvents, Stamp} from "../lib/Fixture.sol";
import {ExitFixture} from "../lib/ExitFixture.sol";

contract RollBackTest is ExitFixture {
    /// Batch 1 is final, 2 is not.
    function freezeWithOpenBatch() private returns (Header memory finalHeader, Stamp memory finalStamp) {
        (finalHeader, finalStamp) = (header, stamp);
        finalizeTip();
        deposit(ALICE, USD, 500);
        has[USD][1] += 500;
        commitBalances();
        QueueEntry memory entry = force(ALICE, USD);
        beSilent();
        settlement.freeze(entry);
    }

    function test_GoesBackToTheLastFinalBatch() public {
        (Header memory finalHeader, Stamp memory finalStamp) = freezeWithOpenBatch();
        vm.expectEmit();
        emit SettlementEvents.RolledBack(1, finalHeader.newRoot, 3);
        settlement.rollBack(finalHeader, finalStamp);
        (uint64 batchId, uint64 lastSequence, uint64 queueUpTo, uint64 lastTime, uint64 finalBatch) = settlement.tip();
        assertEq(batchId, 1, "batch");
        assertEq(finalBatch, 1, "final");
        assertEq(lastSequence, 10, "sequence");
        assertEq(queueUpTo, 3, "queue");
        assertEq(lastTime, finalHeader.lastTime, "time");
        assertEq(settlement.tipRoot(), finalHeader.newRoot, "root");
        // What came after it counts no more.
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.UnknownBatch.selector, 2));
        settlement.requireBatch(header, stamp);
    }

    function test_GoesBackToNothingWhereNothingIsFinal() public {
        QueueEntry memory entry = force(ALICE, USD);
        beSilent();
        settlement.freeze(entry);
        settlement.rollBack(header, stamp);
        (uint64 batchId, uint64 lastSequence, uint64 queueUpTo, uint64 lastTime,) = settlement.tip();
        assertEq(batchId + lastSequence + queueUpTo + lastTime, 0, "nothing");
        assertEq(settlement.tipRoot(), keccak256(new bytes(64)), "root of no lines");
    }

    function test_RevertWhen_NotFrozen() public {
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotFrozen.selector));
        settlement.rollBack(header, stamp);
    }

    function test_RevertWhen_Twice() public {
        (Header memory finalHeader, Stamp memory finalStamp) = freezeWithOpenBatch();
        settlement.rollBack(finalHeader, finalStamp);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.AlreadyRolledBack.selector));
        settlement.rollBack(finalHeader, finalStamp);
    }

    function test_RevertWhen_NotFinal() public {
        freezeWithOpenBatch();
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotFinal.selector, 2));
        settlement.rollBack(header, stamp);
    }

    function test_RevertWhen_UnknownBatch() public {
        (Header memory finalHeader, Stamp memory finalStamp) = freezeWithOpenBatch();
        finalHeader.newRoot = bytes32(uint256(1));
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.UnknownBatch.selector, 1));
        settlement.rollBack(finalHeader, finalStamp);
    }
}
