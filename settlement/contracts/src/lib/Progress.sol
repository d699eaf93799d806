// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title Where the batches stand, in one word
/// @notice A commit reads one slot and writes it once; as a structure the compiler would write it field by field, which
/// cost 900 gas a commit. From the lowest bit:
///
/// | bits | field |
/// |---|---|
/// | 40 | the last batch |
/// | 64 | the last journal record that is settled |
/// | 40 | the last queue entry that is consumed |
/// | 40 | time of the last record, in seconds |
/// | 40 | the last batch that is final |
/// | 8 | listed assets |
/// | 8 | lines of the last batch |
/// | 1 | whether the venue has stopped for ever |
/// | 1 | whether the keys are the rotated ones and not the constructor's |
///
/// Batch ids and queue ids count what happened on this chain one by one, and times are near the block's: 40 bits do.
type Progress is uint256;

using ProgressFields for Progress global;

/// @title The fields of {Progress}
library ProgressFields {
    uint256 private constant SEQUENCE_AT = 40;
    uint256 private constant QUEUE_AT = 104;
    uint256 private constant TIME_AT = 144;
    uint256 private constant FINAL_AT = 184;
    uint256 private constant ASSETS_AT = 224;
    uint256 private constant LINES_AT = 232;
    uint256 private constant FROZEN = 1 << 240;
    uint256 private constant ROTATED = 1 << 241;
    /// What follows the tip: batch, record, queue entry and time.
    uint256 private constant TIP_BITS = 184;

    /// @notice The last batch.
    /// @param p Where the batches stand.
    /// @return Its number; 0 for none.
    function batchId(Progress p) internal pure returns (uint64) {
        return uint40(Progress.unwrap(p));
    }

    /// @notice The last journal record that is settled.
    /// @param p Where the batches stand.
    /// @return Its sequence; 0 for none.
    function lastSequence(Progress p) internal pure returns (uint64) {
        return uint64(Progress.unwrap(p) >> SEQUENCE_AT);
    }

    /// @notice The last queue entry that is consumed.
    /// @param p Where the batches stand.
    /// @return Its number; 0 for none.
    function queueUpTo(Progress p) internal pure returns (uint64) {
        return uint40(Progress.unwrap(p) >> QUEUE_AT);
    }

    /// @notice Time of the last record.
    /// @param p Where the batches stand.
    /// @return In seconds.
    function lastTime(Progress p) internal pure returns (uint64) {
        return uint40(Progress.unwrap(p) >> TIME_AT);
    }

    /// @notice The last batch that is final.
    /// @param p Where the batches stand.
    /// @return Its number; 0 for none.
    function finalBatch(Progress p) internal pure returns (uint64) {
        return uint40(Progress.unwrap(p) >> FINAL_AT);
    }

    /// @notice Listed assets.
    /// @param p Where the batches stand.
    /// @return How many.
    function assetCount(Progress p) internal pure returns (uint256) {
        return uint8(Progress.unwrap(p) >> ASSETS_AT);
    }

    /// @notice Lines of the last batch.
    /// @param p Where the batches stand.
    /// @return How many.
    function lineCount(Progress p) internal pure returns (uint256) {
        return uint8(Progress.unwrap(p) >> LINES_AT);
    }

    /// @notice Whether the venue has stopped for ever.
    /// @param p Where the batches stand.
    /// @return Whether it has.
    function isFrozen(Progress p) internal pure returns (bool) {
        return Progress.unwrap(p) & FROZEN != 0;
    }

    /// @notice Whether the keys are the rotated ones: spares a commit the look.
    /// @param p Where the batches stand.
    /// @return Whether they are.
    function areKeysRotated(Progress p) internal pure returns (bool) {
        return Progress.unwrap(p) & ROTATED != 0;
    }

    /// @notice The same with another tip.
    /// @param p Where the batches stand.
    /// @param batchId_ The last batch.
    /// @param lastSequence_ The last journal record that is settled.
    /// @param queueUpTo_ The last queue entry that is consumed.
    /// @param lastTime_ Time of the last record, in seconds.
    /// @return What follows.
    function withTip(Progress p, uint64 batchId_, uint64 lastSequence_, uint64 queueUpTo_, uint64 lastTime_)
        internal
        pure
        returns (Progress)
    {
        uint256 word = (Progress.unwrap(p) >> TIP_BITS) << TIP_BITS;
        word |= uint256(uint40(batchId_)) | (uint256(lastSequence_) << SEQUENCE_AT);
        word |= (uint256(uint40(queueUpTo_)) << QUEUE_AT) | (uint256(uint40(lastTime_)) << TIME_AT);
        return Progress.wrap(word);
    }

    /// @notice The same with another final batch.
    /// @param p Where the batches stand.
    /// @param finalBatch_ Its number.
    /// @return What follows.
    function withFinalBatch(Progress p, uint64 finalBatch_) internal pure returns (Progress) {
        uint256 rest = Progress.unwrap(p) & ~(uint256(type(uint40).max) << FINAL_AT);
        return Progress.wrap(rest | (uint256(uint40(finalBatch_)) << FINAL_AT));
    }

    /// @notice The same with one more asset.
    /// @param p Where the batches stand; at most 254 assets.
    /// @return What follows.
    function withOneMoreAsset(Progress p) internal pure returns (Progress) {
        return Progress.wrap(Progress.unwrap(p) + (1 << ASSETS_AT));
    }

    /// @notice The same with another number of lines.
    /// @param p Where the batches stand.
    /// @param lines How many, at most 255.
    /// @return What follows.
    function withLineCount(Progress p, uint256 lines) internal pure returns (Progress) {
        uint256 rest = Progress.unwrap(p) & ~(uint256(type(uint8).max) << LINES_AT);
        return Progress.wrap(rest | (uint256(uint8(lines)) << LINES_AT));
    }

    /// @notice The same, stopped for ever.
    /// @param p Where the batches stand.
    /// @return What follows.
    function asFrozen(Progress p) internal pure returns (Progress) {
        return Progress.wrap(Progress.unwrap(p) | FROZEN);
    }

    /// @notice The same, with rotated keys.
    /// @param p Where the batches stand.
    /// @return What follows.
    function withRotatedKeys(Progress p) internal pure returns (Progress) {
        return Progress.wrap(Progress.unwrap(p) | ROTATED);
    }
}
