// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Settlement} from "../../src/Settlement.sol";
import {Setup} from "../../src/Types.sol";

/// The contract with one lever that spares a test a week.
contract SettlementHarness is Settlement {
    constructor(Setup memory setup) Settlement(setup) {}

    function setFrozen() external {
        _progress.frozen = true;
    }
}
