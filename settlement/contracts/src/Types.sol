// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

// What crosses the border between the operator and the contract. The Rust crate `lakh-settlement` encodes the same
// structures (commitment.rs, withdrawals.rs); settlement/vectors/ holds both to one result.

/// @notice What a batch claims. Its hash is keccak256(abi.encode(header)): 16 words in the order below.
/// @param version Format of this header: 1.
/// @param batchId Number of the batch, from 1, without gaps.
/// @param firstSequence First journal record that the batch covers: the last batch's `lastSequence` + 1.
/// @param lastSequence Last journal record that the batch covers.
/// @param firstTime Time of the first record in seconds since the Unix epoch, rounded down.
/// @param lastTime Time of the last record in seconds since the Unix epoch, rounded down.
/// @param queueUpTo The last queue entry that the batch consumes; 0 while there was none.
/// @param fills Trades in the batch. Informative.
/// @param prevRoot Balances root before the batch.
/// @param newRoot Balances root after the batch, see {Encoding.balancesRoot}.
/// @param journalHash Hash of the journal's last block that the batch covers.
/// @param journalRoot Merkle root over the batch's journal records.
/// @param queuePrefix The queue's prefix hash at `queueUpTo`.
/// @param dataHash keccak256 of the published state differences.
/// @param stepsRoot Root over the batch's intermediate states for fraud proofs; 0 at this stage.
/// @param withdrawalsRoot The batch's withdrawals, see {Encoding.foldWithdrawals}; 0 for none.
struct Header {
    uint64 version;
    uint64 batchId;
    uint64 firstSequence;
    uint64 lastSequence;
    uint64 firstTime;
    uint64 lastTime;
    uint64 queueUpTo;
    uint64 fills;
    bytes32 prevRoot;
    bytes32 newRoot;
    bytes32 journalHash;
    bytes32 journalRoot;
    bytes32 queuePrefix;
    bytes32 dataHash;
    bytes32 stepsRoot;
    bytes32 withdrawalsRoot;
}

/// @notice One asset after a batch. The line's position in the list is the asset's number. Amounts in atoms.
/// @param treeHash Root hash of the asset's sum tree over all accounts.
/// @param sum Root sum of the asset's tree: what the venue owes to all accounts together.
/// @param credited All deposits consumed from the queue since the beginning.
struct AssetLine {
    bytes32 treeHash;
    uint128 sum;
    uint128 credited;
}

/// @notice How an asset's totals came to be what its line says; for the assets whose totals change, in the order of
/// their numbers. Amounts in atoms. The contract keeps only a hash of all totals, so it has to be told the old ones.
/// @param asset The asset's number.
/// @param sum What the venue owed before the batch.
/// @param credited The deposits consumed before the batch.
/// @param withdrawn What the batch withdraws.
/// @param withdrawalsHash Root hash of the sum tree over this batch's withdrawals of the asset; 0 for none.
struct AssetChange {
    uint16 asset;
    uint128 sum;
    uint128 credited;
    uint128 withdrawn;
    bytes32 withdrawalsHash;
}

/// @notice When a batch came to the chain. Hashed with its header, so that one slot holds both.
/// @param time The block's time, in seconds.
/// @param blockNumber The block's number.
struct Stamp {
    uint64 time;
    uint64 blockNumber;
}

/// @notice The withdrawals of one asset in one batch.
/// @param asset The asset's number.
/// @param treeHash Root hash of the sum tree over the withdrawals.
/// @param sum What they come to, in atoms.
struct WithdrawalLine {
    uint16 asset;
    bytes32 treeHash;
    uint128 sum;
}

/// @notice One withdrawal.
/// @param asset The asset's number.
/// @param index Its place in the asset's withdrawal tree of the batch.
/// @param account Whose: its owner is paid.
/// @param amount How much, in atoms.
struct Withdrawal {
    uint16 asset;
    uint32 index;
    uint32 account;
    uint128 amount;
}

/// @notice One step on the way from a leaf to the root of a sum tree: the sibling.
/// @param hash The sibling's hash; 0 for an empty leaf.
/// @param sum The sum below the sibling.
struct Step {
    bytes32 hash;
    uint128 sum;
}

/// @notice What the constructor needs.
/// @param operator Who may commit batches.
/// @param administrator Who may list assets and change deposit limits; has no power over balances.
/// @param venueOwner Owner of account 0, which receives the venue's fees.
/// @param windowSeconds How long a batch waits until it can be final, in seconds.
/// @param windowBlocks How many blocks a batch waits until it can be final; both have to pass.
struct Setup {
    address operator;
    address administrator;
    address venueOwner;
    uint64 windowSeconds;
    uint64 windowBlocks;
}
