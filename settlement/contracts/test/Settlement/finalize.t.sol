// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Fixture, Header, SettlementErrors, SettlementEvents, Stamp} from "../lib/Fixture.sol";

contract FinalizeTest is Fixture {
    Header internal header;
    Stamp internal stamp;

    function setUp() public override {
        super.setUp();
        (header, stamp) = commitNext();
    }

    function refusedFinal(Header memory h, Stamp memory s, bytes memory reason) private {
        vm.expectRevert(reason);
        settlement.finalize(h, s);
    }

    function finalBatch() private view returns (uint64 batchId) {
        (,,,, batchId) = settlement.tip();
    }

    function test_MakesAllUpToTheBatchFinal() public {
        (Header memory second, Stamp memory secondStamp) = commitNext();
        commitNext();
        waitForWindow();
        vm.expectEmit();
        emit SettlementEvents.BatchFinal(2);
        settlement.finalize(second, secondStamp);
        assertEq(finalBatch(), 2, "final");
        refusedFinal(header, stamp, abi.encodeWithSelector(SettlementErrors.AlreadyFinal.selector, 1));
    }

    function test_RevertWhen_Frozen() public {
        waitForWindow();
        settlement.setFrozen();
        refusedFinal(header, stamp, abi.encodeWithSelector(SettlementErrors.Frozen.selector));
    }

    function test_RevertWhen_AlreadyFinal() public {
        waitForWindow();
        settlement.finalize(header, stamp);
        refusedFinal(header, stamp, abi.encodeWithSelector(SettlementErrors.AlreadyFinal.selector, 1));
    }

    function test_RevertWhen_UnknownBatch() public {
        waitForWindow();
        bytes memory unknown = abi.encodeWithSelector(SettlementErrors.UnknownBatch.selector, 1);
        Header memory other = header;
        other.newRoot = bytes32(uint256(1));
        refusedFinal(other, stamp, unknown);
        refusedFinal(header, Stamp(stamp.time - 1, stamp.blockNumber), unknown);
        refusedFinal(header, Stamp(stamp.time, stamp.blockNumber - 1), unknown);
        other = header;
        other.batchId = 2;
        refusedFinal(other, stamp, abi.encodeWithSelector(SettlementErrors.UnknownBatch.selector, 2));
    }

    function test_RevertWhen_WindowOpen_Seconds() public {
        vm.warp(block.timestamp + WINDOW_SECONDS - 1);
        vm.roll(block.number + WINDOW_BLOCKS);
        refusedFinal(header, stamp, abi.encodeWithSelector(SettlementErrors.WindowOpen.selector, 1));
        vm.warp(block.timestamp + 1);
        settlement.finalize(header, stamp);
    }

    function test_RevertWhen_WindowOpen_Blocks() public {
        vm.warp(block.timestamp + WINDOW_SECONDS);
        vm.roll(block.number + WINDOW_BLOCKS - 1);
        refusedFinal(header, stamp, abi.encodeWithSelector(SettlementErrors.WindowOpen.selector, 1));
        vm.roll(block.number + 1);
        settlement.finalize(header, stamp);
    }
}
