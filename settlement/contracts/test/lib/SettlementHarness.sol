// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Settlement} from "../../src/Settlement.sol";
import {Setup} from "../../src/Types.sol";

/// The contract with two levers, of which one spares a test a week and the other makes books that no history can have,
/// and a window onto what it does not show.
contract SettlementHarness is Settlement {
    constructor(Setup memory setup) Settlement(setup) {}

    function setFrozen() external {
        _progress = _progress.asFrozen();
    }

    function lineCount() external view returns (uint256) {
        return _progress.lineCount();
    }

    function setOwed(uint16 asset, uint80 atoms) external {
        _assets[asset].owed = atoms;
    }
}
