// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SettlementParts} from "./SettlementParts.sol";

/// @title Assets: what the administrator does, and what everybody does about a token in trouble
abstract contract SettlementAssets is SettlementParts {
    /// @notice Lists an asset. It gets the next number and can never be removed.
    /// @param token Its token. A token that changes balances by itself must not be listed.
    /// @param scale Units of the token in one atom: a power of ten, 1 ..= 10^18.
    /// @param minimum Smallest deposit in atoms, at least 1.
    /// @param cap Most that the venue may hold of it in atoms, at most {SUPPLY_CAP}.
    /// @return asset Its number.
    function listAsset(IERC20 token, uint64 scale, uint64 minimum, uint64 cap)
        external
        onlyAdministrator
        returns (uint16 asset)
    {
        asset = uint16(_progress.assetCount());
        if (asset >= MAX_ASSETS) revert BadListing();
        if (_listed[address(token)]) revert BadListing();
        if (address(token).code.length == 0) revert BadListing();
        _listed[address(token)] = true;
        _progress = _progress.withOneMoreAsset();
        _assets[asset] = Asset({token: token, scalePower: _powerOfTen(scale), quarantined: false, owed: 0});
        emit AssetListed(asset, address(token), scale);
        _setLimits(asset, minimum, cap);
    }

    /// @notice Changes what may be deposited. What is inside already is not touched.
    /// @param asset Which asset.
    /// @param minimum Smallest deposit in atoms, at least 1.
    /// @param cap Most that the venue may hold of it in atoms; `minimum` ..= {SUPPLY_CAP}.
    function setLimits(uint16 asset, uint64 minimum, uint64 cap) external onlyAdministrator {
        _assetOf(asset);
        _setLimits(asset, minimum, cap);
    }

    /// @notice Sets an asset apart whose vault holds less than it owes: it is not paid out until that is over or the
    /// venue is frozen, and cannot be put in; the other assets go on. Anybody may call.
    /// @param asset Which.
    function quarantine(uint16 asset) external nonReentrant {
        if (_isSolvent(_assetOf(asset))) revert NotInsolvent(asset);
        _assets[asset].quarantined = true;
        emit Quarantined(asset);
    }

    /// @notice Ends that, once the vault holds enough again. Anybody may call.
    /// @param asset Which.
    function release(uint16 asset) external nonReentrant {
        if (!_isSolvent(_assetOf(asset))) revert Insolvent(asset);
        _assets[asset].quarantined = false;
        emit Released(asset);
    }

    function _setLimits(uint16 asset, uint64 minimum, uint64 cap) private {
        if (minimum == 0) revert BadListing();
        if (minimum > cap) revert BadListing();
        if (cap > SUPPLY_CAP) revert BadListing();
        Intake storage intake = _intakes[asset];
        intake.minimum = minimum;
        intake.cap = cap;
        emit LimitsChanged(asset, minimum, cap);
    }

    function _powerOfTen(uint256 scale) private pure returns (uint8 power) {
        for (uint256 value = 1; value != scale; value *= 10) {
            if (power == 18) revert BadListing();
            ++power;
        }
    }
}
