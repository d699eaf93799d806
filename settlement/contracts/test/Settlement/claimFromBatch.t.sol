// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {
    Batch,
    Fixture,
    Header,
    SettlementErrors,
    SettlementEvents,
    Stamp,
    Step,
    Withdrawal,
    WithdrawalLine
} from "../lib/Fixture.sol";
import {MoodyToken} from "../lib/Tokens.sol";
import {SumTree} from "../../src/lib/SumTree.sol";

contract ClaimFromBatchTest is Fixture {
    Header internal header;
    Stamp internal stamp;
    WithdrawalLine[] internal payouts;
    MoodyToken internal moody;
    uint16 internal moodyAsset;

    /// Alice withdraws 1,500 dollars, 300 ether atoms and 200 of the moody token; account 2 withdraws 1 of each.
    function setUp() public override {
        super.setUp();
        moody = new MoodyToken();
        moodyAsset = list(moody, 1);
        deposit(ALICE, USD, 5_000);
        deposit(BOB, ETH, 700 * ETH_SCALE);
        deposit(BOB, moodyAsset, 500);
        Batch memory b = nextBatch();
        withdraw(b, USD, 1, 1_500);
        withdraw(b, ETH, 1, 300);
        withdraw(b, moodyAsset, 1, 200);
        WithdrawalLine[] memory out = withdrawalLines(b);
        for (uint256 i = 0; i < out.length; ++i) {
            payouts.push(out[i]);
        }
        header = b.header;
        stamp = commit(b);
        waitForWindow();
        settlement.finalize(header, stamp);
    }

    function claim(Withdrawal memory w, Step[] memory path) private {
        settlement.claimFromBatch(header, stamp, payouts, w, path);
    }

    function refusedClaim(Withdrawal memory w, Step[] memory path, bytes memory reason) private {
        Header memory h = header;
        Stamp memory s = stamp;
        WithdrawalLine[] memory p = payouts;
        vm.expectRevert(reason);
        settlement.claimFromBatch(h, s, p, w, path);
    }

    function refusedProof(Withdrawal memory w, Step[] memory path) private {
        refusedClaim(w, path, abi.encodeWithSelector(SettlementErrors.WrongProof.selector));
    }

    function second() private pure returns (Step[] memory path) {
        path = new Step[](1);
        path[0] = Step(SumTree.withdrawalLeaf(1, 1_500), 1_500);
    }

    function test_PaysTheOwnerWhoeverCalls() public {
        vm.prank(address(0xcafe));
        vm.expectEmit();
        emit SettlementEvents.Claimed(1, ETH, 0, ALICE, 300);
        vm.expectEmit();
        emit SettlementEvents.Paid(ETH, ALICE, 300);
        claim(Withdrawal(ETH, 0, 1, 300), pathOfFirst());
        assertEq(eth.balanceOf(ALICE), 300 * ETH_SCALE, "units");
        assertEq(eth.balanceOf(address(0xcafe)), 0, "not the caller");
        assertTrue(settlement.isClaimed(1, ETH, 0), "claimed");
        assertTrue(!settlement.isClaimed(1, ETH, 1), "the other is not");
        (, uint128 owed) = settlement.holdings(ETH);
        assertEq(owed, 400, "the rest is owed");
        claim(Withdrawal(USD, 0, 1, 1_500), pathOfFirst());
        claim(Withdrawal(USD, 1, 2, 1), second());
        assertEq(usd.balanceOf(ALICE), 1_500, "dollars");
        assertEq(usd.balanceOf(BOB), 1, "account 2 is Bob's");
    }

    function test_PaysAfterTheVenueHasStopped() public {
        settlement.setFrozen();
        claim(Withdrawal(USD, 0, 1, 1_500), pathOfFirst());
        assertEq(usd.balanceOf(ALICE), 1_500, "dollars");
    }

    function test_DefersWhatTheTokenRefuses() public {
        moody.bar(ALICE, true);
        vm.expectEmit();
        emit SettlementEvents.PaymentDeferred(moodyAsset, ALICE, 200);
        claim(Withdrawal(moodyAsset, 0, 1, 200), pathOfFirst());
        assertEq(settlement.withdrawable(moodyAsset, ALICE), 200, "waits");
        (, uint128 owed) = settlement.holdings(moodyAsset);
        assertEq(owed, 500, "still owed");
    }

    function test_RevertWhen_NotFinal() public {
        Batch memory b = nextBatch();
        withdraw(b, USD, 1, 10);
        WithdrawalLine[] memory out = withdrawalLines(b);
        Stamp memory s = commit(b);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotFinal.selector, 2));
        settlement.claimFromBatch(b.header, s, out, Withdrawal(USD, 0, 1, 10), pathOfFirst());
    }

    function test_RevertWhen_UnknownBatch() public {
        // Another header of the same number, with lines that it really has.
        Header memory h = header;
        Stamp memory s = stamp;
        WithdrawalLine[] memory out = new WithdrawalLine[](1);
        bytes32 leaf = SumTree.withdrawalLeaf(1, 4_000);
        out[0] = WithdrawalLine(USD, leaf, 4_000);
        h.withdrawalsRoot = withdrawalsRoot(out);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.UnknownBatch.selector, 1));
        settlement.claimFromBatch(h, s, out, Withdrawal(USD, 0, 1, 4_000), new Step[](0));
    }

    function test_RevertWhen_WrongWithdrawals() public {
        Header memory h = header;
        Stamp memory s = stamp;
        WithdrawalLine[] memory out = new WithdrawalLine[](1);
        out[0] = WithdrawalLine(USD, SumTree.withdrawalLeaf(1, 4_000), 4_000);
        vm.expectRevert(
            abi.encodeWithSelector(SettlementErrors.WrongWithdrawals.selector, h.withdrawalsRoot, withdrawalsRoot(out))
        );
        settlement.claimFromBatch(h, s, out, Withdrawal(USD, 0, 1, 4_000), new Step[](0));
    }

    function test_RevertWhen_WrongProof_Content() public {
        refusedProof(Withdrawal(USD, 0, 1, 1_501), pathOfFirst());
        refusedProof(Withdrawal(USD, 0, 2, 1_500), pathOfFirst());
        refusedProof(Withdrawal(ETH, 0, 1, 1_500), pathOfFirst());
        refusedProof(Withdrawal(USD, 1, 1, 1_500), pathOfFirst());
        refusedProof(Withdrawal(USD, 0, 1, 1_500), new Step[](0));
        Step[] memory path = pathOfFirst();
        path[0].sum = 2;
        refusedProof(Withdrawal(USD, 0, 1, 1_500), path);
        path = pathOfFirst();
        path[0].hash = bytes32(uint256(1));
        refusedProof(Withdrawal(USD, 0, 1, 1_500), path);
    }

    function test_RevertWhen_WrongProof_IndexBeyondTheTree() public {
        // Bits above the path decide nothing on the way up: without the check, one leaf could be claimed for ever.
        refusedProof(Withdrawal(USD, 2, 1, 1_500), pathOfFirst());
        refusedProof(Withdrawal(USD, 3, 2, 1), second());
    }

    function test_RevertWhen_AlreadyClaimed() public {
        claim(Withdrawal(USD, 0, 1, 1_500), pathOfFirst());
        bytes memory reason = abi.encodeWithSelector(SettlementErrors.AlreadyClaimed.selector, 1, USD, 0);
        refusedClaim(Withdrawal(USD, 0, 1, 1_500), pathOfFirst(), reason);
    }

    function test_RevertWhen_UnknownAccount() public {
        Batch memory b = nextBatch();
        withdraw(b, USD, 77, 10);
        WithdrawalLine[] memory out = withdrawalLines(b);
        Stamp memory s = commit(b);
        waitForWindow();
        settlement.finalize(b.header, s);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.UnknownAccount.selector, 77));
        settlement.claimFromBatch(b.header, s, out, Withdrawal(USD, 0, 77, 10), pathOfFirst());
    }

    /// Whatever leaves an adversary puts into a tree: those that verify never come to more than the root's sum, which
    /// is what the batch took off balances.
    function testFuzz_ClaimsStayBelowTheRootSum(uint128[8] memory told, uint128[8] memory real, uint8 depth) public {
        uint256 levels = bound(depth, 0, 3);
        (bytes32[] memory level, uint128[] memory sums) = (new bytes32[](8), new uint128[](8));
        for (uint256 i = 0; i < 8; ++i) {
            // The leaf says one amount, its sum may be another one.
            sums[i] = uint128(bound(real[i], 0, 500));
            level[i] = SumTree.withdrawalLeaf(1, told[i] % 2 == 0 ? sums[i] : uint128(bound(told[i], 0, 1_000)));
        }
        Step[][] memory paths = new Step[][](1 << levels);
        for (uint256 i = 0; i < paths.length; ++i) {
            paths[i] = new Step[](levels);
        }
        for (uint256 height = 0; height < levels; ++height) {
            for (uint256 i = 0; i < paths.length; ++i) {
                uint256 sibling = (i >> height) ^ 1;
                paths[i][height] = Step(level[sibling], sums[sibling]);
            }
            for (uint256 i = 0; i < (paths.length >> (height + 1)); ++i) {
                level[i] = SumTree.node(level[2 * i], sums[2 * i], level[2 * i + 1], sums[2 * i + 1]);
                sums[i] = sums[2 * i] + sums[2 * i + 1];
            }
        }
        claimAll(level[0], sums[0], paths, told, real);
    }

    function claimAll(bytes32 tree, uint128 sum, Step[][] memory paths, uint128[8] memory told, uint128[8] memory real)
        private
    {
        if (sum == 0 || sum > 3_400) return;
        commitWithdrawals(tree, sum);
        uint256 before = usd.balanceOf(ALICE);
        for (uint32 i = 0; i < paths.length; ++i) {
            tryToClaim(i, uint128(bound(real[i], 0, 500)), paths[i]);
            tryToClaim(i, uint128(bound(told[i], 0, 1_000)), paths[i]);
        }
        assertTrue(usd.balanceOf(ALICE) - before <= sum, "more was claimed than withdrawn");
    }

    function commitWithdrawals(bytes32 tree, uint128 sum) private {
        Batch memory b = nextBatch();
        b.withdrawalsHashes[USD] = tree;
        b.withdrawn[USD] = sum;
        b.lines[USD].sum -= sum;
        seal(b);
        delete payouts;
        payouts.push(withdrawalLines(b)[0]);
        header = b.header;
        stamp = commit(b);
        waitForWindow();
        settlement.finalize(header, stamp);
    }

    function tryToClaim(uint32 index, uint128 amount, Step[] memory path) private {
        try settlement.claimFromBatch(header, stamp, payouts, Withdrawal(USD, index, 1, amount), path) {} catch {}
    }
}
