// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {AssetChange, AssetLine, Claim, Header, Setup, Stamp} from "../../src/Types.sol";
import {Encoding} from "../../src/lib/Encoding.sol";
import {Totals} from "../../src/lib/Totals.sol";
import {SettlementHarness} from "../lib/SettlementHarness.sol";
import {Test} from "../lib/Test.sol";

/// halmos' own cheatcode: from here on the contract's storage can be anything.
interface Symbolic {
    function enableSymbolicStorage(address) external;
    function createUint(uint256 bits, string calldata name) external returns (uint256);
}

/// Proofs by symbolic execution of the code that is deployed (`halmos`, see README.md): each `check_` holds for every
/// storage that the contract could have, not only for those that a history leads to, and for every value of its
/// arguments; hash functions are taken to have no collisions. Bounds: one or two assets, at most one change a batch.
contract CommitProofs is Test {
    address internal constant OPERATOR = address(0x0901);
    Symbolic internal constant SYMBOLIC = Symbolic(address(uint160(uint256(keccak256("svm cheat code")))));

    SettlementHarness internal settlement;

    struct Tip {
        uint64 batchId;
        uint64 lastSequence;
        uint64 queueUpTo;
        uint64 lastTime;
        uint64 finalBatch;
    }

    function setUp() public {
        address[] memory watchers = new address[](1);
        watchers[0] = address(0x3a);
        Setup memory with = Setup({
            operator: OPERATOR,
            signer: address(0x5160),
            administrator: address(0x0902),
            venueOwner: address(0x0903),
            windowSeconds: 600,
            windowBlocks: 50,
            freezeBlocks: 2_000,
            forcedFee: 1e15,
            outflowPercent: 100,
            vetoBond: 1 ether,
            vetoThreshold: 1,
            watchers: watchers
        });
        settlement = SettlementHarness(deployBuilt("SettlementHarness", abi.encode(with)));
    }

    function tip() private view returns (Tip memory t) {
        (t.batchId, t.lastSequence, t.queueUpTo, t.lastTime, t.finalBatch) = settlement.tip();
    }

    /// Any state with so many assets, all of which have lines. Batches, queue entries and seconds are counted in 40 bits.
    function anyState(uint256 assets) private {
        anyTime();
        anyStorage();
        (uint64 listed,,) = settlement.counts();
        vm.assume(listed == assets);
        vm.assume(settlement.lineCount() == assets);
        vm.assume(tip().batchId < type(uint40).max);
    }

    /// The cheatcode leaves concrete what the constructor wrote, the root among it: root, progress and counts are overwritten.
    function anyStorage() private {
        SYMBOLIC.enableSymbolicStorage(address(settlement));
        uint256 root = SYMBOLIC.createUint(256, "root");
        vm.store(address(settlement), bytes32(uint256(0)), bytes32(root));
        vm.store(address(settlement), bytes32(uint256(1)), bytes32(SYMBOLIC.createUint(256, "progress")));
        vm.store(address(settlement), bytes32(uint256(2)), bytes32(SYMBOLIC.createUint(256, "counts")));
        // Else the root is in another slot, and nothing is proved.
        assert(uint256(settlement.tipRoot()) == root);
    }

    function anyTime() private {
        uint256 time = SYMBOLIC.createUint(64, "time");
        uint256 number = SYMBOLIC.createUint(64, "block");
        vm.assume(time < type(uint40).max - 60);
        vm.warp(time);
        vm.roll(number);
    }

    function commit(Claim memory claim, AssetLine[] memory lines, AssetChange[] memory changes) private {
        vm.assume(claim.moment.queueUpTo() <= type(uint40).max);
        vm.prank(OPERATOR);
        settlement.commitBatch(changes, hex"0100", claim, lines);
    }

    /// A batch that is taken is the next one, begins behind the last record, and moves nothing back.
    function check_NothingFalls(Claim memory claim, AssetLine memory line) public {
        anyState(1);
        Tip memory old = tip();
        AssetLine[] memory lines = new AssetLine[](1);
        lines[0] = line;
        commit(claim, lines, new AssetChange[](0));
        Tip memory now_ = tip();
        unchecked {
            uint256 wrong = differ(now_.batchId, uint256(old.batchId) + 1) | differ(now_.batchId, claim.range.batchId());
            wrong |= differ(claim.range.firstSequence(), uint256(old.lastSequence) + 1);
            wrong |= differ(now_.lastSequence, claim.range.lastSequence());
            wrong |= falls(uint256(old.lastSequence) + 1, now_.lastSequence);
            wrong |= falls(old.queueUpTo, now_.queueUpTo) | falls(old.lastTime, now_.lastTime);
            wrong |= differ(now_.finalBatch, old.finalBatch);
            assert(wrong == 0);
        }
    }

    /// Not 0 where the two differ. Many comparisons come to one question for the solver so, without a branch for each.
    function differ(uint256 a, uint256 b) private pure returns (uint256) {
        return a ^ b;
    }

    /// 1 where numbers of at most 65 bits fall from `a` to `b`.
    function falls(uint256 a, uint256 b) private pure returns (uint256) {
        unchecked {
            return (b - a) >> 255;
        }
    }

    /// What was taken once is not taken again.
    function check_NoReplay(Claim memory claim, AssetLine memory line) public {
        anyState(1);
        AssetLine[] memory lines = new AssetLine[](1);
        lines[0] = line;
        commit(claim, lines, new AssetChange[](0));
        vm.prank(OPERATOR);
        try settlement.commitBatch(new AssetChange[](0), hex"0100", claim, lines) {
            assert(false);
        } catch {}
    }

    /// Where no change is declared, no total changes.
    function check_UndeclaredTotalsStay(Claim memory claim, bytes32 trees, AssetLine memory line, AssetLine memory old)
        public
    {
        anyState(1);
        vm.assume(settlement.tipRoot() == rootOf(trees, old));
        AssetLine[] memory lines = new AssetLine[](1);
        lines[0] = line;
        commit(claim, lines, new AssetChange[](0));
        uint256 wrong = differ(uint256(Totals.unwrap(line.totals)), uint256(Totals.unwrap(old.totals)));
        assert(wrong | differ(uint256(claim.previousTrees), uint256(trees)) == 0);
    }

    /// What is owed = what was owed + deposits consumed − withdrawals, whatever the operator says about the past.
    function check_MoneyIsConserved(
        Claim memory claim,
        bytes32 trees,
        AssetLine memory line,
        AssetLine memory old,
        AssetChange memory change
    ) public {
        anyState(1);
        vm.assume(settlement.tipRoot() == rootOf(trees, old));
        AssetLine[] memory lines = new AssetLine[](1);
        lines[0] = line;
        AssetChange[] memory changes = new AssetChange[](1);
        changes[0] = change;
        commit(claim, lines, changes);
        assert(change.asset == 0);
        assert(
            uint256(line.totals.sum()) + change.withdrawn + old.totals.credited()
                == uint256(old.totals.sum()) + line.totals.credited()
        );
        (, uint128 owed) = settlement.holdings(0);
        if (change.withdrawn != 0) assert(uint256(line.totals.sum()) + change.withdrawn <= owed);
    }

    /// A change of one asset leaves the other's totals as they were.
    function check_OtherAssetsStay(
        Claim memory claim,
        bytes32 trees,
        AssetLine[2] memory now_,
        AssetLine[2] memory old,
        AssetChange memory change
    ) public {
        anyState(2);
        bytes32 totals = Encoding.append(0, Totals.unwrap(old[0].totals));
        totals = Encoding.append(totals, Totals.unwrap(old[1].totals));
        vm.assume(settlement.tipRoot() == Encoding.balancesRoot(trees, totals));
        AssetLine[] memory lines = new AssetLine[](2);
        (lines[0], lines[1]) = (now_[0], now_[1]);
        AssetChange[] memory changes = new AssetChange[](1);
        changes[0] = change;
        commit(claim, lines, changes);
        uint256 other = change.asset == 0 ? 1 : 0;
        assert(differ(uint256(Totals.unwrap(now_[other].totals)), uint256(Totals.unwrap(old[other].totals))) == 0);
    }

    /// Finality only grows, and never beyond what was committed.
    function check_FinalityOnlyGrows(Header memory header, Stamp memory stamp) public {
        anyTime();
        anyStorage();
        Tip memory old = tip();
        settlement.finalize(header, stamp);
        Tip memory now_ = tip();
        assert(now_.finalBatch > old.finalBatch);
        assert(now_.finalBatch <= now_.batchId);
        assert(now_.batchId == old.batchId);
        assert(now_.lastSequence == old.lastSequence);
        assert(now_.queueUpTo == old.queueUpTo);
        assert(now_.lastTime == old.lastTime);
        assert(block.timestamp >= uint256(stamp.time) + 600);
    }

    function rootOf(bytes32 trees, AssetLine memory line) private pure returns (bytes32) {
        return Encoding.balancesRoot(trees, Encoding.append(0, Totals.unwrap(line.totals)));
    }
}
