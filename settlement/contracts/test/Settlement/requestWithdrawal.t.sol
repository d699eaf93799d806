// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Fixture, SettlementErrors, SettlementEvents} from "../lib/Fixture.sol";
import {Encoding} from "../../src/lib/Encoding.sol";

contract RequestWithdrawalTest is Fixture {
    function refusedRequest(uint16 asset, uint256 amount, bytes memory reason) private {
        vm.prank(ALICE);
        vm.expectRevert(reason);
        settlement.requestWithdrawal(asset, amount);
    }

    function test_Queues() public {
        deposit(ALICE, USD, 100);
        uint64 time = uint64(block.timestamp);
        bytes32 prefix = Encoding.queueEntry(settlement.queuePrefix(1), Encoding.WITHDRAWAL, 1, ETH, 7, 0, time);
        vm.prank(ALICE);
        vm.expectEmit();
        emit SettlementEvents.Queued(2, 1, Encoding.WITHDRAWAL, ETH, 7, 0, time, prefix);
        assertEq(settlement.requestWithdrawal(ETH, 7 * ETH_SCALE), 2, "entry");
        assertEq(settlement.queuePrefix(2), prefix, "stored hash");
    }

    function test_RevertWhen_Frozen() public {
        deposit(ALICE, USD, 100);
        settlement.setFrozen();
        refusedRequest(USD, 1, abi.encodeWithSelector(SettlementErrors.Frozen.selector));
    }

    function test_RevertWhen_UnknownAsset() public {
        deposit(ALICE, USD, 100);
        refusedRequest(2, 1, abi.encodeWithSelector(SettlementErrors.UnknownAsset.selector, 2));
    }

    function test_RevertWhen_NotAMultiple() public {
        deposit(ALICE, USD, 100);
        refusedRequest(ETH, 1, abi.encodeWithSelector(SettlementErrors.NotAMultiple.selector, 1, ETH_SCALE));
    }

    function test_RevertWhen_Zero() public {
        deposit(ALICE, USD, 100);
        refusedRequest(USD, 0, abi.encodeWithSelector(SettlementErrors.AmountOutOfRange.selector, 0));
    }

    function test_RevertWhen_MoreThanTheEngineCounts() public {
        deposit(ALICE, USD, 100);
        uint256 amount = (1 << 62) + 1;
        refusedRequest(USD, amount, abi.encodeWithSelector(SettlementErrors.AmountOutOfRange.selector, amount));
    }

    function test_RevertWhen_NoAccount() public {
        refusedRequest(USD, 1, abi.encodeWithSelector(SettlementErrors.NoAccount.selector, ALICE));
    }
}
