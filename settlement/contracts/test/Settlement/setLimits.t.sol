// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Fixture, SettlementErrors, SettlementEvents} from "../lib/Fixture.sol";

contract SetLimitsTest is Fixture {
    function test_ChangesWhatMayComeIn() public {
        deposit(ALICE, USD, 5_000);
        vm.prank(ADMINISTRATOR);
        vm.expectEmit();
        emit SettlementEvents.LimitsChanged(USD, 20, 100);
        settlement.setLimits(USD, 20, 100);
        (,, uint64 minimum, uint64 cap) = settlement.assetInfo(USD);
        assertEq(minimum, 20, "minimum");
        assertEq(cap, 100, "cap");
        (uint128 deposited,) = settlement.holdings(USD);
        assertEq(deposited, 5_000, "what is inside stays");
    }

    function test_RevertWhen_NotAdministrator() public {
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotAdministrator.selector, OPERATOR));
        settlement.setLimits(USD, 1, 1);
    }

    function test_RevertWhen_UnknownAsset() public {
        vm.prank(ADMINISTRATOR);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.UnknownAsset.selector, 2));
        settlement.setLimits(2, 1, 1);
    }
}
