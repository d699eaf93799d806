// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Fixture, SettlementErrors, SettlementEvents} from "../lib/Fixture.sol";
import {MoodyToken} from "../lib/Tokens.sol";

contract ListAssetTest is Fixture {
    function refusedListing(IERC20 token, uint64 scale, uint64 minimum, uint64 cap) private {
        vm.prank(ADMINISTRATOR);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.BadListing.selector));
        settlement.listAsset(token, scale, minimum, cap);
    }

    function test_Lists() public {
        MoodyToken token = new MoodyToken();
        vm.prank(ADMINISTRATOR);
        vm.expectEmit();
        emit SettlementEvents.AssetListed(2, address(token), 100);
        assertEq(settlement.listAsset(token, 100, 3, 1 << 62), 2, "number");
        (IERC20 listed, uint64 scale, uint64 minimum, uint64 cap) = settlement.assetInfo(2);
        assertEq(address(listed), address(token), "token");
        assertEq(scale, 100, "scale");
        assertEq(minimum, 3, "minimum");
        assertEq(cap, 1 << 62, "cap");
    }

    function test_RevertWhen_NotAdministrator() public {
        MoodyToken token = new MoodyToken();
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotAdministrator.selector, OPERATOR));
        settlement.listAsset(token, 1, 1, 1);
    }

    function test_RevertWhen_TooMany() public {
        for (uint256 i = 2; i < 64; ++i) {
            list(new MoodyToken(), 1);
        }
        refusedListing(new MoodyToken(), 1, 1, 1);
    }

    function test_RevertWhen_ScaleIsNoPowerOfTen() public {
        refusedListing(new MoodyToken(), 0, 1, 1);
        refusedListing(new MoodyToken(), 5, 1, 1);
        refusedListing(new MoodyToken(), 10 ** 19, 1, 1);
    }

    function test_RevertWhen_ListedTwice() public {
        refusedListing(usd, 1, 1, 1);
    }

    function test_RevertWhen_NoToken() public {
        refusedListing(IERC20(address(0x1234)), 1, 1, 1);
    }

    function test_RevertWhen_NoMinimum() public {
        refusedListing(new MoodyToken(), 1, 0, 1);
    }

    function test_RevertWhen_MinimumAboveCap() public {
        refusedListing(new MoodyToken(), 1, 2, 1);
    }

    function test_RevertWhen_CapAboveSupply() public {
        refusedListing(new MoodyToken(), 1, 1, (1 << 62) + 1);
    }
}
