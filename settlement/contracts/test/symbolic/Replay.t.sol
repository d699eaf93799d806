// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {
    AssetChange,
    AssetLine,
    Claim,
    Header,
    QueueEntry,
    Stamp,
    Step,
    Withdrawal,
    WithdrawalLine
} from "../../src/Types.sol";
import {Exits} from "../../src/Exits.sol";
import {ProofFixture} from "./ProofFixture.sol";

/// What happened once does not happen again.
contract ReplayProofs is ProofFixture {
    /// A batch that was taken is not taken again, nor is another with its number.
    function check_BatchOnce(Claim memory claim, Claim memory again, AssetLine memory line, AssetLine memory other)
        public
    {
        anyState(1);
        commit(claim, one(line), new AssetChange[](0));
        vm.assume(again.range.batchId() == claim.range.batchId());
        vm.prank(OPERATOR);
        try settlement.commitBatch(new AssetChange[](0), hex"0100", again, one(other)) {
            assert(false);
        } catch {}
    }

    /// A withdrawal is claimed once, whatever is shown the second time.
    function check_WithdrawalOnce(
        Header memory header,
        Stamp memory stamp,
        WithdrawalLine memory line,
        Withdrawal memory withdrawal,
        uint80 owed,
        uint128 held
    ) public {
        anyState();
        anyAsset(owed, held);
        vm.assume(withdrawal.asset == 0);
        WithdrawalLine[] memory lines = new WithdrawalLine[](1);
        lines[0] = line;
        settlement.claimFromBatch(header, stamp, lines, withdrawal, new Step[](0));
        try settlement.claimFromBatch(header, stamp, lines, withdrawal, new Step[](0)) {
            assert(false);
        } catch {}
    }

    /// A balance leaves once. The account is a given one: a path of 32 steps has 2^32 shapes.
    function check_EscapeOnce(
        uint128 balance,
        AssetLine memory line,
        Step[32] memory siblings,
        uint80 owed,
        uint128 held
    ) public {
        anyState();
        anyAsset(owed, held);
        Exits exits = settlement.exits();
        SYMBOLIC.enableSymbolicStorage(address(exits));
        Step[] memory path = new Step[](32);
        for (uint256 i = 0; i < 32; ++i) {
            path[i] = siblings[i];
        }
        exits.escape(300, 0, balance, one(line), path);
        try exits.escape(300, 0, balance, one(line), path) {
            assert(false);
        } catch {}
    }

    /// A deposit comes back once.
    function check_DepositReclaimedOnce(QueueEntry memory entry, uint80 owed, uint128 held) public {
        anyState();
        anyAsset(owed, held);
        vm.assume(entry.asset == 0);
        Exits exits = settlement.exits();
        SYMBOLIC.enableSymbolicStorage(address(exits));
        exits.reclaimDeposit(entry);
        assert(exits.isReclaimed(entry.queueId));
        try exits.reclaimDeposit(entry) {
            assert(false);
        } catch {}
    }
}
