// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SettlementErrors, SettlementEvents} from "../../src/SettlementInterface.sol";
import {
    AssetChange,
    AssetLine,
    Claim,
    Header,
    QueueEntry,
    Setup,
    Signature,
    Stamp,
    Step,
    Withdrawal,
    WithdrawalLine
} from "../../src/Types.sol";
import {Exits} from "../../src/Exits.sol";
import {Keys} from "../../src/Keys.sol";
import {Proofs} from "../../src/Proofs.sol";
import {Watchers} from "../../src/Watchers.sol";
import {Vault} from "../../src/Vault.sol";
import {DemoToken} from "../../src/dev/DemoToken.sol";
import {Encoding} from "../../src/lib/Encoding.sol";
import {Moment, Range} from "../../src/lib/ClaimFields.sol";
import {SumTree} from "../../src/lib/SumTree.sol";
import {Totals} from "../../src/lib/Totals.sol";
import {SettlementHarness} from "./SettlementHarness.sol";
import {Test} from "./Test.sol";

/// An asset's line with its totals apart, as a test changes them.
struct Line {
    bytes32 treeHash;
    uint128 sum;
    uint128 credited;
}

/// A change with the totals before it apart.
struct Change {
    uint16 asset;
    uint128 sum;
    uint128 credited;
    uint128 withdrawn;
    bytes32 withdrawalsHash;
}

/// All that a commit takes, and what its withdrawals are made from.
struct Batch {
    Header header;
    Line[] lines;
    Change[] changes;
    bytes32 previousTrees;
    uint256 previousLines;
    uint128[] withdrawn;
    bytes32[] withdrawalsHashes;
}

