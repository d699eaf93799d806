// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Settlement} from "../../src/Settlement.sol";
import {SettlementErrors, SettlementEvents} from "../../src/SettlementInterface.sol";
import {AssetChange, AssetLine, Header, Setup, Stamp, Step, Withdrawal, WithdrawalLine} from "../../src/Types.sol";
import {Vault} from "../../src/Vault.sol";
import {DemoToken} from "../../src/dev/DemoToken.sol";
import {Encoding} from "../../src/lib/Encoding.sol";
import {SumTree} from "../../src/lib/SumTree.sol";
import {Test} from "./Test.sol";

/// The contract with the one lever that comes at a later stage.
contract SettlementHarness is Settlement {
    constructor(Setup memory setup) Settlement(setup) {}

    function setFrozen() external {
        _progress.frozen = true;
    }
}

/// All that a commit takes, and what its withdrawals are made from.
struct Batch {
    Header header;
    AssetLine[] lines;
    AssetChange[] changes;
    bytes32 previousTrees;
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
    address internal constant ALICE = address(0xa11ce);
    address internal constant BOB = address(0xb0b);

    SettlementHarness internal settlement;
    Vault internal vault;
    DemoToken internal usd;
    DemoToken internal eth;
    bytes internal data = hex"0100";
    /// The lines of the last batch that was taken.
    AssetLine[] internal tipLines;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        vm.roll(1_000);
        settlement = new SettlementHarness(setup());
        vault = settlement.vault();
        usd = new DemoToken("Dollar", "USD", 6);
        eth = new DemoToken("Ether", "ETH", 18);
        list(usd, 1);
        listTheRest();
    }

    function listTheRest() internal virtual {
        list(eth, ETH_SCALE);
    }

    function setup() internal pure returns (Setup memory) {
        return Setup({
            operator: OPERATOR,
            administrator: ADMINISTRATOR,
            venueOwner: VENUE_OWNER,
            windowSeconds: WINDOW_SECONDS,
            windowBlocks: WINDOW_BLOCKS
        });
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
        b.header.queuePrefix = settlement.queuePrefix(queueLength);
        b.header.dataHash = keccak256(data);
        b.lines = new AssetLine[](assets);
        b.withdrawn = new uint128[](assets);
        b.withdrawalsHashes = new bytes32[](assets);
        for (uint16 asset = 0; asset < assets; ++asset) {
            (uint128 deposited,) = settlement.holdings(asset);
            AssetLine memory old = tipLine(asset);
            b.lines[asset].treeHash = keccak256(abi.encode("tree", b.header.batchId, asset));
            b.lines[asset].credited = deposited;
            b.lines[asset].sum = old.sum + deposited - old.credited;
        }
        seal(b);
    }

    function tipLine(uint256 asset) internal view returns (AssetLine memory line) {
        if (asset < tipLines.length) line = tipLines[asset];
    }

    /// Declares what changed, and makes the header's roots those of the lines and changes.
    function seal(Batch memory b) internal view {
        b.changes = new AssetChange[](b.lines.length);
        uint256 count;
        for (uint16 asset = 0; asset < b.lines.length; ++asset) {
            AssetLine memory old = tipLine(asset);
            bool same = old.sum == b.lines[asset].sum && old.credited == b.lines[asset].credited;
            if (same && b.withdrawn[asset] == 0 && b.withdrawalsHashes[asset] == 0) continue;
            b.changes[count++] =
                AssetChange(asset, old.sum, old.credited, b.withdrawn[asset], b.withdrawalsHashes[asset]);
        }
        AssetChange[] memory changes = b.changes;
        assembly {
            mstore(changes, count)
        }
        b.previousTrees = 0;
        for (uint256 i = 0; i < tipLines.length; ++i) {
            b.previousTrees = Encoding.append(b.previousTrees, tipLines[i].treeHash);
        }
        b.header.newRoot = root(b.lines);
        b.header.withdrawalsRoot = withdrawalsRoot(withdrawalLines(b));
    }

    function root(AssetLine[] memory lines) internal pure returns (bytes32) {
        bytes32 trees;
        bytes32 totals;
        for (uint256 asset = 0; asset < lines.length; ++asset) {
            trees = Encoding.append(trees, lines[asset].treeHash);
            totals = Encoding.append(totals, Encoding.totalsWord(lines[asset].sum, lines[asset].credited));
        }
        return Encoding.balancesRoot(trees, totals);
    }

    /// The lines that claims of the batch need.
    function withdrawalLines(Batch memory b) internal pure returns (WithdrawalLine[] memory out) {
        out = new WithdrawalLine[](b.changes.length);
        uint256 count;
        for (uint256 i = 0; i < b.changes.length; ++i) {
            AssetChange memory change = b.changes[i];
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
        settlement.commitBatch(b.header, b.lines, b.changes, b.previousTrees, data);
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

    /// Expects the commit to be refused for this reason.
    function refused(Batch memory b, bytes memory reason) internal {
        vm.prank(OPERATOR);
        vm.expectRevert(reason);
        settlement.commitBatch(b.header, b.lines, b.changes, b.previousTrees, data);
    }
}
