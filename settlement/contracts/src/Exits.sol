// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {AssetLine, QueueEntry, Step} from "./Types.sol";
import {Encoding} from "./lib/Encoding.sol";
import {SumTree} from "./lib/SumTree.sol";

/// @title What the exits need of the settlement contract
interface ExitedSettlement {
    /// @notice Whether the venue is frozen and back at its last final batch.
    function rolledBack() external view returns (bool);
    /// @notice The balances root that counts.
    function tipRoot() external view returns (bytes32);
    /// @notice Where the batches stand.
    function tip() external view returns (uint64, uint64, uint64, uint64, uint64);
    /// @notice An account's owner.
    function ownerOf(uint256 account) external view returns (address);
    /// @notice Reverts unless the entry is the queue's.
    function requireEntry(QueueEntry calldata entry) external view;
    /// @notice Pays in atoms.
    function payExit(uint16 asset, address owner, uint256 atoms) external;
}

/// @title The way out of a frozen venue
/// @notice Once the venue is back at its last final batch, every balance under that batch's root and every deposit that
/// it had not consumed leaves, each once, by a proof from chain data alone (`lakh escape`). Anybody may call; only owners
/// are paid. Where the vault holds less of an asset than it owes, everybody gets the same share.
contract Exits {
    /// @notice What is left.
    ExitedSettlement public immutable settlement;

    /// @dev Escaped balances, a bit each, by asset × (account / 256).
    mapping(uint256 word => uint256 bits) private _escaped;
    /// @dev Reclaimed deposits, a bit each, by queue entry / 256.
    mapping(uint256 word => uint256 bits) private _reclaimed;

    /// @notice A balance left. In atoms; what the owner was paid stands in the settlement contract's `Paid`.
    event Escaped(uint32 indexed account, uint16 indexed asset, address indexed owner, uint128 balance);
    /// @notice A deposit that no final batch had consumed left. In atoms.
    event DepositReclaimed(uint64 indexed queueId, uint16 indexed asset, address indexed owner, uint64 amount);

    /// @notice The venue is not frozen, or {Settlement.rollBack} comes first.
    error NotRolledBack();
    /// @notice The lines are not those of the last final batch.
    error WrongLines();
    /// @notice The balance is 0, or the path does not lead to the asset's line.
    error WrongProof();
    /// @notice No such asset had any balance.
    error UnknownAsset(uint256 asset);
    /// @notice The account has no owner.
    error UnknownAccount(uint32 account);
    /// @notice The balance has left before.
    error AlreadyEscaped(uint32 account, uint16 asset);
    /// @notice Only deposits that no final batch has consumed can be reclaimed.
    error NotReclaimable(uint64 queueId);
    /// @notice The deposit was reclaimed before.
    error AlreadyReclaimed(uint64 queueId);

    /// @notice The creator is the settlement contract.
    constructor() {
        settlement = ExitedSettlement(msg.sender);
    }

    /// @notice Pays a balance of the last final batch to the account's owner. Anybody may call.
    /// @param account Whose.
    /// @param asset Of what.
    /// @param balance How much, in atoms: all of it.
    /// @param lines Every asset after the last final batch.
    /// @param path From the account's leaf to the root of the asset's tree.
    function escape(uint32 account, uint16 asset, uint128 balance, AssetLine[] calldata lines, Step[] calldata path)
        external
    {
        if (!settlement.rolledBack()) revert NotRolledBack();
        if (Encoding.linesRoot(lines) != settlement.tipRoot()) revert WrongLines();
        if (asset >= lines.length) revert UnknownAsset(asset);
        if (balance == 0) revert WrongProof();
        if (!SumTree.isBalance(lines[asset], account, balance, path)) revert WrongProof();
        if (hasEscaped(account, asset)) revert AlreadyEscaped(account, asset);
        _escaped[(uint256(asset) << 32) | (account >> 8)] |= 1 << (account & 0xff);
        address owner = _ownerOf(account);
        emit Escaped(account, asset, owner, balance);
        settlement.payExit(asset, owner, balance);
    }

    /// @notice Gives a deposit back that no final batch had consumed. Anybody may call.
    /// @param entry The deposit.
    function reclaimDeposit(QueueEntry calldata entry) external {
        if (!settlement.rolledBack()) revert NotRolledBack();
        settlement.requireEntry(entry);
        if (entry.kind != Encoding.DEPOSIT) revert NotReclaimable(entry.queueId);
        // slither-disable-next-line unused-return
        (,, uint64 queueUpTo,,) = settlement.tip();
        if (entry.queueId <= queueUpTo) revert NotReclaimable(entry.queueId);
        if (isReclaimed(entry.queueId)) revert AlreadyReclaimed(entry.queueId);
        _reclaimed[entry.queueId >> 8] |= 1 << (entry.queueId & 0xff);
        address owner = _ownerOf(entry.account);
        emit DepositReclaimed(entry.queueId, entry.asset, owner, entry.amount);
        settlement.payExit(entry.asset, owner, entry.amount);
    }

    /// @notice Whether a balance has left.
    /// @param account Whose.
    /// @param asset Of what.
    /// @return Whether it has.
    function hasEscaped(uint32 account, uint16 asset) public view returns (bool) {
        return _escaped[(uint256(asset) << 32) | (account >> 8)] & (1 << (account & 0xff)) != 0;
    }

    /// @notice Whether a deposit was given back.
    /// @param queueId Its queue entry.
    /// @return Whether it was.
    function isReclaimed(uint64 queueId) public view returns (bool) {
        return _reclaimed[queueId >> 8] & (1 << (queueId & 0xff)) != 0;
    }

    function _ownerOf(uint32 account) private view returns (address owner) {
        owner = settlement.ownerOf(account);
        if (owner == address(0)) revert UnknownAccount(account);
    }
}
