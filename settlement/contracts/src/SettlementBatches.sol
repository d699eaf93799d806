// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SettlementParts} from "./SettlementParts.sol";
import {AssetChange, AssetLine, Claim, Header, Signature, Stamp} from "./Types.sol";
import {Encoding} from "./lib/Encoding.sol";
import {Progress} from "./lib/Progress.sol";
import {Moment, Range} from "./lib/ClaimFields.sol";
import {Totals} from "./lib/Totals.sol";

/// @title Batches: committed by the operator, dropped by watchers, final after a window
/// @notice Of all that a batch says, the contract keeps the root, its place and one hash.
abstract contract SettlementBatches is SettlementParts {
    /// @notice Takes the operator's next batch, data in calldata.
    /// @param changes How the totals changed, for each asset whose totals did.
    /// @param data The state differences.
    /// @param claim What the batch claims, signed.
    /// @param lines Every asset after the batch, in the order of their numbers. A newly listed asset may be left out
    /// until its first deposit is consumed.
    /// @dev The order of the arguments is one that gives the function a low number: the compiler compares a call's
    /// number with all functions' in turn, 22 gas each, and there are 69.
    function commitBatch(
        AssetChange[] calldata changes,
        bytes calldata data,
        Claim calldata claim,
        AssetLine[] calldata lines
    ) external nonReentrantView {
        _commit(changes, Encoding.hashBytes(data), claim, lines);
    }

    /// @notice Takes the operator's next batch, data in the transaction's blobs, see {Encoding.blobsHash}.
    /// @param dataHash The blobs' hash, so that the header follows from the call.
    /// @param lines As of {commitBatch}.
    /// @param claim As of {commitBatch}.
    /// @param changes As of {commitBatch}.
    function commitBatchBlobs(
        bytes32 dataHash,
        AssetLine[] calldata lines,
        Claim calldata claim,
        AssetChange[] calldata changes
    ) external nonReentrantView {
        bytes32 found = Encoding.blobsHash();
        if (found == 0) revert NoBlobs();
        if (dataHash != found) revert WrongData(found, dataHash);
        _commit(changes, dataHash, claim, lines);
    }

    function _commit(AssetChange[] calldata changes, bytes32 dataHash, Claim calldata claim, AssetLine[] calldata lines)
        private
    {
        Progress progress = _progress;
        if (progress.isFrozen()) revert Frozen();
        _requireNext(progress, claim.range);
        _requireTimes(progress, claim.moment);
        _requireQueue(progress, claim.moment.queueUpTo(), claim.queuePrefix);
        if (lines.length < progress.lineCount()) revert WrongLineCount(lines.length);
        if (lines.length > progress.assetCount()) revert WrongLineCount(lines.length);
        (bytes32 oldRoot, bytes32 newRoot) = _rootsOf(progress.lineCount(), claim.previousTrees, lines, changes);
        if (oldRoot != tipRoot) revert WrongRoot(tipRoot, oldRoot);
        _consumeDeposits(progress, claim.moment.queueUpTo(), lines, changes);
        bytes32 withdrawalsRoot = _withdrawalsRootOf(lines, changes);
        bytes32 headerHash = Encoding.hashClaim(claim, oldRoot, newRoot, dataHash, withdrawalsRoot);
        _requireKeys(progress, headerHash, claim.signature);
        _move(progress.withLineCount(lines.length), claim, newRoot, headerHash);
    }

    /// @dev The batch is the last one now.
    function _move(Progress progress, Claim calldata claim, bytes32 root, bytes32 headerHash) private {
        (Range range, Moment moment) = (claim.range, claim.moment);
        _progress = progress.withTip(range.batchId(), range.lastSequence(), moment.queueUpTo(), moment.lastTime());
        tipRoot = root;
        batchHash[range.batchId()] = Encoding.hashBatch(headerHash, block.timestamp, block.number);
        emit BatchCommitted(range.batchId(), headerHash);
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
        bytes32 digest = _hashTypedData(Encoding.append(Encoding.BATCH_TYPE, headerHash));
        // Why it failed is of no interest: nobody's address is no key.
        // slither-disable-next-line unused-return
        (address found,,) = ECDSA.tryRecover(digest, signature.r, signature.vs);
        if (found != headerKey) revert WrongSignature(headerHash);
    }

    /// @dev The header follows the tip.
    function _requireNext(Progress progress, Range range) private pure {
        if (range.version() != HEADER_VERSION) revert WrongVersion(HEADER_VERSION, range.version());
        if (range.previousLines() != progress.lineCount()) revert WrongLineCount(range.previousLines());
        uint64 batchId = progress.batchId() + 1;
        if (range.batchId() != batchId) revert WrongBatch(batchId, range.batchId());
        uint64 first = progress.lastSequence() + 1;
        if (range.firstSequence() != first) revert WrongSequence(first, range.firstSequence(), range.lastSequence());
        if (range.lastSequence() < first) revert WrongSequence(first, range.firstSequence(), range.lastSequence());
    }

    /// @dev Times do not run backwards, and are not in the future.
    function _requireTimes(Progress progress, Moment moment) private view {
        (uint64 first, uint64 last) = (moment.firstTime(), moment.lastTime());
        if (first < progress.lastTime()) revert WrongTime(first, last);
        if (last < first) revert WrongTime(first, last);
        if (last > block.timestamp + CLOCK_TOLERANCE) revert WrongTime(first, last);
    }

    /// @dev The batch consumed exactly the next entries: the prefix hash commits to each of them and to their order. A
    /// batch that consumes none names none, which spares the look: that hash was compared when it was consumed.
    function _requireQueue(Progress progress, uint64 queueUpTo, bytes32 told) private view {
        if (queueUpTo == progress.queueUpTo()) {
            if (told != 0) revert WrongQueue(queueUpTo, told);
            return;
        }
        if (queueUpTo < progress.queueUpTo()) revert WrongQueue(queueUpTo, told);
        bytes32 prefix = queuePrefix[queueUpTo];
        // No entry hashes to 0: such a place in the queue is not filled yet.
        // slither-disable-next-line incorrect-equality
        if (prefix == 0) revert WrongQueue(queueUpTo, told);
        if (prefix != told) revert WrongQueue(queueUpTo, told);
    }

    /// @dev The roots before and after the batch: that of the lines with the changes taken back, and that of the lines.
    /// Each change conserves money.
    function _rootsOf(
        uint256 oldLineCount,
        bytes32 previousTrees,
        AssetLine[] calldata lines,
        AssetChange[] calldata changes
    ) private pure returns (bytes32 oldRoot, bytes32 newRoot) {
        bytes32 trees = 0;
        bytes32 totals = 0;
        bytes32 oldTotals = 0;
        uint256 next = 0;
        for (uint256 asset = 0; asset < lines.length; ++asset) {
            AssetLine calldata line = lines[asset];
            bytes32 word = Totals.unwrap(line.totals);
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
        oldRoot = Encoding.balancesRoot(previousTrees, oldTotals);
        newRoot = Encoding.balancesRoot(trees, totals);
    }

    /// @dev What is owed = what was owed + deposits consumed − withdrawals. Returns the totals before the change.
    function _requireConserved(AssetLine calldata line, AssetChange calldata change) private pure returns (bytes32) {
        (Totals totals, Totals before) = (line.totals, change.before);
        uint256 left = uint256(totals.sum()) + change.withdrawn + before.credited();
        if (left != uint256(before.sum()) + totals.credited()) revert WrongSum(change.asset);
        if ((change.withdrawn == 0) != (change.withdrawalsHash == 0)) revert WrongWithdrawn(change.asset);
        return Totals.unwrap(before);
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
            bool isCredited = lines[change.asset].totals.credited() != change.before.credited();
            if (!mayCredit && isCredited) revert WrongCredit(change.asset);
        }
        // slither-disable-next-line incorrect-equality
        if (pending == 0) return;
        uint64 left = pending;
        for (uint256 asset = 0; asset < progress.assetCount(); ++asset) {
            // slither-disable-next-line incorrect-equality
            if ((pending >> asset) & 1 == 0) continue;
            uint128 credited = asset < lines.length ? lines[asset].totals.credited() : 0;
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

    /// @dev The root over the changes' withdrawals; they and all balances together are not more than the vault took in
    /// and has not paid. What the token itself says is asked where money moves ({_pay}, {deposit}) and by whoever doubts
    /// it ({quarantine}): asking it here would cost 5,700 gas an asset, move no money, and let one bad token hold back the
    /// batches of all others.
    function _withdrawalsRootOf(AssetLine[] calldata lines, AssetChange[] calldata changes)
        private
        view
        returns (bytes32 root)
    {
        for (uint256 i = 0; i < changes.length; ++i) {
            AssetChange calldata change = changes[i];
            uint128 withdrawn = change.withdrawn;
            if (withdrawn == 0) continue;
            uint256 asset = change.asset;
            root = Encoding.foldWithdrawals(root, asset, change.withdrawalsHash, withdrawn);
            if (uint256(lines[asset].totals.sum()) + withdrawn > _assets[asset].owed) revert Insolvent(asset);
        }
    }
}
