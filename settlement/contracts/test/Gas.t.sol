// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Batch, Fixture, Stamp, Withdrawal, WithdrawalLine} from "./lib/Fixture.sol";

/// What it costs, as whole transactions (21,000 and calldata included; each call is one, with everything cold).
/// snapshots/Gas.json holds the figures; `FORGE_SNAPSHOT_CHECK=true` compares.
/// forge-config: default.isolate = true
contract GasTest is Fixture {
    function setUp() public override {
        super.setUp();
        for (uint256 i = 2; i < 10; ++i) {
            list(newToken("Other", "OTHER", 6), 1);
        }
        for (uint16 i = 0; i < 10; ++i) {
            deposit(ALICE, i, 1_000_000 * (i == ETH ? ETH_SCALE : 1));
            deposit(BOB, i, 1_000_000 * (i == ETH ? ETH_SCALE : 1));
        }
        commitNext();
        vm.warp(block.timestamp + 60);
    }

    /// Commits with deposits in some assets and withdrawals in some, out of `assets` lines.
    function measure(string memory name, uint16 deposits, uint16 withdrawals) private {
        for (uint16 i = 0; i < deposits; ++i) {
            deposit(ALICE, i, 5_000 * (i == ETH ? ETH_SCALE : 1));
        }
        Batch memory b = nextBatch();
        for (uint16 i = 0; i < withdrawals; ++i) {
            withdraw(b, i, 1, 1_000);
        }
        commit(b);
        vm.snapshotGasLastCall("Gas", name);
    }

    function test_CommitTenIdleAssets() public {
        measure("commit: 10 assets, idle", 0, 0);
    }

    function test_CommitTenAssetsFiveWithDeposits() public {
        measure("commit: 10 assets, 5 with deposits", 5, 0);
    }

    function test_CommitTenAssetsFiveWithWithdrawals() public {
        measure("commit: 10 assets, 5 with withdrawals", 0, 5);
    }

    function test_CommitTenAssetsFiveWithBoth() public {
        measure("commit: 10 assets, 5 with deposits and withdrawals", 5, 5);
    }

    function test_Users() public {
        deposit(ALICE, USD, 5_000);
        vm.snapshotGasLastCall("Gas", "deposit: known account");
        vm.prank(ALICE);
        settlement.registerKey(bytes32(uint256(1)));
        vm.snapshotGasLastCall("Gas", "registerKey");
        vm.prank(ALICE);
        settlement.requestWithdrawal(USD, 1_000);
        vm.snapshotGasLastCall("Gas", "requestWithdrawal");
        Batch memory b = nextBatch();
        withdraw(b, USD, 1, 1_000);
        WithdrawalLine[] memory out = withdrawalLines(b);
        Stamp memory s = commit(b);
        waitForWindow();
        settlement.finalize(b.header, s);
        vm.snapshotGasLastCall("Gas", "finalize");
        settlement.claimFromBatch(b.header, s, out, Withdrawal(USD, 0, 1, 1_000), pathOfFirst());
        vm.snapshotGasLastCall("Gas", "claimFromBatch: 1 asset, path of 1");
    }
}

/// A venue of one asset shows what the header alone costs.
/// forge-config: default.isolate = true
contract GasOfOneAssetTest is Fixture {
    function listTheRest() internal override {}

    function test_CommitOneIdleAsset() public {
        deposit(ALICE, USD, 5_000);
        commitNext();
        Batch memory b = nextBatch();
        commit(b);
        vm.snapshotGasLastCall("Gas", "commit: 1 asset, idle");
    }
}
