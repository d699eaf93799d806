// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SettlementParts} from "./SettlementParts.sol";
import {Encoding} from "./lib/Encoding.sol";

/// @title The queue: what users tell the venue
/// @notice Each entry's hash binds it and all before it, one slot an entry.
abstract contract SettlementQueue is SettlementParts {
    using SafeCast for uint256;

    /// @notice Puts money in. The first deposit opens an account. Approve the vault before.
    /// @param asset Of what.
    /// @param amount How much, in the token's units. What really arrives counts, and has to be a multiple of the scale.
    /// @return queueId The queue entry.
    function deposit(uint16 asset, uint256 amount) external nonReentrant returns (uint64 queueId) {
        _requireLive();
        Asset memory kind = _assetOf(asset);
        // Else the leaf that has to be empty would not be.
        _requireNoForced(_holders[msg.sender].account, asset);
        // Whoever pays into an asset that cannot pay everybody only shares the loss.
        if (!_isSolvent(kind)) revert Insolvent(asset);
        // How much there is to book, only the transfer tells. Whoever is called in between finds every function that moves
        // money or looks at it closed.
        // slither-disable-next-line reentrancy-no-eth
        uint256 atoms = _toAtoms(vault.pull(kind.token, msg.sender, amount), _scaleOf(kind));
        Intake memory intake = _intakes[asset];
        if (atoms < intake.minimum) revert AmountOutOfRange(atoms);
        uint256 owed = kind.owed + atoms;
        if (owed > intake.cap) revert AboveCap(owed, intake.cap);
        // The cap is below 2^64, and so are the atoms.
        queueId =
            _enqueue(Encoding.DEPOSIT, _openAccount(), asset, uint64(atoms), bytes32(uint256(uint160(msg.sender))));
        uint256 total = intake.deposited + atoms;
        _checkpoints[asset][intake.deposited].nextQueueId = queueId;
        _checkpoints[asset][total].queueId = queueId;
        _intakes[asset].deposited = total.toUint80();
        _assets[asset].owed = uint80(owed);
        _counts.pendingAssets |= uint64(1) << uint64(asset);
    }

    /// @notice Asks for a trading key. It trades once it has itself signed to the venue that it belongs to the account,
    /// so that nobody can claim somebody else's key.
    /// @param key The Ed25519 public key.
    /// @return queueId The queue entry.
    function registerKey(bytes32 key) external nonReentrant returns (uint64 queueId) {
        return _register(msg.sender, key, 0);
    }

    /// @notice Brings in a registration that the owner signed, as EIP-712 typed data
    /// `RegisterKey(address owner,bytes32 ed25519Key,uint64 epoch,uint64 expiry)`. Anybody may call.
    /// @param owner Whose key: an account that signs by secp256k1, or a contract that answers ERC-1271.
    /// @param key The Ed25519 public key.
    /// @param epoch {keyEpochOf} + 1, so that no registration is brought in twice.
    /// @param expiry When the key ends, in seconds; 0 for never.
    /// @param signature The owner's.
    /// @return queueId The queue entry.
    function registerKeyBySig(address owner, bytes32 key, uint64 epoch, uint64 expiry, bytes calldata signature)
        external
        nonReentrant
        returns (uint64 queueId)
    {
        if (expiry != 0 && expiry <= block.timestamp) revert KeyExpired(expiry);
        uint64 next = _holders[owner].keyEpoch + 1;
        if (epoch != next) revert WrongEpoch(next, epoch);
        bytes32 digest = _hashTypedData(keccak256(abi.encode(Encoding.REGISTER_KEY_TYPE, owner, key, epoch, expiry)));
        if (!keys.isSignedBy(owner, digest, signature)) revert NotSigned(owner);
        return _register(owner, key, expiry);
    }

    /// @notice Ends one of the account's trading keys for ever.
    /// @param key The Ed25519 public key.
    /// @return queueId The queue entry.
    function revokeKey(bytes32 key) external nonReentrant returns (uint64 queueId) {
        _requireLive();
        return _enqueue(Encoding.REVOKE_KEY, _requireAccount(msg.sender), 0, 0, key);
    }

    /// @notice Asks the venue for a withdrawal. The engine debits what is available, or consumes the entry with a
    /// reason; a batch then pays it.
    /// @param asset Of what.
    /// @param amount How much, in the token's units: a multiple of the scale.
    /// @return queueId The queue entry.
    function requestWithdrawal(uint16 asset, uint256 amount) external nonReentrant returns (uint64 queueId) {
        _requireLive();
        uint256 atoms = _toAtoms(amount, _scaleOf(_assetOf(asset)));
        if (atoms == 0) revert AmountOutOfRange(atoms);
        if (atoms > SUPPLY_CAP) revert AmountOutOfRange(atoms);
        return _enqueue(Encoding.WITHDRAWAL, _requireAccount(msg.sender), asset, uint64(atoms), 0);
    }

    /// @notice Takes all of an asset out, whatever orders it is in. The venue has to serve it: in the batch that consumes
    /// the entry the account has nothing left of the asset, else anybody can stop the venue ({Proofs.proveUnserved}); and
    /// if no batch consumes it within {FREEZE_AFTER}, anybody can too ({Settlement.freeze}). Costs {forcedFee}. Until it
    /// is consumed there is no other one of the asset, and no deposit.
    /// @param asset Of what.
    /// @return queueId The queue entry.
    function forceWithdraw(uint16 asset) external payable nonReentrant returns (uint64 queueId) {
        _requireLive();
        if (msg.value != forcedFee) revert WrongFee(forcedFee, msg.value);
        _assetOf(asset);
        uint32 account = _requireAccount(msg.sender);
        _requireNoForced(account, asset);
        queueId = _enqueue(Encoding.FORCED_WITHDRAWAL, account, asset, 0, 0);
        _forced[account][asset] = queueId;
    }

    /// @notice Pays the fees of forced withdrawals to the venue's owner. Anybody may call.
    function collectFees() external nonReentrant {
        (bool isPaid,) = ownerOf[0].call{value: address(this).balance}("");
        if (!isPaid) revert NotPaid(ownerOf[0]);
    }

    function _register(address owner, bytes32 key, uint64 expiry) private returns (uint64 queueId) {
        _requireLive();
        if (key == 0) revert ZeroKey();
        uint32 account = _requireAccount(owner);
        ++_holders[owner].keyEpoch;
        return _enqueue(Encoding.REGISTER_KEY, account, 0, expiry, key);
    }

    function _requireNoForced(uint32 account, uint16 asset) private view {
        uint64 queueId = _forced[account][asset];
        if (queueId > _progress.queueUpTo()) revert ForcedWithdrawalOpen(queueId);
    }

    function _toAtoms(uint256 amount, uint64 scale) private pure returns (uint256) {
        if (amount % scale != 0) revert NotAMultiple(amount, scale);
        return amount / scale;
    }

    function _requireAccount(address owner) private view returns (uint32 account) {
        account = _holders[owner].account;
        if (account == 0) revert NoAccount(owner);
    }

    function _openAccount() private returns (uint32 account) {
        account = _holders[msg.sender].account;
        if (account != 0) return account;
        account = ++_counts.accounts;
        _holders[msg.sender].account = account;
        ownerOf[account] = msg.sender;
        emit AccountOpened(account, msg.sender);
    }

    function _enqueue(uint8 kind, uint32 account, uint16 asset, uint64 amount, bytes32 extra)
        private
        returns (uint64 queueId)
    {
        Counts memory counted = _counts;
        queueId = ++counted.queueLength;
        if (counted.clockId <= _progress.queueUpTo()) {
            // The entry that showed how many blocks the queue waits is consumed; this one is not.
            (counted.clockId, counted.clockBlock) = (uint40(queueId), uint40(block.number));
        }
        _counts = counted;
        uint64 time = uint64(block.timestamp);
        bytes32 prefix = Encoding.queueEntry(queuePrefix[queueId - 1], kind, account, asset, amount, extra, time);
        queuePrefix[queueId] = prefix;
        emit Queued(queueId, account, kind, asset, amount, extra, time, prefix);
    }
}
