// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SettlementParts} from "./SettlementParts.sol";
import {AssetChange, AssetLine, Header, Signature, Stamp} from "./Types.sol";
import {Encoding} from "./lib/Encoding.sol";
import {Progress} from "./lib/Progress.sol";

/// @title Batches: committed by the operator, dropped by watchers, final after a window
/// @notice Of all that a batch says, the contract keeps the root, its place and one hash.
abstract contract SettlementBatches is SettlementParts {
    /// @notice Takes the operator's next batch, data in calldata.
    /// @param header What the batch claims.
    /// @param previousTrees Running hash of the tree hashes in the last batch's lines; 0 before the first.
    /// @param lines Every asset after the batch, in the order of their numbers. A newly listed asset may be left out
    /// until its first deposit is consumed.
    /// @param signature The header key's, over {Encoding.BATCH_TYPE} as EIP-712 typed data.
    /// @param data The state differences.
    /// @param changes How the totals changed, for each asset whose totals did.
    /// @dev The order of the arguments is one that gives the function a low number: the compiler compares a call's
    /// number with all functions' in turn, 22 gas each, and there are 69.
    function commitBatch(
        Header calldata header,
        bytes32 previousTrees,
        AssetLine[] calldata lines,
        Signature calldata signature,
        bytes calldata data,
        AssetChange[] calldata changes
    ) external nonReentrantView {
        _commit(header, previousTrees, lines, signature, keccak256(data), changes);
    }

    /// @notice Takes the operator's next batch, data in the transaction's blobs, see {Encoding.blobsHash}.
    /// @param header What the batch claims.
    /// @param previousTrees As of {commitBatch}.
    /// @param lines As of {commitBatch}.
    /// @param signature As of {commitBatch}.
    /// @param changes As of {commitBatch}.
    function commitBatchBlobs(
        Header calldata header,
        bytes32 previousTrees,
        AssetLine[] calldata lines,
        Signature calldata signature,
        AssetChange[] calldata changes
    ) external nonReentrantView {
        bytes32 dataHash = Encoding.blobsHash();
        if (dataHash == 0) revert NoBlobs();
        _commit(header, previousTrees, lines, signature, dataHash, changes);
    }

    function _commit(
        Header calldata header,
        bytes32 previousTrees,
        AssetLine[] calldata lines,
        Signature calldata signature,
        bytes32 dataHash,
        AssetChange[] calldata changes
    ) private {
        Progress progress = _progress;
        if (progress.isFrozen()) revert Frozen();
        bytes32 headerHash = Encoding.hashHeader(header);
        _requireKeys(progress, headerHash, signature);
        _requireNext(progress, header);
        _requireQueue(progress, header);
        if (header.dataHash != dataHash) revert WrongData(dataHash, header.dataHash);
        if (lines.length < progress.lineCount()) revert WrongLineCount(lines.length);
        if (lines.length > progress.assetCount()) revert WrongLineCount(lines.length);
        _requireTotals(progress.lineCount(), header, lines, changes, previousTrees);
        _consumeDeposits(progress, header.queueUpTo, lines, changes);
        _requireWithdrawals(header, lines, changes);

        progress = progress.withTip(header.batchId, header.lastSequence, header.queueUpTo, header.lastTime);
        _progress = progress.withLineCount(lines.length);
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
        if (header.batchId <= _progress.finalBatch()) revert AlreadyFinal(header.batchId);
        _requireBatch(header, stamp);
        if (!_isWindowOver(stamp)) revert WindowOpen(header.batchId);
        _progress = _progress.withFinalBatch(header.batchId);
        emit BatchFinal(header.batchId);
    }

    /// @notice Reverts unless the batch may be vetoed now: it counts, and its window is open.
    /// @param header The batch's header.
    /// @param stamp When it was committed.
    function requireVetoable(Header calldata header, Stamp calldata stamp) public view {
        _requireLive();
        _requireBatch(header, stamp);
        if (header.batchId <= _progress.finalBatch()) revert AlreadyFinal(header.batchId);
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
        _goBack(header.batchId - 1, header.firstSequence - 1, queueUpTo, lastTime, root);
        _progress = _progress.withLineCount(previousLines.length);
        if (_counts.vetoes < VETOES_TO_FREEZE) ++_counts.vetoes;
        emit BatchDropped(header.batchId, Encoding.hashHeader(header));
    }

    /// @notice Takes new keys, which {Keys} has announced long ahead.
    /// @param nextOperator The poster's.
    /// @param nextSigner The header key.
    function takeKeys(address nextOperator, address nextSigner) external {
        if (msg.sender != address(keys)) revert NotKeys(msg.sender);
        // That neither is 0, {Keys.announce} has seen to.
        // slither-disable-next-line missing-zero-check
        (_operator, _signer) = (nextOperator, nextSigner);
        _progress = _progress.withRotatedKeys();
    }

    /// @dev The poster's key sent the batch, and the header key stands for it.
    function _requireKeys(Progress progress, bytes32 headerHash, Signature calldata signature) private view {
        (address poster, address headerKey) = (_firstOperator, _firstSigner);
        if (progress.areKeysRotated()) (poster, headerKey) = (_operator, _signer);
        if (msg.sender != poster) revert NotOperator(msg.sender);
        bytes32 digest = _hashTypedData(keccak256(abi.encode(Encoding.BATCH_TYPE, headerHash)));
        // Why it failed is of no interest: nobody's address is no key.
        // slither-disable-next-line unused-return
        (address found,,) = ECDSA.tryRecover(digest, signature.r, signature.vs);
        if (found != headerKey) revert WrongSignature(headerHash);
    }

    /// @dev The header follows the tip.
    function _requireNext(Progress progress, Header calldata header) private view {
        if (header.version != HEADER_VERSION) revert WrongVersion(HEADER_VERSION, header.version);
        uint64 batchId = progress.batchId() + 1;
        if (header.batchId != batchId) revert WrongBatch(batchId, header.batchId);
        uint64 first = progress.lastSequence() + 1;
        if (header.firstSequence != first) revert WrongSequence(first, header.firstSequence, header.lastSequence);
        if (header.lastSequence < first) revert WrongSequence(first, header.firstSequence, header.lastSequence);
        bytes32 root = tipRoot;
        if (header.prevRoot != root) revert WrongRoot(root, header.prevRoot);
        if (header.firstTime < progress.lastTime()) revert WrongTime(header.firstTime, header.lastTime);
        if (header.lastTime < header.firstTime) revert WrongTime(header.firstTime, header.lastTime);
        if (header.lastTime > block.timestamp + CLOCK_TOLERANCE) revert WrongTime(header.firstTime, header.lastTime);
        if (header.stepsRoot != 0) revert WrongSteps(header.stepsRoot);
    }

    /// @dev The batch consumed exactly the next entries: the prefix hash commits to each of them and to their order. A
    /// batch that consumes none names none, which spares the look: that hash was compared when it was consumed.
    function _requireQueue(Progress progress, Header calldata header) private view {
        uint64 queueUpTo = progress.queueUpTo();
        if (header.queueUpTo == queueUpTo) {
            if (header.queuePrefix != 0) revert WrongQueue(queueUpTo, header.queuePrefix);
            return;
        }
        if (header.queueUpTo < queueUpTo) revert WrongQueue(header.queueUpTo, header.queuePrefix);
        bytes32 prefix = queuePrefix[header.queueUpTo];
        // No entry hashes to 0: such a place in the queue is not filled yet.
        // slither-disable-next-line incorrect-equality
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
        bytes32 trees = 0;
        bytes32 totals = 0;
        bytes32 oldTotals = 0;
        uint256 next = 0;
        for (uint256 asset = 0; asset < lines.length; ++asset) {
            AssetLine calldata line = lines[asset];
            bytes32 word = Encoding.totalsWord(line.sum, line.credited);
            trees = Encoding.append(trees, line.treeHash);
            totals = Encoding.append(totals, word);
            if (next < changes.length && changes[next].asset == asset) {
                word = _requireConserved(line, changes[next++]);
            }
            // Up to the first change, the totals before are those after.
            if (asset < oldLineCount) oldTotals = next == 0 ? totals : Encoding.append(oldTotals, word);
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
        Progress progress,
        uint64 queueUpTo,
        AssetLine[] calldata lines,
        AssetChange[] calldata changes
    ) private {
        uint64 pending = queueUpTo == progress.queueUpTo() ? 0 : _counts.pendingAssets;
        for (uint256 i = 0; i < changes.length; ++i) {
            AssetChange calldata change = changes[i];
            bool mayCredit = (pending >> change.asset) & 1 != 0;
            if (!mayCredit && lines[change.asset].credited != change.credited) revert WrongCredit(change.asset);
        }
        // slither-disable-next-line incorrect-equality
        if (pending == 0) return;
        uint64 left = pending;
        for (uint256 asset = 0; asset < progress.assetCount(); ++asset) {
            // slither-disable-next-line incorrect-equality
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

    /// @dev The header's withdrawals are those of the changes, and they and all balances together are not more than the
    /// vault took in and has not paid. What the token itself says is asked where money moves ({_pay}, {deposit}) and by
    /// whoever doubts it ({quarantine}): asking it here would cost 5,700 gas an asset, move no money, and let one bad
    /// token hold back the batches of all others.
    function _requireWithdrawals(Header calldata header, AssetLine[] calldata lines, AssetChange[] calldata changes)
        private
        view
    {
        bytes32 root = 0;
        for (uint256 i = 0; i < changes.length; ++i) {
            AssetChange calldata change = changes[i];
            uint128 withdrawn = change.withdrawn;
            if (withdrawn == 0) continue;
            uint256 asset = change.asset;
            root = Encoding.foldWithdrawals(root, asset, change.withdrawalsHash, withdrawn);
            if (uint256(lines[asset].sum) + withdrawn > _assets[asset].owed) revert Insolvent(asset);
        }
        if (root != header.withdrawalsRoot) revert WrongWithdrawals(root, header.withdrawalsRoot);
    }
}
