// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Fixture, SettlementErrors, SettlementEvents} from "../lib/Fixture.sol";
import {FeeToken, MoodyToken} from "../lib/Tokens.sol";
import {Encoding} from "../../src/lib/Encoding.sol";

contract DepositTest is Fixture {
    function refusedDeposit(uint16 asset, uint256 amount, bytes memory reason) private {
        vm.prank(ALICE);
        vm.expectRevert(reason);
        settlement.deposit(asset, amount);
    }

    function test_OpensAnAccountOnceAndQueues() public {
        fund(ALICE, ETH, 100 * ETH_SCALE);
        bytes32 extra = bytes32(uint256(uint160(ALICE)));
        uint64 time = uint64(block.timestamp);
        bytes32 prefix = Encoding.queueEntry(settlement.queuePrefix(0), Encoding.DEPOSIT, 1, ETH, 40, extra, time);
        vm.prank(ALICE);
        vm.expectEmit();
        emit SettlementEvents.AccountOpened(1, ALICE);
        vm.expectEmit();
        emit SettlementEvents.Queued(1, 1, Encoding.DEPOSIT, ETH, 40, extra, time, prefix);
        assertEq(settlement.deposit(ETH, 40 * ETH_SCALE), 1, "first entry");
        assertEq(settlement.queuePrefix(1), prefix, "stored hash");
        vm.prank(ALICE);
        assertEq(settlement.deposit(ETH, 60 * ETH_SCALE), 2, "second entry");
        (, uint64 accounts, uint64 queueLength) = settlement.counts();
        assertEq(accounts, 1, "one account");
        assertEq(queueLength, 2, "two entries");
        assertEq(settlement.accountOf(ALICE), 1, "account");
        assertEq(settlement.ownerOf(1), ALICE, "owner");
        (uint128 deposited,) = settlement.holdings(ETH);
        assertEq(deposited, 100, "atoms");
        assertEq(eth.balanceOf(address(vault)), 100 * ETH_SCALE, "units");
        assertEq(deposit(BOB, USD, 10), 3, "third entry");
        assertEq(settlement.accountOf(BOB), 2, "next account");
    }

    function test_CreditsWhatReallyArrives() public {
        uint16 asset = list(new FeeToken(), 1);
        fund(ALICE, asset, 10_000);
        vm.prank(ALICE);
        settlement.deposit(asset, 5_000);
        (uint128 deposited,) = settlement.holdings(asset);
        assertEq(deposited, 4_950, "less the token's fee");
    }

    function test_RevertWhen_Frozen() public {
        fund(ALICE, USD, 100);
        settlement.setFrozen();
        refusedDeposit(USD, 100, abi.encodeWithSelector(SettlementErrors.Frozen.selector));
    }

    function test_RevertWhen_UnknownAsset() public {
        refusedDeposit(2, 100, abi.encodeWithSelector(SettlementErrors.UnknownAsset.selector, 2));
    }

    function test_RevertWhen_Insolvent() public {
        MoodyToken moody = new MoodyToken();
        uint16 asset = list(moody, 1);
        deposit(BOB, asset, 1_000);
        moody.burn(address(vault), 1);
        fund(ALICE, asset, 100);
        refusedDeposit(asset, 100, abi.encodeWithSelector(SettlementErrors.Insolvent.selector, asset));
    }

    function test_RevertWhen_NotAMultiple() public {
        fund(ALICE, ETH, 100 * ETH_SCALE);
        uint256 amount = 20 * ETH_SCALE + 1;
        refusedDeposit(ETH, amount, abi.encodeWithSelector(SettlementErrors.NotAMultiple.selector, amount, ETH_SCALE));
    }

    function test_RevertWhen_BelowMinimum() public {
        fund(ALICE, USD, 100);
        refusedDeposit(USD, 9, abi.encodeWithSelector(SettlementErrors.AmountOutOfRange.selector, 9));
    }

    function test_RevertWhen_AboveCap() public {
        deposit(BOB, USD, CAP - 50);
        fund(ALICE, USD, 100);
        refusedDeposit(USD, 51, abi.encodeWithSelector(SettlementErrors.AboveCap.selector, CAP + 1, CAP));
        vm.prank(ALICE);
        settlement.deposit(USD, 50);
    }

    function test_RevertWhen_NotApproved() public {
        usd.mint(ALICE, 100);
        vm.prank(ALICE);
        vm.expectRevert();
        settlement.deposit(USD, 100);
    }

    function testFuzz_ArrivesToTheAtom(uint64[6] memory amounts) public {
        uint256 total;
        for (uint256 i = 0; i < 6; ++i) {
            uint256 atoms = bound(amounts[i], 10, CAP / 6);
            deposit(i % 2 == 0 ? ALICE : BOB, ETH, atoms * ETH_SCALE);
            total += atoms;
        }
        (uint128 deposited,) = settlement.holdings(ETH);
        assertEq(deposited, total, "atoms");
        assertTrue(settlement.hasPendingDeposits(ETH), "nothing consumed yet");
        assertEq(eth.balanceOf(address(vault)), total * ETH_SCALE, "units");
    }
}
