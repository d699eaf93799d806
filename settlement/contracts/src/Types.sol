// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Moment, Range} from "./lib/ClaimFields.sol";
import {Totals} from "./lib/Totals.sol";

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
/// @param queuePrefix The queue's prefix hash at `queueUpTo`; 0 where the batch consumes no entry.
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

/// @notice What a commit says of a batch beside lines, changes and data: the {Header} without what the contract has itself
/// (the root before) or works out (the root after, the hashes of data and withdrawals). The header key has signed all of
/// the header, so a batch that differs in one of those is refused as {SettlementErrors.WrongSignature}. Numbers share
/// words, since a byte of calldata costs gas whatever it says.
/// @param range The journal range, see {RangeFields}.
/// @param moment Times, the queue and fills, see {MomentFields}.
/// @param journalHash As of {Header}.
/// @param journalRoot As of {Header}.
/// @param queuePrefix As of {Header}.
/// @param previousTrees Running hash of the tree hashes in the last batch's lines; 0 before the first.
/// @param signature The header key's, over {Encoding.BATCH_TYPE} as EIP-712 typed data.
struct Claim {
    Range range;
    Moment moment;
    bytes32 journalHash;
    bytes32 journalRoot;
    bytes32 queuePrefix;
    bytes32 previousTrees;
    Signature signature;
}

/// @notice One asset after a batch. The line's position in the list is the asset's number. Amounts in atoms.
/// @param treeHash Root hash of the asset's sum tree over all accounts.
/// @param totals What the venue owes, and the deposits consumed.
struct AssetLine {
    bytes32 treeHash;
    Totals totals;
}

/// @notice How an asset's totals came to be what its line says; for the assets whose totals change, in the order of
/// their numbers. Amounts in atoms. The contract keeps only a hash of all totals, so it has to be told the old ones.
/// @param asset The asset's number.
/// @param before The totals before the batch.
/// @param withdrawn What the batch withdraws.
/// @param withdrawalsHash Root hash of the sum tree over this batch's withdrawals of the asset; 0 for none.
struct AssetChange {
    uint16 asset;
    Totals before;
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

/// @notice One entry of the queue, as its `Queued` event told it.
/// @param queueId Its number, from 1.
/// @param kind What it is, see {Encoding}.
/// @param account Whose.
/// @param asset Of what; 0 for keys.
/// @param amount How much in atoms, or what the kind says.
/// @param extra What the kind says, else 0.
/// @param time When, in seconds.
struct QueueEntry {
    uint64 queueId;
    uint8 kind;
    uint32 account;
    uint16 asset;
    uint64 amount;
    bytes32 extra;
    uint64 time;
}

/// @notice A compact secp256k1 signature (EIP-2098).
/// @param r The first half.
/// @param vs The second half, with the parity in its highest bit.
struct Signature {
    bytes32 r;
    bytes32 vs;
}

/// @notice The venue's promise that a record stands in its journal: one signature over the Merkle root of an interval
/// of records, and the record's way to that root.
/// @param shard The engine that took it.
/// @param epoch The start of the node that took it.
/// @param sequence The record's sequence.
/// @param recordHash keccak256 of the record.
/// @param index The record's place in the interval.
/// @param count Records in the interval.
/// @param path Siblings from the leaf upwards, see {JournalTree}.
/// @param signature The header key's, over {Encoding.INTERVAL_TYPE} as EIP-712 typed data of the settlement contract.
struct Receipt {
    uint16 shard;
    uint64 epoch;
    uint64 sequence;
    bytes32 recordHash;
    uint64 index;
    uint64 count;
    bytes32[] path;
    Signature signature;
}

/// @notice What the constructor needs. What stands here can never change, but for the two keys and the watchers, whose
/// changes have to be announced {SettlementStorage.NOTICE} ahead.
/// @param operator The poster's key: who may send batches.
/// @param signer The header key: whose signature under a batch's header and under receipts counts.
/// @param administrator Who may list assets, change deposit limits, announce keys and watchers; has no power over
/// balances.
/// @param venueOwner Owner of account 0, which receives the venue's fees.
/// @param windowSeconds How long a batch waits until it can be final, in seconds.
/// @param windowBlocks How many blocks a batch waits until it can be final; both have to pass.
/// @param freezeBlocks How many blocks an entry waits in the queue until the venue may be frozen, beside the 7 days; at
/// most one for each second of them.
/// @param forcedFee What a forced withdrawal costs, in wei.
/// @param outflowPercent How much of an asset may leave in a day at once, 1 ..= 100; what exceeds it waits 7 days. 100
/// stands for no such delay.
/// @param vetoBond What each watcher's veto puts at stake, in wei.
/// @param vetoThreshold How many watchers have to agree, at least 1.
/// @param watchers Who may veto, at most 32.
struct Setup {
    address operator;
    address signer;
    address administrator;
    address venueOwner;
    uint64 windowSeconds;
    uint64 windowBlocks;
    uint64 freezeBlocks;
    uint64 forcedFee;
    uint64 outflowPercent;
    uint64 vetoBond;
    uint64 vetoThreshold;
    address[] watchers;
}
