// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Vault} from "../../src/Vault.sol";
import {Test} from "../lib/Test.sol";
import {FeeToken} from "../lib/Tokens.sol";

/// The test is the settlement contract here.
contract PullTest is Test {
    address internal constant USER = address(0xa11ce);
    Vault internal vault;
    FeeToken internal token;

    function setUp() public {
        vault = new Vault();
        token = new FeeToken();
        token.mint(USER, 1_000);
        vm.prank(USER);
        token.approve(address(vault), 1_000);
    }

    function test_SaysWhatArrived() public {
        assertEq(vault.pull(token, USER, 1_000), 990, "less the fee");
        assertEq(token.balanceOf(address(vault)), 990, "it is there");
    }

    function test_RevertWhen_NotSettlement() public {
        vm.prank(USER);
        vm.expectRevert(abi.encodeWithSelector(Vault.NotSettlement.selector, USER));
        vault.pull(token, USER, 1);
    }
}
