// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {AssetChange, AssetLine, Claim} from "../../src/Types.sol";
import {Encoding} from "../../src/lib/Encoding.sol";
import {Totals} from "../../src/lib/Totals.sol";
import {ProofFixture} from "./ProofFixture.sol";

/// No money is made or lost: by a batch, or where money is paid.
contract ConservationProofs is ProofFixture {
    /// What is owed = what was owed + deposits consumed − withdrawals, whatever the operator says about the past; and what
    /// is withdrawn is covered by what the vault owes.
    function check_BatchConserves(
        Claim memory claim,
        bytes32 trees,
        AssetLine memory line,
        AssetLine memory old,
        AssetChange memory change
    ) public {
        anyState(1);
        vm.assume(settlement.tipRoot() == rootOf(trees, old));
        AssetChange[] memory changes = new AssetChange[](1);
        changes[0] = change;
        commit(claim, one(line), changes);
        assert(change.asset == 0);
        (uint256 before, uint256 credited) = (old.totals.sum(), old.totals.credited());
        assert(uint256(line.totals.sum()) + change.withdrawn + credited == before + line.totals.credited());
        (, uint128 owed) = settlement.holdings(0);
        if (change.withdrawn != 0) assert(uint256(line.totals.sum()) + change.withdrawn <= owed);
    }

    /// Where no change is declared, no total changes.
    function check_UndeclaredTotalsStay(Claim memory claim, bytes32 trees, AssetLine memory line, AssetLine memory old)
        public
    {
        anyState(1);
        vm.assume(settlement.tipRoot() == rootOf(trees, old));
        commit(claim, one(line), new AssetChange[](0));
        assert(Totals.unwrap(line.totals) == Totals.unwrap(old.totals));
        assert(claim.previousTrees == trees);
    }

    /// A change of one asset leaves the other's totals as they were. Of batches that consume nothing of the queue: that is
    /// another check's business, and a tenth of the paths.
    function check_OtherAssetsStay(
        Claim memory claim,
        bytes32 trees,
        AssetLine[2] memory now_,
        AssetLine[2] memory old,
        AssetChange memory change
    ) public {
        anyState(2);
        vm.assume(claim.moment.queueUpTo() == tip().queueUpTo);
        bytes32 totals = Encoding.append(0, Totals.unwrap(old[0].totals));
        totals = Encoding.append(totals, Totals.unwrap(old[1].totals));
        vm.assume(settlement.tipRoot() == Encoding.balancesRoot(trees, totals));
        AssetLine[] memory lines = new AssetLine[](2);
        (lines[0], lines[1]) = (now_[0], now_[1]);
        AssetChange[] memory changes = new AssetChange[](1);
        changes[0] = change;
        commit(claim, lines, changes);
        uint256 other = change.asset == 0 ? 1 : 0;
        assert(Totals.unwrap(now_[other].totals) == Totals.unwrap(old[other].totals));
    }

    /// Where the vault holds what it owes, a claim pays exactly what waits, the books fall by that, and the vault still
    /// holds what it owes.
    function check_ClaimPaysWhatIsOwed(address owner, uint80 owed, uint128 held) public {
        anyState();
        vm.assume(held >= owed);
        vm.assume(owner != address(settlement.vault()));
        anyAsset(owed, held);
        uint256 waiting = settlement.withdrawable(0, owner);
        settlement.claim(0, owner);
        (, uint128 left) = settlement.holdings(0);
        assert(token.balanceOf(owner) == waiting);
        assert(uint256(left) + waiting == owed);
        assert(settlement.withdrawable(0, owner) == 0);
        assert(token.balanceOf(address(settlement.vault())) >= left);
    }

    /// The same for whoever leaves a frozen venue; a payment that the token refuses is put down.
    function check_ExitPaysWhatIsOwed(address owner, uint256 atoms, uint80 owed, uint128 held) public {
        anyState();
        vm.assume(held >= owed);
        vm.assume(owner != address(settlement.vault()));
        anyAsset(owed, held);
        uint256 waited = settlement.withdrawable(0, owner);
        vm.prank(address(settlement.exits()));
        settlement.payExit(0, owner, atoms);
        (, uint128 left) = settlement.holdings(0);
        uint256 paid = token.balanceOf(owner);
        uint256 waiting = settlement.withdrawable(0, owner);
        assert(paid + waiting == waited + atoms || (paid == atoms && waiting == waited));
        assert(uint256(left) + paid == owed);
        assert(token.balanceOf(address(settlement.vault())) >= left);
    }
}
