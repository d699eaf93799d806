// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SettlementParts} from "./SettlementParts.sol";
import {AssetChange, AssetLine, Header, Signature, Stamp} from "./Types.sol";
import {Encoding} from "./lib/Encoding.sol";

/// @title Batches: committed by the operator, dropped by watchers, final after a window
/// @notice Of all that a batch says, the contract keeps the root, its place and one hash.
abstract contract SettlementBatches is SettlementParts {
    /// @notice Takes the operator's next batch, data in calldata.
    /// @param header What the batch claims.
    /// @param lines Every asset after the batch, in the order of their numbers. A newly listed asset may be left out
    /// until its first deposit is consumed.
    /// @param changes How the totals changed, for each asset whose totals did.
    /// @param previousTrees Running hash of the tree hashes in the last batch's lines; 0 before the first.
    /// @param signature The header key's, over {Encoding.BATCH_TYPE} as EIP-712 typed data.
    /// @param data The state differences.
    function commitBatch(
        Header calldata header,
        AssetLine[] calldata lines,
        AssetChange[] calldata changes,
        bytes32 previousTrees,
        Signature calldata signature,
        bytes calldata data
    ) external nonReentrant {
        _commit(header, lines, changes, previousTrees, signature, keccak256(data));
    }

    /// @notice Takes the operator's next batch, data in the transaction's blobs, see {Encoding.blobsHash}.
    /// @param header What the batch claims.
    /// @param lines As of {commitBatch}.
    /// @param changes As of {commitBatch}.
    /// @param previousTrees As of {commitBatch}.
    /// @param signature As of {commitBatch}.
    function commitBatchBlobs(
        Header calldata header,
        AssetLine[] calldata lines,
        AssetChange[] calldata changes,
        bytes32 previousTrees,
        Signature calldata signature
    ) external nonReentrant {
        bytes32 dataHash = Encoding.blobsHash();
        if (dataHash == 0) revert NoBlobs();
        _commit(header, lines, changes, previousTrees, signature, dataHash);
    }

    function _commit(
        Header calldata header,
        AssetLine[] calldata lines,
        AssetChange[] calldata changes,
        bytes32 previousTrees,
        Signature calldata signature,
        bytes32 dataHash
    ) private {
        Progress memory progress = _progress;
        if (progress.frozen) revert Frozen();
        bytes32 headerHash = Encoding.hashHeader(header);
        _requireKeys(progress, headerHash, signature);
        _requireNext(progress, header);
        _requireQueue(progress, header);
        if (header.dataHash != dataHash) revert WrongData(dataHash, header.dataHash);
        if (lines.length < progress.lineCount) revert WrongLineCount(lines.length);
        if (lines.length > progress.assetCount) revert WrongLineCount(lines.length);
        _requireTotals(progress.lineCount, header, lines, changes, previousTrees);
        _consumeDeposits(progress, header.queueUpTo, lines, changes);
        _requireWithdrawals(header, changes);

        // Batch ids and queue ids count what happened here one by one, and times are near the block's: 40 bits do.
        progress.batchId = uint40(header.batchId);
        progress.lastSequence = header.lastSequence;
        progress.queueUpTo = uint40(header.queueUpTo);
        progress.lastTime = uint40(header.lastTime);
        progress.lineCount = uint8(lines.length);
        _progress = progress;
        tipRoot = header.newRoot;
        Stamp memory stamp = Stamp({time: uint64(block.timestamp), blockNumber: uint64(block.number)});
        batchHash[header.batchId] = Encoding.hashBatch(headerHash, stamp);
        emit BatchCommitted(header.batchId, headerHash);
    }

    /// @notice Makes a batch and all before it final, once the window is over. Anybody may call.
    /// @param header The batch's header.
    /// @param stamp When it was committed.
    function finalize(Header calldata header, Stamp calldata stamp) external {
        _requireLive();
        if (header.batchId <= _progress.finalBatch) revert AlreadyFinal(header.batchId);
        _requireBatch(header, stamp);
        if (!_isWindowOver(stamp)) revert WindowOpen(header.batchId);
        _progress.finalBatch = uint40(header.batchId);
        emit BatchFinal(header.batchId);
    }

    /// @notice Reverts unless the batch may be vetoed now: it counts, and its window is open.
    /// @param header The batch's header.
    /// @param stamp When it was committed.
    function requireVetoable(Header calldata header, Stamp calldata stamp) public view {
        _requireLive();
        _requireBatch(header, stamp);
        if (header.batchId <= _progress.finalBatch) revert AlreadyFinal(header.batchId);
        if (_isWindowOver(stamp)) revert WindowOver(header.batchId);
    }

    /// @notice Drops a batch and all after it: enough watchers have vetoed it, see {Watchers}.
    /// @param header The batch's header.
    /// @param stamp When it was committed.
    /// @param previous The header of the batch before it; anything where there is none.
    /// @param previousStamp When that was committed.
    /// @param previousLines Every asset before the batch.
    function drop(
        Header calldata header,
        Stamp calldata stamp,
        Header calldata previous,
        Stamp calldata previousStamp,
        AssetLine[] calldata previousLines
    ) external {
        if (msg.sender != address(watchers)) revert NotWatchers(msg.sender);
        requireVetoable(header, stamp);
        // The lines tell how many there were, which nothing else does.
        bytes32 root = Encoding.linesRoot(previousLines);
        if (root != header.prevRoot) revert WrongLines(header.prevRoot, root);
        (uint64 queueUpTo, uint64 lastTime) = (0, 0);
        if (header.batchId != 1) {
            _requireBatch(previous, previousStamp);
            if (previous.batchId + 1 != header.batchId) revert WrongPredecessor(previous.batchId);
            (queueUpTo, lastTime) = (previous.queueUpTo, previous.lastTime);
        }
        // Where it began, its own header says, since that was compared when it was committed.
        _goBack(uint40(header.batchId - 1), header.firstSequence - 1, queueUpTo, lastTime, root);
        _progress.lineCount = uint8(previousLines.length);
        if (_counts.vetoes < VETOES_TO_FREEZE) ++_counts.vetoes;
        emit BatchDropped(header.batchId, Encoding.hashHeader(header));
    }

    /// @notice Takes new keys, which {Keys} has announced long ahead.
    /// @param nextOperator The poster's.
    /// @param nextSigner The header key.
    function takeKeys(address nextOperator, address nextSigner) external {
        if (msg.sender != address(keys)) revert NotKeys(msg.sender);
        (_operator, _signer) = (nextOperator, nextSigner);
        _progress.keysRotated = true;
    }

    /// @dev The poster's key sent the batch, and the header key stands for it.
    function _requireKeys(Progress memory progress, bytes32 headerHash, Signature calldata signature) private view {
        (address poster, address headerKey) = (_firstOperator, _firstSigner);
        if (progress.keysRotated) (poster, headerKey) = (_operator, _signer);
        if (msg.sender != poster) revert NotOperator(msg.sender);
        bytes32 digest = _hashTypedData(keccak256(abi.encode(Encoding.BATCH_TYPE, headerHash)));
        (address found,,) = ECDSA.tryRecover(digest, signature.r, signature.vs);
        if (found != headerKey) revert WrongSignature(headerHash);
    }

    /// @dev The header follows the tip.
    function _requireNext(Progress memory progress, Header calldata header) private view {
        if (header.version != HEADER_VERSION) revert WrongVersion(HEADER_VERSION, header.version);
        uint64 batchId = uint64(progress.batchId) + 1;
        if (header.batchId != batchId) revert WrongBatch(batchId, header.batchId);
        uint64 first = progress.lastSequence + 1;
        if (header.firstSequence != first) revert WrongSequence(first, header.firstSequence, header.lastSequence);
        if (header.lastSequence < first) revert WrongSequence(first, header.firstSequence, header.lastSequence);
        bytes32 root = tipRoot;
        if (header.prevRoot != root) revert WrongRoot(root, header.prevRoot);
        if (header.firstTime < progress.lastTime) revert WrongTime(header.firstTime, header.lastTime);
        if (header.lastTime < header.firstTime) revert WrongTime(header.firstTime, header.lastTime);
        if (header.lastTime > block.timestamp + CLOCK_TOLERANCE) revert WrongTime(header.firstTime, header.lastTime);
        if (header.stepsRoot != 0) revert WrongSteps(header.stepsRoot);
    }

    /// @dev The batch consumed exactly the next entries: the prefix hash commits to each of them and to their order.
    function _requireQueue(Progress memory progress, Header calldata header) private view {
        if (header.queueUpTo < progress.queueUpTo) revert WrongQueue(header.queueUpTo, header.queuePrefix);
        bytes32 prefix = queuePrefix[header.queueUpTo];
        // No entry hashes to 0: such a place in the queue is not filled yet.
        if (prefix == 0) revert WrongQueue(header.queueUpTo, header.queuePrefix);
        if (prefix != header.queuePrefix) revert WrongQueue(header.queueUpTo, header.queuePrefix);
    }

    /// @dev The lines are those of the new root; with the changes taken back, their totals are those of the old root;
    /// and each change conserves money.
    function _requireTotals(
        uint256 oldLineCount,
        Header calldata header,
        AssetLine[] calldata lines,
        AssetChange[] calldata changes,
        bytes32 previousTrees
    ) private pure {
        bytes32 trees;
        bytes32 totals;
        bytes32 oldTotals;
        uint256 next;
        for (uint256 asset = 0; asset < lines.length; ++asset) {
            AssetLine calldata line = lines[asset];
            bytes32 word = Encoding.totalsWord(line.sum, line.credited);
            trees = Encoding.append(trees, line.treeHash);
            totals = Encoding.append(totals, word);
            if (next < changes.length && changes[next].asset == asset) {
                word = _requireConserved(line, changes[next++]);
            }
            if (asset < oldLineCount) oldTotals = Encoding.append(oldTotals, word);
            else if (word != 0) revert WrongTotals(0, word);
        }
        if (next != changes.length) revert WrongChange(changes[next].asset);
        bytes32 root = Encoding.balancesRoot(trees, totals);
        if (root != header.newRoot) revert WrongLines(root, header.newRoot);
        root = Encoding.balancesRoot(previousTrees, oldTotals);
        if (root != header.prevRoot) revert WrongTotals(header.prevRoot, root);
    }

    /// @dev What is owed = what was owed + deposits consumed − withdrawals. Returns the totals before the change.
    function _requireConserved(AssetLine calldata line, AssetChange calldata change) private pure returns (bytes32) {
        uint256 left = uint256(line.sum) + change.withdrawn + change.credited;
        if (left != uint256(change.sum) + line.credited) revert WrongSum(change.asset);
        if ((change.withdrawn == 0) != (change.withdrawalsHash == 0)) revert WrongWithdrawn(change.asset);
        return Encoding.totalsWord(change.sum, change.credited);
    }

    /// @dev Each asset's credited deposits are those of the queue's entries up to `queueUpTo`. What was true of the
    /// last batch stays true of an asset that has no deposits in the queue, as long as its total stays the same.
    function _consumeDeposits(
        Progress memory progress,
        uint64 queueUpTo,
        AssetLine[] calldata lines,
        AssetChange[] calldata changes
    ) private {
        uint64 pending = queueUpTo == progress.queueUpTo ? 0 : _counts.pendingAssets;
        for (uint256 i = 0; i < changes.length; ++i) {
            AssetChange calldata change = changes[i];
            bool mayCredit = (pending >> change.asset) & 1 != 0;
            if (!mayCredit && lines[change.asset].credited != change.credited) revert WrongCredit(change.asset);
        }
        if (pending == 0) return;
        uint64 left = pending;
        for (uint256 asset = 0; asset < progress.assetCount; ++asset) {
            if ((pending >> asset) & 1 == 0) continue;
            uint128 credited = asset < lines.length ? lines[asset].credited : 0;
            if (_requireCredit(asset, credited, queueUpTo) == 0) left &= ~(uint64(1) << uint64(asset));
        }
        if (left != pending) _counts.pendingAssets = left;
    }

    /// @dev `credited` is the sum of the asset's deposits among the queue's entries up to `queueUpTo`. Returns the
    /// entry of the first deposit after them; 0 for none.
    function _requireCredit(uint256 asset, uint128 credited, uint64 queueUpTo) private view returns (uint64 next) {
        Checkpoint memory checkpoint = _checkpoints[asset][credited];
        next = checkpoint.nextQueueId;
        // No deposit reached this total.
        if (credited != 0 && checkpoint.queueId == 0) revert WrongCredit(asset);
        // A deposit is credited that the batch does not consume.
        if (checkpoint.queueId > queueUpTo) revert WrongCredit(asset);
        // A deposit is consumed that is not credited.
        if (next != 0 && next <= queueUpTo) revert WrongCredit(asset);
    }

    /// @dev The header's withdrawals are those of the changes, and there is money for them. An asset that is known to be
    /// in trouble holds the others not back: its withdrawals are committed, and paid when it is over.
    function _requireWithdrawals(Header calldata header, AssetChange[] calldata changes) private view {
        bytes32 root;
        for (uint256 i = 0; i < changes.length; ++i) {
            AssetChange calldata change = changes[i];
            if (change.withdrawn == 0) continue;
            root = Encoding.foldWithdrawals(root, change.asset, change.withdrawalsHash, change.withdrawn);
            Asset memory kind = _assets[change.asset];
            if (!kind.quarantined && !_isSolvent(kind)) revert Insolvent(change.asset);
        }
        if (root != header.withdrawalsRoot) revert WrongWithdrawals(root, header.withdrawalsRoot);
    }
}
