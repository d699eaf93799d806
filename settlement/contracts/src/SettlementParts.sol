// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SettlementEvents} from "./SettlementInterface.sol";
import {SettlementStorage} from "./SettlementStorage.sol";
import {Header, QueueEntry, Setup, Stamp} from "./Types.sol";
import {Encoding} from "./lib/Encoding.sol";

/// @title What the parts of the settlement contract share
/// @notice Guards, what they look up, and how money leaves.
abstract contract SettlementParts is SettlementStorage, SettlementEvents, ReentrancyGuardTransient {
    /// @dev Why the venue was frozen.
    uint8 internal constant BY_SILENCE = 1;
    uint8 internal constant BY_VETOES = 2;
    uint8 internal constant BY_PROOF = 3;

    modifier onlyAdministrator() {
        if (msg.sender != administrator) revert NotAdministrator(msg.sender);
        _;
    }

    /// @param setup See {Setup}.
    constructor(Setup memory setup) SettlementStorage(setup) {}

    /// @notice Reverts unless header and stamp are of a batch that counts.
    /// @param header The header.
    /// @param stamp When it was committed.
    function requireBatch(Header calldata header, Stamp calldata stamp) external view {
        _requireBatch(header, stamp);
    }

    /// @notice Reverts unless the entry is the queue's.
    /// @param entry The entry.
    function requireEntry(QueueEntry calldata entry) external view {
        _requireEntry(entry);
    }

    /// @notice A hash as EIP-712 typed data of this contract: what keys and owners sign.
    /// @param structHash Hash of the structure.
    /// @return The digest.
    function hashTypedData(bytes32 structHash) external view returns (bytes32) {
        return _hashTypedData(structHash);
    }

    function _requireLive() internal view {
        if (_progress.isFrozen()) revert Frozen();
    }

    function _hashTypedData(bytes32 structHash) internal view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domainSeparator, structHash);
    }

    /// @dev Goes back to a batch: the totals of the assets, and what came after it, count no more.
    function _goBack(uint64 batchId, uint64 lastSequence, uint64 queueUpTo, uint64 lastTime, bytes32 root) internal {
        _progress = _progress.withTip(batchId, lastSequence, queueUpTo, lastTime);
        tipRoot = root;
        // Deposits wait again that had been consumed: which, the next batches find out.
        _counts.pendingAssets = uint64((uint256(1) << _progress.assetCount()) - 1);
    }

    /// @dev A batch that watchers dropped does not count, though its hash may still stand there.
    function _requireBatch(Header calldata header, Stamp calldata stamp) internal view {
        if (header.batchId > _progress.batchId()) revert UnknownBatch(header.batchId);
        bytes32 shown = Encoding.hashBatch(Encoding.hashHeader(header), stamp.time, stamp.blockNumber);
        if (batchHash[header.batchId] != shown) revert UnknownBatch(header.batchId);
    }

    /// @dev The origin is at 0 and no entry; what is not there yet has the hash 0, which no entry hashes to.
    function _requireEntry(QueueEntry calldata entry) internal view {
        if (entry.queueId == 0) revert WrongEntry(0);
        bytes32 prefix = Encoding.hashEntry(queuePrefix[entry.queueId - 1], entry);
        if (queuePrefix[entry.queueId] != prefix) revert WrongEntry(entry.queueId);
    }

    function _isWindowOver(Stamp calldata stamp) internal view returns (bool) {
        bool isLongAgo = block.timestamp >= uint256(stamp.time) + windowSeconds;
        return isLongAgo && block.number >= uint256(stamp.blockNumber) + windowBlocks;
    }

    function _freeze(uint8 reason) internal {
        _progress = _progress.asFrozen();
        emit VenueFrozen(reason);
    }

    /// @dev Whether the vault holds all that it owes. A token that does not say holds nothing.
    function _isSolvent(Asset memory kind) internal view returns (bool) {
        try kind.token.balanceOf(address(vault)) returns (uint256 held) {
            return held >= uint256(kind.owed) * _scaleOf(kind);
        } catch {
            return false;
        }
    }

    /// @dev Pays what a claim comes to: all of it, or in a frozen venue whose vault holds too little its share. The
    /// share is of what is held by what is owed; both fall in step, so that it is the same whoever comes first. A token
    /// that refuses (paused, or the owner is barred) must not keep others' claims from being pushed: then it is put down
    /// for {claim}, and false comes back.
    function _pay(uint16 asset, address owner, uint256 atoms) internal returns (bool isPaid) {
        Asset memory kind = _assets[asset];
        uint256 scale = _scaleOf(kind);
        uint256 units = atoms * scale;
        uint256 owed = kind.owed * scale;
        uint256 held = kind.token.balanceOf(address(vault));
        if (!_progress.isFrozen() && (kind.quarantined || held < owed)) revert InQuarantine(asset);
        // Both are below 2^62 atoms of 10^18 units: the product is below 2^244.
        if (held < owed) units = units * held / owed;
        // What is owed falls once the money has gone, since only then is it known to have. Whoever is called in between
        // finds every function that moves money or looks at it closed.
        // slither-disable-next-line reentrancy-no-eth
        try vault.pay(kind.token, owner, units) {
            isPaid = true;
            // Reverts where it is more than is owed, which is kept in 80 bits.
            _assets[asset].owed = uint80(kind.owed - atoms);
            emit Paid(asset, owner, units / scale);
        } catch {
            withdrawable[asset][owner] += atoms;
            emit PaymentDeferred(asset, owner, atoms);
        }
    }
}
