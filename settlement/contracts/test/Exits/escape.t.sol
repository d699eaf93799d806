// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Exits} from "../../src/Exits.sol";
import {Line, Batch, SettlementErrors, Stamp, Step} from "../lib/Fixture.sol";
import {ExitFixture} from "../lib/ExitFixture.sol";
import {MoodyToken} from "../lib/Tokens.sol";

contract EscapeTest is ExitFixture {
    function refusedEscape(uint32 account, uint16 asset, uint128 balance, Step[] memory path, bytes memory reason)
        private
    {
        vm.expectRevert(reason);
        exits.escape(account, asset, balance, packed(lines), path);
    }

    function test_EverybodyLeavesAndTheVaultIsEmpty() public {
        finalizeTip();
        freezeAndRollBack();
        vm.expectEmit();
        emit Exits.Escaped(1, USD, ALICE, 4_900);
        exits.escape(1, USD, 4_900, packed(lines), pathOf(USD, 1));
        exits.escape(2, USD, 3_000, packed(lines), pathOf(USD, 2));
        exits.escape(2, ETH, 700, packed(lines), pathOf(ETH, 2));
        exits.escape(0, USD, 100, packed(lines), pathOf(USD, 0));
        assertEq(usd.balanceOf(ALICE), 4_900, "Alice");
        assertEq(usd.balanceOf(BOB), 3_000, "Bob");
        assertEq(eth.balanceOf(BOB), 700 * ETH_SCALE, "Bob's ether");
        assertEq(usd.balanceOf(VENUE_OWNER), 100, "the venue's fees");
        assertEq(usd.balanceOf(address(vault)) + eth.balanceOf(address(vault)), 0, "nothing is left");
    }

    function test_RevertWhen_NotRolledBack() public {
        finalizeTip();
        refusedEscape(1, USD, 4_900, pathOf(USD, 1), abi.encodeWithSelector(Exits.NotRolledBack.selector));
        settlement.setFrozen();
        refusedEscape(1, USD, 4_900, pathOf(USD, 1), abi.encodeWithSelector(Exits.NotRolledBack.selector));
    }

    function test_RevertWhen_WrongLines() public {
        finalizeTip();
        freezeAndRollBack();
        lines[ETH].sum += 1;
        refusedEscape(1, USD, 4_900, pathOf(USD, 1), abi.encodeWithSelector(Exits.WrongLines.selector));
    }

    function test_RevertWhen_UnknownAsset() public {
        finalizeTip();
        freezeAndRollBack();
        refusedEscape(1, 2, 4_900, pathOf(USD, 1), abi.encodeWithSelector(Exits.UnknownAsset.selector, 2));
    }

    function test_RevertWhen_WrongProof() public {
        finalizeTip();
        freezeAndRollBack();
        bytes memory wrong = abi.encodeWithSelector(Exits.WrongProof.selector);
        refusedEscape(1, USD, 4_901, pathOf(USD, 1), wrong);
        refusedEscape(2, USD, 4_900, pathOf(USD, 1), wrong);
        refusedEscape(1, ETH, 4_900, pathOf(USD, 1), wrong);
        Step[] memory path = pathOf(USD, 1);
        path[1].sum += 1;
        refusedEscape(1, USD, 4_900, path, wrong);
        // An inner node is no leaf, however short the path.
        Step[] memory short = new Step[](31);
        for (uint256 i = 0; i < 31; ++i) {
            short[i] = pathOf(USD, 1)[i + 1];
        }
        refusedEscape(0, USD, 5_000, short, wrong);
    }

    function test_RevertWhen_Nothing() public {
        finalizeTip();
        freezeAndRollBack();
        refusedEscape(3, USD, 0, pathOf(USD, 3), abi.encodeWithSelector(Exits.WrongProof.selector));
    }

    function test_RevertWhen_Twice() public {
        finalizeTip();
        freezeAndRollBack();
        exits.escape(1, USD, 4_900, packed(lines), pathOf(USD, 1));
        assertTrue(exits.hasEscaped(1, USD), "remembered");
        bytes memory twice = abi.encodeWithSelector(Exits.AlreadyEscaped.selector, 1, USD);
        refusedEscape(1, USD, 4_900, pathOf(USD, 1), twice);
    }

    /// An account that the contract never allotted has no owner, even if a lying operator gave it money.
    function test_RevertWhen_UnknownAccount() public {
        has[USD][3] = 50;
        has[USD][1] -= 50;
        commitBalances();
        finalizeTip();
        freezeAndRollBack();
        bytes memory unknown = abi.encodeWithSelector(Exits.UnknownAccount.selector, 3);
        refusedEscape(3, USD, 50, pathOf(USD, 3), unknown);
    }

    /// What a token refuses to pay waits in {Settlement.claim}; nobody else is held up.
    function test_ARefusedPaymentWaits() public {
        MoodyToken moody = new MoodyToken();
        uint16 asset = list(moody, 1);
        deposit(ALICE, asset, 1_000);
        has[asset] = [uint128(0), 1_000, 0, 0];
        commitBalances();
        finalizeTip();
        freezeAndRollBack();
        moody.bar(ALICE, true);
        exits.escape(1, asset, 1_000, packed(lines), pathOf(asset, 1));
        assertEq(settlement.withdrawable(asset, ALICE), 1_000, "waits");
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotPaid.selector, ALICE));
        settlement.claim(asset, ALICE);
        moody.bar(ALICE, false);
        settlement.claim(asset, ALICE);
        assertEq(moody.balanceOf(ALICE), 1_000, "paid");
    }

    function test_RevertWhen_SomebodyElsePays() public {
        finalizeTip();
        freezeAndRollBack();
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotExits.selector, ALICE));
        settlement.payExit(USD, ALICE, 1);
    }

    /// Where the vault holds too little everybody gets the same share, whoever comes first.
    function testFuzz_ShareTheLoss(uint64 alice, uint64 bob, uint64 lost, bool aliceFirst) public {
        MoodyToken moody = new MoodyToken();
        uint16 asset = list(moody, 1);
        (uint128 a, uint128 b) = (uint128(bound(alice, 10, CAP / 2)), uint128(bound(bob, 10, CAP / 2)));
        deposit(ALICE, asset, a);
        deposit(BOB, asset, b);
        has[asset] = [uint128(0), a, b, 0];
        commitBalances();
        finalizeTip();
        freezeAndRollBack();
        uint256 gone = bound(lost, 0, a + b);
        moody.burn(address(vault), gone);
        for (uint32 i = 0; i < 2; ++i) {
            uint32 account = (i == 0) == aliceFirst ? 1 : 2;
            exits.escape(account, asset, account == 1 ? a : b, packed(lines), pathOf(asset, account));
        }
        uint256 left = a + b - gone;
        assertNear(moody.balanceOf(ALICE), uint256(a) * left / (a + b), "Alice's share");
        assertNear(moody.balanceOf(BOB), uint256(b) * left / (a + b), "Bob's share");
        assertTrue(moody.balanceOf(address(vault)) <= 2, "dust");
    }

    function assertNear(uint256 got, uint256 share, string memory why) private pure {
        assertTrue(got + 2 >= share && got <= share + 2, why);
    }
}
