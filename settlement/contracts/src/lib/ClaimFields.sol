// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title What a batch covers, in one word
/// @notice From the highest bit:
///
/// | bits | field |
/// |---|---|
/// | 32 | format of the header |
/// | 32 | lines of the last batch |
/// | 64 | number of the batch |
/// | 64 | first journal record |
/// | 64 | last journal record |
///
/// The lines of the last batch are told for those who read the call later: with their number all of the header follows
/// from the call alone.
type Range is uint256;

using RangeFields for Range global;

/// @title The fields of {Range}
library RangeFields {
    /// @notice Format of the header.
    /// @param r The word.
    /// @return The version.
    function version(Range r) internal pure returns (uint64) {
        return uint32(Range.unwrap(r) >> 224);
    }

    /// @notice Lines of the last batch.
    /// @param r The word.
    /// @return How many.
    function previousLines(Range r) internal pure returns (uint64) {
        return uint32(Range.unwrap(r) >> 192);
    }

    /// @notice The batch.
    /// @param r The word.
    /// @return Its number.
    function batchId(Range r) internal pure returns (uint64) {
        return uint64(Range.unwrap(r) >> 128);
    }

    /// @notice First journal record that the batch covers.
    /// @param r The word.
    /// @return Its sequence.
    function firstSequence(Range r) internal pure returns (uint64) {
        return uint64(Range.unwrap(r) >> 64);
    }

    /// @notice Last journal record that the batch covers.
    /// @param r The word.
    /// @return Its sequence.
    function lastSequence(Range r) internal pure returns (uint64) {
        return uint64(Range.unwrap(r));
    }
}

/// @title When a batch was, and how much of the queue it consumes, in one word
/// @notice From the highest bit, 64 bits each: time of the first record in seconds, of the last, the last queue entry that
/// the batch consumes, trades.
type Moment is uint256;

using MomentFields for Moment global;

/// @title The fields of {Moment}
library MomentFields {
    /// @notice Time of the first record.
    /// @param m The word.
    /// @return In seconds, rounded down.
    function firstTime(Moment m) internal pure returns (uint64) {
        return uint64(Moment.unwrap(m) >> 192);
    }

    /// @notice Time of the last record.
    /// @param m The word.
    /// @return In seconds, rounded down.
    function lastTime(Moment m) internal pure returns (uint64) {
        return uint64(Moment.unwrap(m) >> 128);
    }

    /// @notice The last queue entry that the batch consumes.
    /// @param m The word.
    /// @return Its number.
    function queueUpTo(Moment m) internal pure returns (uint64) {
        return uint64(Moment.unwrap(m) >> 64);
    }

    /// @notice Trades in the batch.
    /// @param m The word.
    /// @return How many.
    function fills(Moment m) internal pure returns (uint64) {
        return uint64(Moment.unwrap(m));
    }
}
