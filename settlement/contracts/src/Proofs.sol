// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Keys} from "./Keys.sol";
import {AssetLine, Header, QueueEntry, Receipt, Stamp, Step} from "./Types.sol";
import {Encoding} from "./lib/Encoding.sol";
import {JournalTree} from "./lib/JournalTree.sol";
import {SumTree} from "./lib/SumTree.sol";

/// @title What proofs need of the settlement contract
interface ProvedSettlement {
    /// @notice Reverts unless header and stamp are of a batch that counts.
    function requireBatch(Header calldata header, Stamp calldata stamp) external view;
    /// @notice Reverts unless the entry is the queue's.
    function requireEntry(QueueEntry calldata entry) external view;
    /// @notice Where it is told until when a header key's receipts prove something.
    function keys() external view returns (Keys);
    /// @notice A hash as EIP-712 typed data of the settlement contract.
    function hashTypedData(bytes32 structHash) external view returns (bytes32);
    /// @notice Stops the venue for ever.
    function freezeForProof() external;
}

/// @title Where the operator's misbehaviour is proved
/// @notice Each proof freezes the venue at once: nobody has to be believed. Anybody may call.
contract Proofs {
    /// @notice What is frozen by a proof.
    ProvedSettlement public immutable settlement;

    /// @notice A forced withdrawal was consumed, but the balance is still there.
    event UnservedProved(uint64 indexed queueId, uint64 indexed batchId, uint128 balance);
    /// @notice The journal that was committed holds another record than the receipt promised.
    event ReceiptViolated(uint64 indexed sequence, uint64 indexed batchId, bytes32 promised, bytes32 committed);
    /// @notice Two receipts promise different records in one place.
    event EquivocationProved(uint64 indexed sequence, bytes32 one, bytes32 other);

    /// @notice The entry is no forced withdrawal.
    error NotForced(uint64 queueId);
    /// @notice The batch did not consume the entry, or that is not the batch before.
    error NotConsumed(uint64 queueId);
    /// @notice The lines are not the batch's.
    error WrongLines();
    /// @notice The path does not lead to the batch's root.
    error WrongProof();
    /// @notice The balance is 0: the withdrawal was served.
    error Served();
    /// @notice The receipt is not signed by a header key that counts.
    error NotSigned(address signer);
    /// @notice The record is not of the batch, or the receipts are not of one place.
    error WrongSequence(uint64 sequence);
    /// @notice Both say the same.
    error NoContradiction();

    /// @notice The creator is the settlement contract.
    constructor() {
        settlement = ProvedSettlement(msg.sender);
    }

    /// @notice A forced withdrawal has to be served, not only consumed: in the batch that consumed it the account has
    /// nothing left of the asset.
    /// @param entry The forced withdrawal.
    /// @param header The batch that consumed it.
    /// @param stamp When it was committed.
    /// @param previous The batch before it; anything where there is none.
    /// @param previousStamp When that was committed.
    /// @param lines Every asset after the batch.
    /// @param balance What the account still has, in atoms.
    /// @param path From its leaf to the root of the asset's tree.
    function proveUnserved(
        QueueEntry calldata entry,
        Header calldata header,
        Stamp calldata stamp,
        Header calldata previous,
        Stamp calldata previousStamp,
        AssetLine[] calldata lines,
        uint128 balance,
        Step[] calldata path
    ) external {
        settlement.requireEntry(entry);
        if (entry.kind != Encoding.FORCED_WITHDRAWAL) revert NotForced(entry.queueId);
        settlement.requireBatch(header, stamp);
        if (header.queueUpTo < entry.queueId) revert NotConsumed(entry.queueId);
        if (header.batchId != 1) {
            settlement.requireBatch(previous, previousStamp);
            if (previous.batchId + 1 != header.batchId) revert NotConsumed(entry.queueId);
            if (previous.queueUpTo >= entry.queueId) revert NotConsumed(entry.queueId);
        }
        if (Encoding.linesRoot(lines) != header.newRoot) revert WrongLines();
        if (balance == 0) revert Served();
        if (!SumTree.isBalance(lines[entry.asset], entry.account, balance, path)) revert WrongProof();
        emit UnservedProved(entry.queueId, header.batchId, balance);
        settlement.freezeForProof();
    }

    /// @notice The venue promised a record in a place of its journal, and committed to another one there: an order was
    /// dropped, changed or reordered.
    /// @param receipt The promise.
    /// @param header A batch that covers the place.
    /// @param stamp When it was committed.
    /// @param committed keccak256 of the record that the batch has there.
    /// @param path From its leaf to the batch's journal root.
    function proveReceiptViolated(
        Receipt calldata receipt,
        Header calldata header,
        Stamp calldata stamp,
        bytes32 committed,
        bytes32[] calldata path
    ) external {
        _requireSigned(receipt);
        settlement.requireBatch(header, stamp);
        uint64 sequence = receipt.sequence;
        if (sequence < header.firstSequence) revert WrongSequence(sequence);
        if (sequence > header.lastSequence) revert WrongSequence(sequence);
        if (committed == receipt.recordHash) revert NoContradiction();
        uint64 count = header.lastSequence - header.firstSequence + 1;
        bytes32 leaf = JournalTree.leaf(sequence, committed);
        bytes32 root = JournalTree.climb(leaf, sequence - header.firstSequence, count, path);
        if (root != header.journalRoot) revert WrongProof();
        emit ReceiptViolated(sequence, header.batchId, receipt.recordHash, committed);
        settlement.freezeForProof();
    }

    /// @notice Two receipts that promise different records in one place are proof by themselves.
    /// @param one A receipt.
    /// @param other Another one.
    function proveEquivocation(Receipt calldata one, Receipt calldata other) external {
        _requireSigned(one);
        _requireSigned(other);
        if (one.sequence != other.sequence) revert WrongSequence(other.sequence);
        if (one.shard != other.shard) revert WrongSequence(other.sequence);
        if (one.recordHash == other.recordHash) revert NoContradiction();
        emit EquivocationProved(one.sequence, one.recordHash, other.recordHash);
        settlement.freezeForProof();
    }

    /// @notice What the header key signs of a receipt's interval.
    /// @param receipt The receipt.
    /// @return The digest.
    function receiptDigest(Receipt calldata receipt) public view returns (bytes32) {
        bytes32 leaf = JournalTree.leaf(receipt.sequence, receipt.recordHash);
        bytes32 root = JournalTree.climb(leaf, receipt.index, receipt.count, receipt.path);
        bytes32 interval = keccak256(abi.encode(Encoding.INTERVAL_TYPE, receipt.shard, receipt.epoch, root));
        return settlement.hashTypedData(interval);
    }

    function _requireSigned(Receipt calldata receipt) private view {
        address signer = ECDSA.recover(receiptDigest(receipt), receipt.signature.r, receipt.signature.vs);
        if (block.timestamp >= settlement.keys().signerUntil(signer)) revert NotSigned(signer);
    }
}
