// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title What an asset's balances come to, in one word
/// @notice sum ‖ credited, 16 bytes each, in atoms: what the venue owes to all accounts together (the root sum of the
/// asset's tree), and all deposits consumed from the queue since the beginning.
type Totals is bytes32;

using TotalsFields for Totals global;

/// @title The fields of {Totals}
library TotalsFields {
    /// @notice What the venue owes.
    /// @param t The word.
    /// @return In atoms.
    function sum(Totals t) internal pure returns (uint128) {
        return uint128(uint256(Totals.unwrap(t)) >> 128);
    }

    /// @notice The deposits consumed.
    /// @param t The word.
    /// @return In atoms.
    function credited(Totals t) internal pure returns (uint128) {
        return uint128(uint256(Totals.unwrap(t)));
    }
}
