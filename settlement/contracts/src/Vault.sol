// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title Custody, and nothing else
/// @notice Holds the tokens of all users. It obeys one contract, named for ever at construction, and knows two
/// movements: in from a user who approved it, and out. It has no owner, no proxy, no other way out.
contract Vault {
    using SafeERC20 for IERC20;

    /// @notice The only caller that is obeyed.
    address public immutable settlement;

    /// @notice Somebody else called.
    /// @param caller Who.
    error NotSettlement(address caller);

    modifier onlySettlement() {
        if (msg.sender != settlement) revert NotSettlement(msg.sender);
        _;
    }

    /// @notice The creator is the settlement contract.
    constructor() {
        settlement = msg.sender;
    }

    /// @notice Takes tokens from a user who approved this contract.
    /// @dev A token that keeps a fee delivers less than asked: only what is here afterwards counts.
    /// @param token The token.
    /// @param from The user.
    /// @param amount How much to ask for, in the token's units.
    /// @return arrived What really came, in the token's units.
    function pull(IERC20 token, address from, uint256 amount) external onlySettlement returns (uint256 arrived) {
        uint256 before = token.balanceOf(address(this));
        // The settlement contract names nobody but its caller.
        // slither-disable-next-line arbitrary-send-erc20
        token.safeTransferFrom(from, address(this), amount);
        return token.balanceOf(address(this)) - before;
    }

    /// @notice Pays tokens out.
    /// @param token The token.
    /// @param to To whom.
    /// @param amount How much, in the token's units.
    function pay(IERC20 token, address to, uint256 amount) external onlySettlement {
        token.safeTransfer(to, amount);
    }
}
