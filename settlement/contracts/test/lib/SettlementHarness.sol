// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Settlement} from "../../src/Settlement.sol";
import {Setup} from "../../src/Types.sol";
import {Progress} from "../../src/lib/Progress.sol";

/// The contract with levers, of which one spares a test a week and the others make books that no history can have, and a
/// window onto what it does not show.
contract SettlementHarness is Settlement {
    constructor(Setup memory setup) Settlement(setup) {}

    function setFrozen() external {
        _progress = _progress.asFrozen();
    }

    function lineCount() external view returns (uint256) {
        return _progress.lineCount();
    }

    /// Where a proof begins: anywhere.
    function setTip(bytes32 root, uint256 progress) external {
        (tipRoot, _progress) = (root, Progress.wrap(progress));
    }

    function setAsset(uint16 asset, IERC20 token, uint80 owed) external {
        _assets[asset] = Asset({token: token, scalePower: 0, quarantined: false, owed: owed});
    }

    function setOwed(uint16 asset, uint80 atoms) external {
        _assets[asset].owed = atoms;
    }
}