/// A venue with two assets, and an honest operator for it to lie in the name of.
abstract contract Fixture is Test {
    uint16 internal constant USD = 0;
    uint16 internal constant ETH = 1;
    uint64 internal constant ETH_SCALE = 1e10;
    uint64 internal constant CAP = 1e15;
    uint64 internal constant WINDOW_SECONDS = 600;
    uint64 internal constant WINDOW_BLOCKS = 50;

    address internal constant OPERATOR = address(0x0901);
    address internal constant ADMINISTRATOR = address(0x0902);
    address internal constant VENUE_OWNER = address(0x0903);
    uint64 internal constant FREEZE_BLOCKS = 2_000;
    uint64 internal constant FORCED_FEE = 1e15;
    uint64 internal constant VETO_BOND = 1 ether;
    /// The header key's secret.
    uint256 internal constant SIGNER_SECRET = 0x51916;
    /// Two of the three have to agree.
    address internal constant WATCHER_A = address(0x3a);
    address internal constant WATCHER_B = address(0x3b);
    address internal constant WATCHER_C = address(0x3c);
    address internal constant ALICE = address(0xa11ce);
    address internal constant BOB = address(0xb0b);

    SettlementHarness internal settlement;
    Vault internal vault;
    Watchers internal watchers;
    Proofs internal proofs;
    Exits internal exits;
    Keys internal keys;
    DemoToken internal usd;
    DemoToken internal eth;
    bytes internal data = hex"0100";
    /// The lines of the last batch that was taken.
    Line[] internal tipLines;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        vm.roll(1_000);
        settlement = deploy(setup());
        vault = settlement.vault();
        watchers = settlement.watchers();
        proofs = settlement.proofs();
        exits = settlement.exits();
        keys = settlement.keys();
        usd = newToken("Dollar", "USD", 6);
        eth = newToken("Ether", "ETH", 18);
        list(usd, 1);
        listTheRest();
    }

    function deploy(Setup memory with) internal returns (SettlementHarness) {
        return SettlementHarness(deployBuilt("SettlementHarness", abi.encode(with)));
    }

    function newToken(string memory name, string memory symbol, uint8 decimals) internal returns (DemoToken) {
        return DemoToken(deployBuilt("DemoToken", abi.encode(name, symbol, decimals)));
    }

    /// Expects a setup to be refused.
    function refusedDeployment(Setup memory with, bytes4 reason) internal {
        try this.deployThere(with) {
            revert("the setup was taken");
        } catch (bytes memory found) {
            assertEq(keccak256(found), keccak256(abi.encodeWithSelector(reason)), "another reason");
        }
    }

    function deployThere(Setup memory with) external {
        deploy(with);
    }

    function listTheRest() internal virtual {
        list(eth, ETH_SCALE);
    }

    /// Nothing waits for the outflow's sake: a test of that has its own.
    function outflowPercent() internal pure virtual returns (uint64) {
        return 100;
    }

    function setup() internal pure returns (Setup memory) {
        address[] memory set = new address[](3);
        (set[0], set[1], set[2]) = (WATCHER_A, WATCHER_B, WATCHER_C);
        return Setup({
            operator: OPERATOR,
            signer: vm.addr(SIGNER_SECRET),
            administrator: ADMINISTRATOR,
            venueOwner: VENUE_OWNER,
            windowSeconds: WINDOW_SECONDS,
            windowBlocks: WINDOW_BLOCKS,
            freezeBlocks: FREEZE_BLOCKS,
            forcedFee: FORCED_FEE,
            outflowPercent: outflowPercent(),
            vetoBond: VETO_BOND,
            vetoThreshold: 2,
            watchers: set
        });
    }

    /// A signature under typed data of the venue.
    function signTyped(uint256 secret, bytes32 structHash) internal view returns (Signature memory) {
        bytes32 domain = Encoding.domain(block.chainid, address(settlement));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, keccak256(abi.encodePacked(hex"1901", domain, structHash)));
        return Signature(r, bytes32(uint256(s) | (uint256(v - 27) << 255)));
    }

    /// The header key's signature under a batch.
    function sign(Batch memory b) internal view returns (Signature memory) {
        return signTyped(SIGNER_SECRET, keccak256(abi.encode(Encoding.BATCH_TYPE, keccak256(abi.encode(b.header)))));
    }

    function totalsWord(uint128 sum, uint128 credited) internal pure returns (bytes32) {
        return bytes32((uint256(sum) << 128) | credited);
    }

    /// Lines as the contracts take them.
    function packed(Line[] memory all) internal pure returns (AssetLine[] memory lines) {
        lines = new AssetLine[](all.length);
        for (uint256 i = 0; i < all.length; ++i) {
            lines[i] = AssetLine(all[i].treeHash, Totals.wrap(totalsWord(all[i].sum, all[i].credited)));
        }
    }

    /// Changes as the contract takes them.
    function packed(Change[] memory all) internal pure returns (AssetChange[] memory changes) {
        changes = new AssetChange[](all.length);
        for (uint256 i = 0; i < all.length; ++i) {
            Totals before = Totals.wrap(totalsWord(all[i].sum, all[i].credited));
            changes[i] = AssetChange(all[i].asset, before, all[i].withdrawn, all[i].withdrawalsHash);
        }
    }

    /// What a commit says of the batch.
    function claimOf(Batch memory b) internal view returns (Claim memory) {
        return claimOf(b, sign(b));
    }

    function claimOf(Batch memory b, Signature memory signature) internal pure returns (Claim memory) {
        Header memory h = b.header;
        uint256 range = (uint256(h.version) << 224) | (b.previousLines << 192) | (uint256(h.batchId) << 128);
        range |= (uint256(h.firstSequence) << 64) | h.lastSequence;
        uint256 moment = (uint256(h.firstTime) << 192) | (uint256(h.lastTime) << 128);
        moment |= (uint256(h.queueUpTo) << 64) | h.fills;
        return Claim(
            Range.wrap(range),
            Moment.wrap(moment),
            h.journalHash,
            h.journalRoot,
            h.queuePrefix,
            b.previousTrees,
            signature
        );
    }

    function list(IERC20 token, uint64 scale) internal returns (uint16 asset) {
        vm.prank(ADMINISTRATOR);
        return settlement.listAsset(token, scale, 10, CAP);
    }

    /// Mints, approves and deposits.
    function deposit(address owner, uint16 asset, uint256 amount) internal returns (uint64 queueId) {
        fund(owner, asset, amount);
        vm.prank(owner);
        return settlement.deposit(asset, amount);
    }

    function fund(address owner, uint16 asset, uint256 amount) internal {
        (IERC20 token,,,) = settlement.assetInfo(asset);
        DemoToken(address(token)).mint(owner, amount);
        vm.prank(owner);
        token.approve(address(vault), type(uint256).max);
    }

    /// A batch of ten records that follows the tip, consumes the whole queue and withdraws nothing.
    function nextBatch() internal view returns (Batch memory b) {
        (uint64 batchId, uint64 lastSequence,, uint64 lastTime,) = settlement.tip();
        (uint64 assets,, uint64 queueLength) = settlement.counts();
        b.header.version = 1;
        b.header.batchId = batchId + 1;
        b.header.firstSequence = lastSequence + 1;
        b.header.lastSequence = lastSequence + 10;
        b.header.firstTime = lastTime == 0 ? uint64(block.timestamp) - 5 : lastTime;
        b.header.lastTime = uint64(block.timestamp);
        b.header.queueUpTo = queueLength;
        b.header.fills = 3;
        b.header.prevRoot = settlement.tipRoot();
        b.header.journalHash = keccak256(abi.encode("journal", b.header.lastSequence));
        b.header.journalRoot = keccak256(abi.encode("records", b.header.lastSequence));
        consumeUpTo(b, queueLength);
        b.header.dataHash = keccak256(data);
        b.lines = new Line[](assets);
        b.withdrawn = new uint128[](assets);
        b.withdrawalsHashes = new bytes32[](assets);
        for (uint16 asset = 0; asset < assets; ++asset) {
            (uint128 deposited,) = settlement.holdings(asset);
            Line memory old = tipLine(asset);
            b.lines[asset].treeHash = keccak256(abi.encode("tree", b.header.batchId, asset));
            b.lines[asset].credited = deposited;
            b.lines[asset].sum = old.sum + deposited - old.credited;
        }
        seal(b);
    }

    /// The batch consumes the queue's entries up to this one; where that is none, it names no prefix.
    function consumeUpTo(Batch memory b, uint64 queueId) internal view {
        (,, uint64 consumed,,) = settlement.tip();
        b.header.queueUpTo = queueId;
        b.header.queuePrefix = queueId == consumed ? bytes32(0) : settlement.queuePrefix(queueId);
    }

    function tipLine(uint256 asset) internal view returns (Line memory line) {
        if (asset < tipLines.length) line = tipLines[asset];
    }

    /// Declares what changed, and makes the header's roots those of the lines and changes.
    function seal(Batch memory b) internal view {
        b.changes = new Change[](b.lines.length);
        uint256 count;
        for (uint16 asset = 0; asset < b.lines.length; ++asset) {
            Line memory old = tipLine(asset);
            bool same = old.sum == b.lines[asset].sum && old.credited == b.lines[asset].credited;
            if (same && b.withdrawn[asset] == 0 && b.withdrawalsHashes[asset] == 0) continue;
            b.changes[count++] = Change(asset, old.sum, old.credited, b.withdrawn[asset], b.withdrawalsHashes[asset]);
        }
        Change[] memory changes = b.changes;
        assembly {
            mstore(changes, count)
        }
        b.previousLines = tipLines.length;
        b.previousTrees = 0;
        for (uint256 i = 0; i < tipLines.length; ++i) {
            b.previousTrees = Encoding.append(b.previousTrees, tipLines[i].treeHash);
        }
        b.header.newRoot = root(b.lines);
        b.header.withdrawalsRoot = withdrawalsRoot(withdrawalLines(b));
    }

    function root(Line[] memory lines) internal pure returns (bytes32) {
        bytes32 trees;
        bytes32 totals;
        for (uint256 asset = 0; asset < lines.length; ++asset) {
            trees = Encoding.append(trees, lines[asset].treeHash);
            totals = Encoding.append(totals, totalsWord(lines[asset].sum, lines[asset].credited));
        }
        return Encoding.balancesRoot(trees, totals);
    }

    /// The lines that claims of the batch need.
    function withdrawalLines(Batch memory b) internal pure returns (WithdrawalLine[] memory out) {
        out = new WithdrawalLine[](b.changes.length);
        uint256 count;
        for (uint256 i = 0; i < b.changes.length; ++i) {
            Change memory change = b.changes[i];
            if (change.withdrawn == 0) continue;
            out[count++] = WithdrawalLine(change.asset, change.withdrawalsHash, change.withdrawn);
        }
        assembly {
            mstore(out, count)
        }
    }

    function withdrawalsRoot(WithdrawalLine[] memory lines) internal pure returns (bytes32 out) {
        for (uint256 i = 0; i < lines.length; ++i) {
            out = Encoding.foldWithdrawals(out, lines[i].asset, lines[i].treeHash, lines[i].sum);
        }
    }

    /// Withdraws `amount` for the account and 1 for account 2: a tree of two leaves.
    function withdraw(Batch memory b, uint16 asset, uint32 account, uint128 amount) internal view {
        bytes32 left = SumTree.withdrawalLeaf(account, amount);
        bytes32 right = SumTree.withdrawalLeaf(2, 1);
        b.withdrawalsHashes[asset] = SumTree.node(left, amount, right, 1);
        b.withdrawn[asset] = amount + 1;
        b.lines[asset].sum -= amount + 1;
        seal(b);
    }

    /// The way up for the first of the two.
    function pathOfFirst() internal pure returns (Step[] memory path) {
        path = new Step[](1);
        path[0] = Step(SumTree.withdrawalLeaf(2, 1), 1);
    }

    function commit(Batch memory b) internal returns (Stamp memory) {
        vm.prank(OPERATOR);
        settlement.commitBatch(packed(b.changes), data, claimOf(b), packed(b.lines));
        delete tipLines;
        for (uint256 asset = 0; asset < b.lines.length; ++asset) {
            tipLines.push(b.lines[asset]);
        }
        return Stamp(uint64(block.timestamp), uint64(block.number));
    }

    /// A batch that withdraws nothing.
    function commitNext() internal returns (Header memory header, Stamp memory stamp) {
        Batch memory b = nextBatch();
        return (b.header, commit(b));
    }

    function waitForWindow() internal {
        vm.warp(block.timestamp + WINDOW_SECONDS);
        vm.roll(block.number + WINDOW_BLOCKS);
    }

    /// Expects the commit to be refused since the header key signed another header than the one with this hash.
    function refusedAsSigned(Batch memory b, bytes32 headerHash) internal {
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongSignature.selector, headerHash));
    }

    /// Expects the commit to be refused for this reason.
    function refused(Batch memory b, bytes memory reason) internal {
        vm.prank(OPERATOR);
        vm.expectRevert(reason);
        settlement.commitBatch(packed(b.changes), data, claimOf(b), packed(b.lines));
    }
}
