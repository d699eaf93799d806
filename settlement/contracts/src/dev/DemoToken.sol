// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A worthless token for demonstrations and tests
/// @notice Anybody may mint. `lakh dev` deploys one for each demo asset. Never list it on a real venue.
contract DemoToken is ERC20 {
    uint8 private immutable _decimals;

    /// @notice Creates a token without supply.
    /// @param name_ Its name.
    /// @param symbol_ Its symbol.
    /// @param decimals_ Decimals of a whole unit.
    constructor(string memory name_, string memory symbol_, uint8 decimals_) ERC20(name_, symbol_) {
        _decimals = decimals_;
    }

    /// @notice Decimals of a whole unit.
    /// @return Their number.
    function decimals() public view override returns (uint8) {
        return _decimals;
    }

    /// @notice Makes new tokens out of nothing.
    /// @param to For whom.
    /// @param amount How many, in the smallest unit.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
