// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {AssetLine, Claim, Header, QueueEntry, WithdrawalLine} from "../Types.sol";
import {Moment, Range} from "./ClaimFields.sol";
import {Totals} from "./Totals.sol";

/// @title The hashes that bind operator, contract and journal
/// @notice Each has its twin in the Rust crate; settlement/vectors/ holds them together.
library Encoding {
    /// @notice Most blobs that a transaction of ours carries.
    uint256 internal constant MAX_BLOBS = 6;
    /// @notice Queue entry: money that arrived. `extra` is the owner's address.
    uint8 internal constant DEPOSIT = 1;
    /// @notice Queue entry: a trading key to be bound. `extra` is the key, `amount` its expiry in seconds, 0 for never.
    uint8 internal constant REGISTER_KEY = 2;
    /// @notice Queue entry: a trading key to be ended. `extra` is the key.
    uint8 internal constant REVOKE_KEY = 3;
    /// @notice Queue entry: a withdrawal that the owner asks for.
    uint8 internal constant WITHDRAWAL = 4;
    /// @notice Queue entry: the owner wants all of an asset, orders cancelled. The batch that consumes it has to leave
    /// the account's leaf empty. `amount` and `extra` are 0.
    uint8 internal constant FORCED_WITHDRAWAL = 5;

    /// @notice What the header key signs of a batch, as EIP-712 typed data. `header` is {hashHeader}.
    bytes32 internal constant BATCH_TYPE = keccak256("Batch(bytes32 header)");
    /// @notice What the header key signs of an interval of journal records. `root` is that of {JournalTree}.
    bytes32 internal constant INTERVAL_TYPE = keccak256("Interval(uint16 shard,uint64 epoch,bytes32 root)");
    /// @notice What an owner signs so that somebody else may bring in the registration.
    bytes32 internal constant REGISTER_KEY_TYPE =
        keccak256("RegisterKey(address owner,bytes32 ed25519Key,uint64 epoch,uint64 expiry)");

    /// @notice The EIP-712 domain of all that is signed for a venue.
    /// @param chainId The chain.
    /// @param settlement The contract.
    /// @return The domain separator.
    function domain(uint256 chainId, address settlement) internal pure returns (bytes32) {
        bytes32 kind = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        return keccak256(abi.encode(kind, keccak256("Lakh"), keccak256("1"), chainId, settlement));
    }

    /// @notice A header's hash.
    /// @param header The header.
    /// @return hash keccak256 of its 16 words.
    function hashHeader(Header calldata header) internal pure returns (bytes32 hash) {
        // abi.encode would check and move each word on its own, for the same 512 bytes.
        assembly ("memory-safe") {
            let words := mload(0x40)
            calldatacopy(words, header, 512)
            hash := keccak256(words, 512)
        }
    }

    /// @notice The hash of the header that a claim stands for.
    /// @param claim The claim.
    /// @param prevRoot The balances root before the batch.
    /// @param newRoot The balances root after the batch.
    /// @param dataHash The hash of the batch's data.
    /// @param payouts The withdrawals root.
    /// @return hash As of {hashHeader}; the steps root is 0.
    function hashClaim(Claim calldata claim, bytes32 prevRoot, bytes32 newRoot, bytes32 dataHash, bytes32 payouts)
        internal
        pure
        returns (bytes32 hash)
    {
        (Range range, Moment moment) = (claim.range, claim.moment);
        // A structure in memory would be made of zeroes first: 400 gas.
        assembly ("memory-safe") {
            let words := mload(0x40)
            let low := sub(shl(64, 1), 1)
            mstore(words, shr(224, range))
            mstore(add(words, 32), and(shr(128, range), low))
            mstore(add(words, 64), and(shr(64, range), low))
            mstore(add(words, 96), and(range, low))
            mstore(add(words, 128), shr(192, moment))
            mstore(add(words, 160), and(shr(128, moment), low))
            mstore(add(words, 192), and(shr(64, moment), low))
            mstore(add(words, 224), and(moment, low))
            mstore(add(words, 256), prevRoot)
            mstore(add(words, 288), newRoot)
            // journalHash, journalRoot, queuePrefix
            calldatacopy(add(words, 320), add(claim, 64), 96)
            mstore(add(words, 416), dataHash)
            mstore(add(words, 448), 0)
            mstore(add(words, 480), payouts)
            hash := keccak256(words, 512)
        }
    }

    /// @notice The hash of bytes in calldata.
    /// @param data The bytes.
    /// @return hash keccak256 of them.
    function hashBytes(bytes calldata data) internal pure returns (bytes32 hash) {
        // The compiler would keep the copy, behind checks of its length: 200 gas.
        assembly ("memory-safe") {
            let copy := mload(0x40)
            calldatacopy(copy, data.offset, data.length)
            hash := keccak256(copy, data.length)
        }
    }

    /// @notice What the contract stores of a batch.
    /// @param headerHash The header's hash.
    /// @param time The time of the block that it came with, in seconds.
    /// @param blockNumber That block's number.
    /// @return hash keccak256(headerHash ‖ time ‖ blockNumber), three words.
    function hashBatch(bytes32 headerHash, uint256 time, uint256 blockNumber) internal pure returns (bytes32 hash) {
        // abi.encode would keep the three words, behind checks: 250 gas.
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, headerHash)
            mstore(add(words, 32), time)
            mstore(add(words, 64), blockNumber)
            hash := keccak256(words, 96)
        }
    }

    /// @notice Adds a word to a running hash.
    /// @param fold The hash of the words before it; 0 before the first.
    /// @param word The word.
    /// @return keccak256(fold ‖ word), 64 bytes.
    function append(bytes32 fold, bytes32 word) internal pure returns (bytes32) {
        return Hashes.efficientKeccak256(fold, word);
    }

    /// @notice The balances root.
    /// @param trees Running hash of all assets' tree hashes, in the order of their numbers.
    /// @param totals Running hash of all assets' totals, in the order of their numbers.
    /// @return keccak256(trees ‖ totals), 64 bytes. Apart, because totals rarely change and trees always do.
    function balancesRoot(bytes32 trees, bytes32 totals) internal pure returns (bytes32) {
        return Hashes.efficientKeccak256(trees, totals);
    }

    /// @notice Adds an asset's withdrawals to the withdrawals root, which starts at 0.
    /// @param root Over the assets before it.
    /// @param asset The asset.
    /// @param treeHash Root hash of its withdrawal tree.
    /// @param sum Root sum of its withdrawal tree.
    /// @return keccak256(root ‖ asset ‖ treeHash ‖ sum), four words.
    function foldWithdrawals(bytes32 root, uint256 asset, bytes32 treeHash, uint128 sum)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(root, asset, treeHash, sum));
    }

    /// @notice The withdrawals root over all assets that have withdrawals.
    /// @param lines They, in the order of asset numbers.
    /// @return root The root; 0 for no line.
    function withdrawalsRoot(WithdrawalLine[] calldata lines) internal pure returns (bytes32 root) {
        for (uint256 i = 0; i < lines.length; ++i) {
            root = foldWithdrawals(root, lines[i].asset, lines[i].treeHash, lines[i].sum);
        }
    }

    /// @notice The balances root over all assets.
    /// @param lines Every asset, in the order of their numbers.
    /// @return The root.
    function linesRoot(AssetLine[] calldata lines) internal pure returns (bytes32) {
        bytes32 trees = 0;
        bytes32 totals = 0;
        for (uint256 asset = 0; asset < lines.length; ++asset) {
            trees = append(trees, lines[asset].treeHash);
            totals = append(totals, Totals.unwrap(lines[asset].totals));
        }
        return balancesRoot(trees, totals);
    }

    /// @notice What a batch's header names as its data where they are in the transaction's blobs.
    /// @return hash keccak256(first blob's versioned hash ‖ second's ‖ …); 0 where the transaction has no blob.
    function blobsHash() internal view returns (bytes32 hash) {
        bytes32[] memory hashes = new bytes32[](MAX_BLOBS);
        uint256 count = 0;
        while (count < MAX_BLOBS) {
            bytes32 versioned = blobhash(count);
            if (versioned == 0) break;
            hashes[count++] = versioned;
        }
        if (count == 0) return 0;
        assembly ("memory-safe") {
            hash := keccak256(add(hashes, 32), mul(count, 32))
        }
    }

    /// @notice The queue's prefix hash before its first entry: binds everything to one contract on one chain.
    /// @param chainId The chain.
    /// @param settlement The contract.
    /// @return keccak256(chainId ‖ settlement), 52 bytes. Its first 16 bytes are the venue tag.
    function queueOrigin(uint256 chainId, address settlement) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(chainId, settlement));
    }

    /// @notice The queue's prefix hash with one more entry: 87 bytes hashed.
    /// @param previous Prefix hash before the entry.
    /// @param kind What it is.
    /// @param account Whose.
    /// @param asset Of what; 0 for keys.
    /// @param amount How much in atoms, or what the kind says.
    /// @param extra What the kind says, else 0.
    /// @param time When, in seconds.
    /// @return The prefix hash.
    function queueEntry(
        bytes32 previous,
        uint8 kind,
        uint32 account,
        uint16 asset,
        uint64 amount,
        bytes32 extra,
        uint64 time
    ) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(previous, kind, account, asset, amount, extra, time));
    }

    /// @notice The same for an entry in one piece.
    /// @param previous Prefix hash before the entry.
    /// @param entry The entry.
    /// @return The prefix hash.
    function hashEntry(bytes32 previous, QueueEntry calldata entry) internal pure returns (bytes32) {
        return queueEntry(previous, entry.kind, entry.account, entry.asset, entry.amount, entry.extra, entry.time);
    }
}
