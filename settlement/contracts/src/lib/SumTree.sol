// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {AssetLine, Step} from "../Types.sol";

/// @title Merkle trees whose every node carries the sum below it
/// @notice node = keccak256(leftHash ‖ leftSum ‖ rightHash ‖ rightSum), sums as 16 bytes, big-endian. A parent's sum is
/// computed by whoever verifies, never told, so no set of leaves that verify can add up to more than the root's sum.
/// A leaf's preimage is 24 or 30 bytes long and a node's 96, so that one can never pass for the other.
library SumTree {
    /// @notice Depth of a balances tree: one leaf for each account number.
    uint256 internal constant BALANCE_DEPTH = 32;

    /// @notice Climbs from a leaf to the root.
    /// @dev Reverts (overflow) where a sum does not fit 128 bits: such a tree has no root.
    /// @param hash The leaf's hash.
    /// @param sum The leaf's amount.
    /// @param index The leaf's place; bit k decides the side at height k.
    /// @param path Siblings from the leaf upwards.
    /// @return rootHash The root's hash.
    /// @return rootSum The root's sum.
    function climb(bytes32 hash, uint128 sum, uint256 index, Step[] calldata path)
        internal
        pure
        returns (bytes32 rootHash, uint128 rootSum)
    {
        rootHash = hash;
        rootSum = sum;
        for (uint256 height = 0; height < path.length; ++height) {
            Step calldata sibling = path[height];
            rootHash = (index >> height) & 1 == 0
                ? node(rootHash, rootSum, sibling.hash, sibling.sum)
                : node(sibling.hash, sibling.sum, rootHash, rootSum);
            rootSum += sibling.sum;
        }
    }

    /// @notice An inner node's hash.
    /// @param leftHash Hash of the left child.
    /// @param leftSum Sum of the left child.
    /// @param rightHash Hash of the right child.
    /// @param rightSum Sum of the right child.
    /// @return The hash.
    function node(bytes32 leftHash, uint128 leftSum, bytes32 rightHash, uint128 rightSum)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(leftHash, leftSum, rightHash, rightSum));
    }

    /// @notice A balance's leaf. An account that has nothing has the hash 0.
    /// @param account The account's number, which is also the leaf's place.
    /// @param balance Its balance in atoms.
    /// @return The hash.
    function balanceLeaf(uint32 account, uint128 balance) internal pure returns (bytes32) {
        return balance == 0 ? bytes32(0) : keccak256(abi.encodePacked("leaf", account, balance));
    }

    /// @notice Whether an account has a balance under an asset's line.
    /// @param line The line.
    /// @param account Whose.
    /// @param balance How much, in atoms.
    /// @param path Siblings from the leaf upwards: as many as the tree is deep.
    /// @return Whether it has.
    function isBalance(AssetLine calldata line, uint32 account, uint128 balance, Step[] calldata path)
        internal
        pure
        returns (bool)
    {
        if (path.length != BALANCE_DEPTH) return false;
        (bytes32 hash, uint128 sum) = climb(balanceLeaf(account, balance), balance, account, path);
        return hash == line.treeHash && sum == line.totals.sum();
    }

    /// @notice A withdrawal's leaf.
    /// @param account Whose.
    /// @param amount How much, in atoms.
    /// @return The hash.
    function withdrawalLeaf(uint32 account, uint128 amount) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked("withdrawal", account, amount));
    }
}
