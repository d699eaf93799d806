// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {SettlementParts} from "./SettlementParts.sol";
import {Header, QueueEntry, Stamp, Step, Withdrawal, WithdrawalLine} from "./Types.sol";
import {Encoding} from "./lib/Encoding.sol";
import {SumTree} from "./lib/SumTree.sol";

/// @title The ways out: claims of withdrawals, and leaving a venue that has stopped
/// @notice Only owners are ever paid, whoever calls.
abstract contract SettlementExits is SettlementParts {
    /// @notice Pays what a withdrawal could not pay when it was proved. Anybody may call; the owner is paid.
    /// @param asset Of what.
    /// @param owner Whose.
    function claim(uint16 asset, address owner) external nonReentrant {
        uint256 atoms = withdrawable[asset][owner];
        if (atoms == 0) revert NothingToClaim(owner);
        withdrawable[asset][owner] = 0;
        if (!_pay(asset, owner, atoms)) revert NotPaid(owner);
    }

    /// @notice Proves a withdrawal of a final batch and pays it to the account's owner. Anybody may call.
    /// @param header The batch's header.
    /// @param stamp When the batch was committed.
    /// @param lines All assets that have withdrawals in the batch.
    /// @param withdrawal What is claimed.
    /// @param path From the withdrawal's leaf to the root of its asset's withdrawal tree.
    function claimFromBatch(
        Header calldata header,
        Stamp calldata stamp,
        WithdrawalLine[] calldata lines,
        Withdrawal calldata withdrawal,
        Step[] calldata path
    ) external nonReentrant {
        uint64 batchId = header.batchId;
        if (batchId > _progress.finalBatch()) revert NotFinal(batchId);
        _requireBatch(header, stamp);
        bytes32 root = Encoding.withdrawalsRoot(lines);
        if (root != header.withdrawalsRoot) revert WrongWithdrawals(header.withdrawalsRoot, root);
        _requireWithdrawal(lines, withdrawal, path);
        _markClaimed(batchId, withdrawal.asset, withdrawal.index);
        address owner = ownerOf[withdrawal.account];
        if (owner == address(0)) revert UnknownAccount(withdrawal.account);
        emit Claimed(batchId, withdrawal.asset, withdrawal.index, owner, withdrawal.amount);
        _spendOutflow(withdrawal.asset, withdrawal.amount, stamp);
        _pay(withdrawal.asset, owner, withdrawal.amount);
    }

    /// @notice Begins to count blocks since the queue's oldest entry waits, where no such clock runs (a new entry starts
    /// one). Anybody may call.
    function startFreezeClock() external {
        _requireLive();
        uint64 oldest = _progress.queueUpTo() + 1;
        if (oldest > _counts.queueLength) revert QueueEmpty();
        if (_counts.clockId >= oldest) revert ClockRunning(_counts.clockId);
        (_counts.clockId, _counts.clockBlock) = (uint40(oldest), uint40(block.number));
        emit FreezeClockStarted(oldest, uint64(block.number));
    }

    /// @notice Stops the venue for ever: the queue's oldest entry has waited longer than {FREEZE_AFTER} and
    /// {freezeBlocks} blocks, or watchers have dropped batches {VETOES_TO_FREEZE} times. Anybody may call.
    /// @param oldest The queue's oldest entry that no batch has consumed; anything after so many vetoes.
    function freeze(QueueEntry calldata oldest) external {
        _requireLive();
        if (_counts.vetoes >= VETOES_TO_FREEZE) return _freeze(BY_VETOES);
        uint64 next = _progress.queueUpTo() + 1;
        if (oldest.queueId != next) revert NotOldest(next, oldest.queueId);
        _requireEntry(oldest);
        uint64 from = oldest.time + FREEZE_AFTER;
        if (block.timestamp < from) revert TooEarly(from);
        uint64 fromBlock = _counts.clockId < next ? type(uint64).max : _counts.clockBlock + freezeBlocks;
        if (block.number < fromBlock) revert TooFewBlocks(fromBlock);
        _freeze(BY_SILENCE);
    }

    /// @notice Stops the venue for ever: its misbehaviour was proved, see {Proofs}.
    function freezeForProof() external {
        if (msg.sender != address(proofs)) revert NotProofs(msg.sender);
        _requireLive();
        _freeze(BY_PROOF);
    }

    /// @notice Brings a frozen venue back to its last final batch: what came after it counts no more, and the queue's
    /// entries that it had not consumed are unconsumed. Anybody may call, once.
    /// @param header The last final batch's header; anything where none is final.
    /// @param stamp When it was committed.
    function rollBack(Header calldata header, Stamp calldata stamp) external {
        uint64 batchId = _progress.finalBatch();
        if (!_progress.isFrozen()) revert NotFrozen();
        if (_counts.rolledBack) revert AlreadyRolledBack();
        _counts.rolledBack = true;
        if (batchId == 0) {
            _goBack(0, 0, 0, 0, Encoding.balancesRoot(0, 0));
        } else {
            if (header.batchId != batchId) revert NotFinal(header.batchId);
            _requireBatch(header, stamp);
            _goBack(batchId, header.lastSequence, header.queueUpTo, header.lastTime, header.newRoot);
        }
        emit RolledBack(batchId, tipRoot, _progress.queueUpTo());
    }

    /// @notice Pays what has left a frozen venue by {Exits}.
    /// @param asset Of what.
    /// @param owner Whom.
    /// @param atoms How much.
    function payExit(uint16 asset, address owner, uint256 atoms) external nonReentrant {
        if (msg.sender != address(exits)) revert NotExits(msg.sender);
        _pay(asset, owner, atoms);
    }

    /// @dev The withdrawal is a leaf below the line of its asset.
    function _requireWithdrawal(WithdrawalLine[] calldata lines, Withdrawal calldata withdrawal, Step[] calldata path)
        private
        pure
    {
        // Else one leaf could be claimed under several indexes.
        if (uint256(withdrawal.index) >> path.length != 0) revert WrongProof();
        bytes32 leaf = SumTree.withdrawalLeaf(withdrawal.account, withdrawal.amount);
        (bytes32 hash, uint128 sum) = SumTree.climb(leaf, withdrawal.amount, withdrawal.index, path);
        for (uint256 i = 0; i < lines.length; ++i) {
            if (lines[i].asset == withdrawal.asset && lines[i].treeHash == hash && lines[i].sum == sum) return;
        }
        revert WrongProof();
    }

    function _markClaimed(uint64 batchId, uint16 asset, uint32 index) private {
        uint256 word = (uint256(batchId) << 64) | (uint256(asset) << 48) | (index >> 8);
        uint256 bit = 1 << (index & 0xff);
        uint256 bits = _claimed[word];
        if (bits & bit != 0) revert AlreadyClaimed(batchId, asset, index);
        _claimed[word] = bits | bit;
    }

    /// @dev What leaves in a day beyond the asset's share can leave {OUTFLOW_DELAY} after its batch was committed, or on
    /// a day with room for it. In a frozen venue there is nothing left to wait for.
    function _spendOutflow(uint16 asset, uint128 atoms, Stamp calldata stamp) private {
        if (outflowPercent == 100 || _progress.isFrozen()) return;
        Outflow memory today = _outflows[asset];
        uint40 day = uint40(block.timestamp / 1 days);
        if (today.day != day) today = Outflow({day: day, base: _assets[asset].owed, spent: 0});
        uint256 spent = today.spent + atoms;
        if (spent * 100 > uint256(today.base) * outflowPercent) {
            uint64 from = stamp.time + OUTFLOW_DELAY;
            if (block.timestamp < from) revert OutflowDelayed(from);
            return;
        }
        // Below the base, which is kept in 80 bits.
        today.spent = uint80(spent);
        _outflows[asset] = today;
    }
}
