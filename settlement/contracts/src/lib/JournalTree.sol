// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";

/// @title Merkle trees over journal records
/// @notice Leaf = keccak256(sequence ‖ keccak256(record)), 40 bytes; node = keccak256(left ‖ right), 64 bytes, so that
/// neither can be taken for the other. A tree over n leaves has the largest power of two below n on its left, as in
/// RFC 6962. Both a batch's journal root and a receipt's interval root are such trees.
library JournalTree {
    /// @notice The path does not belong to a tree of that many leaves.
    error WrongPath();

    /// @notice A record's leaf.
    /// @param sequence Its sequence.
    /// @param recordHash keccak256 of the record.
    /// @return The leaf.
    function leaf(uint64 sequence, bytes32 recordHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(sequence, recordHash));
    }

    /// @notice Climbs from a leaf to the root (RFC 9162, 2.1.3.2).
    /// @param hash The leaf.
    /// @param index Its place.
    /// @param count Leaves in the tree.
    /// @param path Siblings from the leaf upwards.
    /// @return The root.
    function climb(bytes32 hash, uint64 index, uint64 count, bytes32[] calldata path) internal pure returns (bytes32) {
        if (index >= count) revert WrongPath();
        uint64 last = count - 1;
        for (uint256 i = 0; i < path.length; ++i) {
            if (last == 0) revert WrongPath();
            if (index & 1 == 1 || index == last) {
                hash = Hashes.efficientKeccak256(path[i], hash);
                // The last leaf of a level that has no sibling rises as it is.
                while (index & 1 == 0 && index != 0) {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                hash = Hashes.efficientKeccak256(hash, path[i]);
            }
            index >>= 1;
            last >>= 1;
        }
        if (last != 0) revert WrongPath();
        return hash;
    }
}
