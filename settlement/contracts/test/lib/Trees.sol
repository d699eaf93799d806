// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Step} from "../../src/Types.sol";
import {JournalTree} from "../../src/lib/JournalTree.sol";
import {SumTree} from "../../src/lib/SumTree.sol";

/// Trees as the venue builds them, small enough to be built by definition.
library Trees {
    /// An asset's tree over accounts 0 ..= 3.
    function balances(uint128[4] memory all) internal pure returns (bytes32 hash, uint128 sum) {
        Step memory left = pair(all, 0);
        Step memory right = pair(all, 2);
        (hash, sum) = (SumTree.node(left.hash, left.sum, right.hash, right.sum), left.sum + right.sum);
        bytes32 nothing = emptyNode(2);
        for (uint256 height = 2; height < SumTree.BALANCE_DEPTH; ++height) {
            hash = SumTree.node(hash, sum, nothing, 0);
            nothing = SumTree.node(nothing, 0, nothing, 0);
        }
    }

    /// The way up from one of the four.
    function path(uint128[4] memory all, uint32 account) internal pure returns (Step[] memory steps) {
        steps = new Step[](SumTree.BALANCE_DEPTH);
        uint32 sibling = account ^ 1;
        steps[0] = Step(SumTree.balanceLeaf(sibling, all[sibling]), all[sibling]);
        steps[1] = pair(all, account < 2 ? 2 : 0);
        for (uint256 height = 2; height < SumTree.BALANCE_DEPTH; ++height) {
            steps[height] = Step(emptyNode(height), 0);
        }
    }

    function pair(uint128[4] memory all, uint32 first) private pure returns (Step memory) {
        bytes32 left = SumTree.balanceLeaf(first, all[first]);
        bytes32 right = SumTree.balanceLeaf(first + 1, all[first + 1]);
        return Step(SumTree.node(left, all[first], right, all[first + 1]), all[first] + all[first + 1]);
    }

    function emptyNode(uint256 height) private pure returns (bytes32 hash) {
        for (uint256 i = 0; i < height; ++i) {
            hash = SumTree.node(hash, 0, hash, 0);
        }
    }

    /// The root over leaves `first` .. `end`, by definition.
    function journalRoot(bytes32[] memory leaves, uint256 first, uint256 end) internal pure returns (bytes32) {
        if (end - first == 1) return leaves[first];
        uint256 middle = first + split(end - first);
        return keccak256(abi.encodePacked(journalRoot(leaves, first, middle), journalRoot(leaves, middle, end)));
    }

    /// The way up from a leaf, the leaf's sibling first.
    function journalPath(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory steps) {
        bytes32[] memory down = new bytes32[](64);
        uint256 count;
        (uint256 first, uint256 end) = (0, leaves.length);
        while (end - first > 1) {
            uint256 middle = first + split(end - first);
            if (index < middle) (down[count++], end) = (journalRoot(leaves, middle, end), middle);
            else (down[count++], first) = (journalRoot(leaves, first, middle), middle);
        }
        steps = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            steps[i] = down[count - 1 - i];
        }
    }

    /// The largest power of two below `count`.
    function split(uint256 count) private pure returns (uint256 left) {
        left = 1;
        while (left * 2 < count) left *= 2;
    }

    function journalLeaves(uint64 first, bytes32[] memory records) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](records.length);
        for (uint64 i = 0; i < records.length; ++i) {
            leaves[i] = JournalTree.leaf(first + i, records[i]);
        }
    }
}
