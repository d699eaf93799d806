// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Batch, Fixture, Stamp, Step, Withdrawal, WithdrawalLine} from "../lib/Fixture.sol";
import {ReentrantToken} from "../lib/Tokens.sol";

/// A token that calls back while money moves gets nowhere.
contract ReentrancyTest is Fixture {
    ReentrantToken internal token;
    uint16 internal asset;

    function setUp() public override {
        super.setUp();
        token = new ReentrantToken();
        asset = list(token, 1);
    }

    /// Makes the token call this during a deposit, and expects the guard to refuse it.
    function guarded(bytes memory call) private {
        fund(ALICE, asset, 100);
        token.arm(address(settlement), call);
        vm.prank(ALICE);
        settlement.deposit(asset, 100);
        checkRefused();
    }

    function checkRefused() private view {
        assertTrue(!token.succeeded(), "the call went through");
        bytes4 selector = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        assertEq(keccak256(token.answer()), keccak256(abi.encodeWithSelector(selector)), "another error refused it");
    }

    function test_Guards_deposit() public {
        guarded(abi.encodeCall(settlement.deposit, (asset, 100)));
    }

    function test_Guards_registerKey() public {
        guarded(abi.encodeCall(settlement.registerKey, (bytes32(uint256(1)))));
    }

    function test_Guards_revokeKey() public {
        guarded(abi.encodeCall(settlement.revokeKey, (bytes32(uint256(1)))));
    }

    function test_Guards_requestWithdrawal() public {
        guarded(abi.encodeCall(settlement.requestWithdrawal, (asset, 1)));
    }

    function test_Guards_claim() public {
        guarded(abi.encodeCall(settlement.claim, (asset, ALICE)));
    }

    function test_Guards_commitBatch() public {
        Batch memory b = nextBatch();
        guarded(abi.encodeCall(settlement.commitBatch, (packed(b.changes), data, claimOf(b), packed(b.lines))));
    }

    function test_Guards_commitBatchBlobs() public {
        Batch memory b = nextBatch();
        guarded(
            abi.encodeCall(
                settlement.commitBatchBlobs, (b.header.dataHash, packed(b.lines), claimOf(b), packed(b.changes))
            )
        );
    }

    function test_Guards_registerKeyBySig() public {
        guarded(abi.encodeCall(settlement.registerKeyBySig, (ALICE, bytes32(uint256(1)), 1, 0, "")));
    }

    function test_Guards_forceWithdraw() public {
        guarded(abi.encodeCall(settlement.forceWithdraw, (asset)));
    }

    function test_Guards_collectFees() public {
        guarded(abi.encodeCall(settlement.collectFees, ()));
    }

    function test_Guards_quarantine() public {
        guarded(abi.encodeCall(settlement.quarantine, (asset)));
    }

    function test_Guards_release() public {
        guarded(abi.encodeCall(settlement.release, (asset)));
    }

    /// While a payment is on its way the vault holds less than is owed: that must set no asset apart.
    function test_NobodySetsAnAssetApartFromWithinItsPayment() public {
        deposit(ALICE, asset, 5_000);
        Batch memory b = nextBatch();
        withdraw(b, asset, 1, 200);
        WithdrawalLine[] memory out = withdrawalLines(b);
        Stamp memory s = commit(b);
        waitForWindow();
        settlement.finalize(b.header, s);
        token.arm(address(settlement), abi.encodeCall(settlement.quarantine, (asset)));
        settlement.claimFromBatch(b.header, s, out, Withdrawal(asset, 0, 1, 200), pathOfFirst());
        checkRefused();
        assertTrue(!settlement.isQuarantined(asset), "set apart");
    }

    function test_Guards_payExit() public {
        guarded(abi.encodeCall(settlement.payExit, (asset, ALICE, 1)));
    }

    function test_Guards_claimFromBatch() public {
        deposit(ALICE, asset, 5_000);
        Batch memory b = nextBatch();
        withdraw(b, asset, 1, 200);
        WithdrawalLine[] memory out = withdrawalLines(b);
        Stamp memory s = commit(b);
        waitForWindow();
        settlement.finalize(b.header, s);
        Withdrawal memory w = Withdrawal(asset, 0, 1, 200);
        Step[] memory path = pathOfFirst();
        token.arm(address(settlement), abi.encodeCall(settlement.claimFromBatch, (b.header, s, out, w, path)));
        settlement.claimFromBatch(b.header, s, out, w, path);
        checkRefused();
        assertEq(token.balanceOf(ALICE), 200, "paid once");
    }

    function test_TheVaultObeysNobodyElseInBetween() public {
        fund(ALICE, asset, 100);
        token.arm(address(vault), abi.encodeCall(vault.pay, (token, BOB, 50)));
        vm.prank(ALICE);
        settlement.deposit(asset, 100);
        assertTrue(!token.succeeded(), "the vault paid");
        assertEq(token.balanceOf(BOB), 0, "nothing");
    }
}
