// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SettlementEvents} from "./SettlementInterface.sol";
import {SettlementStorage} from "./SettlementStorage.sol";
import {AssetChange, AssetLine, Header, Setup, Stamp, Step, Withdrawal, WithdrawalLine} from "./Types.sol";
import {Encoding} from "./lib/Encoding.sol";
import {SumTree} from "./lib/SumTree.sol";

/// @title From the venue's journal to the chain, and back out
/// @notice Users put money into the vault and speak to the venue through one queue. The operator commits batches: what
/// every account has after a range of journal records, as sum trees. This contract does not know what was traded; it
/// makes sure that each record is settled exactly once, that no money is made or lost (per asset: what is owed = what
/// was owed + deposits consumed − withdrawals), that the queue is consumed in order and unaltered, and that only
/// owners are paid. Of an asset's totals it keeps only a hash, the root, so that an idle asset costs no storage.
///
/// Who may do what: the operator commits batches; the administrator lists assets and limits deposits; nobody can change
/// this code, move a balance or stop a claim.
///
/// Bounds: 64 assets, 2^32 − 1 accounts, 2^62 atoms of an asset at once. Amounts are in atoms (what the engine counts)
/// except in `deposit` and `requestWithdrawal`, which take the token's own units; a unit count is atoms × scale.
contract Settlement is SettlementStorage, SettlementEvents, ReentrancyGuardTransient {
    using SafeCast for uint256;

    modifier onlyAdministrator() {
        if (msg.sender != administrator) revert NotAdministrator(msg.sender);
        _;
    }

    /// @notice Deploys the vault too. Roles and windows can never change.
    /// @param setup See {Setup}.
    constructor(Setup memory setup) SettlementStorage(setup) {}

    // ------------------------------------------------------------------ administration

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
        asset = _progress.assetCount;
        if (asset >= MAX_ASSETS) revert BadListing();
        if (_listed[address(token)]) revert BadListing();
        if (address(token).code.length == 0) revert BadListing();
        _listed[address(token)] = true;
        _progress.assetCount = uint8(asset + 1);
        _assets[asset] = Asset({token: token, scalePower: _powerOfTen(scale), owed: 0});
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

    // ------------------------------------------------------------------ users

    /// @notice Puts money in. The first deposit opens an account. Approve the vault before.
    /// @param asset Of what.
    /// @param amount How much, in the token's units. What really arrives counts, and has to be a multiple of the scale.
    /// @return queueId The queue entry.
    function deposit(uint16 asset, uint256 amount) external nonReentrant returns (uint64 queueId) {
        _requireLive();
        Asset memory kind = _assetOf(asset);
        // Whoever pays into an asset that cannot pay everybody only shares the loss.
        if (!_isSolvent(kind)) revert Insolvent(asset);
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
        _requireLive();
        if (key == 0) revert ZeroKey();
        return _enqueue(Encoding.REGISTER_KEY, _requireAccount(), 0, 0, key);
    }

    /// @notice Ends one of the account's trading keys for ever.
    /// @param key The Ed25519 public key.
    /// @return queueId The queue entry.
    function revokeKey(bytes32 key) external nonReentrant returns (uint64 queueId) {
        _requireLive();
        return _enqueue(Encoding.REVOKE_KEY, _requireAccount(), 0, 0, key);
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
        return _enqueue(Encoding.WITHDRAWAL, _requireAccount(), asset, uint64(atoms), 0);
    }

    /// @notice Pays what a withdrawal could not pay when it was proved. Anybody may call; the owner is paid.
    /// @param asset Of what.
    /// @param owner Whose.
    function claim(uint16 asset, address owner) external nonReentrant {
        uint256 atoms = withdrawable[asset][owner];
        if (atoms == 0) revert NothingToClaim(owner);
        withdrawable[asset][owner] = 0;
        Asset memory kind = _assets[asset];
        // Never more than is owed, which is kept in 80 bits.
        _assets[asset].owed = kind.owed - uint80(atoms);
        vault.pay(kind.token, owner, atoms * _scaleOf(kind));
        emit Paid(asset, owner, atoms);
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
        if (batchId > _progress.finalBatch) revert NotFinal(batchId);
        _requireBatch(header, stamp);
        bytes32 root = Encoding.withdrawalsRoot(lines);
        if (root != header.withdrawalsRoot) revert WrongWithdrawals(header.withdrawalsRoot, root);
        _requireWithdrawal(lines, withdrawal, path);
        _markClaimed(batchId, withdrawal.asset, withdrawal.index);
        address owner = ownerOf[withdrawal.account];
        if (owner == address(0)) revert UnknownAccount(withdrawal.account);
        emit Claimed(batchId, withdrawal.asset, withdrawal.index, owner, withdrawal.amount);
        _payOrDefer(withdrawal.asset, owner, withdrawal.amount);
    }

    // ------------------------------------------------------------------ batches

    /// @notice Takes the operator's next batch, data in calldata.
    /// @param header What the batch claims.
    /// @param lines Every asset after the batch, in the order of their numbers. A newly listed asset may be left out
    /// until its first deposit is consumed.
    /// @param changes How the totals changed, for each asset whose totals did.
    /// @param previousTrees Running hash of the tree hashes in the last batch's lines; 0 before the first.
    /// @param data The state differences.
    function commitBatch(
        Header calldata header,
        AssetLine[] calldata lines,
        AssetChange[] calldata changes,
        bytes32 previousTrees,
        bytes calldata data
    ) external nonReentrant {
        Progress memory progress = _progress;
        if (progress.frozen) revert Frozen();
        if (msg.sender != operator) revert NotOperator(msg.sender);
        _requireNext(progress, header);
        _requireQueue(progress, header);
        _requireData(header, data);
        if (lines.length < progress.lineCount) revert WrongLineCount(lines.length);
        if (lines.length > progress.assetCount) revert WrongLineCount(lines.length);
        _requireTotals(progress.lineCount, header, lines, changes, previousTrees);
        _consumeDeposits(progress, header.queueUpTo, lines, changes);
        _requireWithdrawals(header, changes);

        // Batch ids and queue ids count what happened here one by one, and times are near the block's: 40 bits do.
        progress.batchId = uint40(header.batchId);
        progress.lastSequence = header.lastSequence;
        progress.queueUpTo = uint40(header.queueUpTo);
        progress.lastTime = uint40(header.lastTime);
        progress.lineCount = uint8(lines.length);
        _progress = progress;
        tipRoot = header.newRoot;
        bytes32 headerHash = Encoding.hashHeader(header);
        Stamp memory stamp = Stamp({time: uint64(block.timestamp), blockNumber: uint64(block.number)});
        batchHash[header.batchId] = Encoding.hashBatch(headerHash, stamp);
        emit BatchCommitted(header.batchId, headerHash);
    }

    /// @notice Makes a batch and all before it final, once the window is over. Anybody may call.
    /// @param header The batch's header.
    /// @param stamp When it was committed.
    function finalize(Header calldata header, Stamp calldata stamp) external {
        _requireLive();
        if (header.batchId <= _progress.finalBatch) revert AlreadyFinal(header.batchId);
        _requireBatch(header, stamp);
        if (block.timestamp < uint256(stamp.time) + windowSeconds) revert WindowOpen(header.batchId);
        if (block.number < uint256(stamp.blockNumber) + windowBlocks) revert WindowOpen(header.batchId);
        _progress.finalBatch = uint40(header.batchId);
        emit BatchFinal(header.batchId);
    }

    /// @dev The header follows the tip.
    function _requireNext(Progress memory progress, Header calldata header) private view {
        if (header.version != HEADER_VERSION) revert WrongVersion(HEADER_VERSION, header.version);
        uint64 batchId = uint64(progress.batchId) + 1;
        if (header.batchId != batchId) revert WrongBatch(batchId, header.batchId);
        uint64 first = progress.lastSequence + 1;
        if (header.firstSequence != first) revert WrongSequence(first, header.firstSequence, header.lastSequence);
        if (header.lastSequence < first) revert WrongSequence(first, header.firstSequence, header.lastSequence);
        bytes32 root = tipRoot;
        if (header.prevRoot != root) revert WrongRoot(root, header.prevRoot);
        if (header.firstTime < progress.lastTime) revert WrongTime(header.firstTime, header.lastTime);
        if (header.lastTime < header.firstTime) revert WrongTime(header.firstTime, header.lastTime);
        if (header.lastTime > block.timestamp + CLOCK_TOLERANCE) revert WrongTime(header.firstTime, header.lastTime);
        if (header.stepsRoot != 0) revert WrongSteps(header.stepsRoot);
    }

    /// @dev The batch consumed exactly the next entries: the prefix hash commits to each of them and to their order.
    function _requireQueue(Progress memory progress, Header calldata header) private view {
        if (header.queueUpTo < progress.queueUpTo) revert WrongQueue(header.queueUpTo, header.queuePrefix);
        bytes32 prefix = queuePrefix[header.queueUpTo];
        // No entry hashes to 0: such a place in the queue is not filled yet.
        if (prefix == 0) revert WrongQueue(header.queueUpTo, header.queuePrefix);
        if (prefix != header.queuePrefix) revert WrongQueue(header.queueUpTo, header.queuePrefix);
    }

    function _requireData(Header calldata header, bytes calldata data) private pure {
        bytes32 dataHash = keccak256(data);
        if (header.dataHash != dataHash) revert WrongData(dataHash, header.dataHash);
    }

    /// @dev The lines are those of the new root; with the changes taken back, their totals are those of the old root;
    /// and each change conserves money.
    function _requireTotals(
        uint256 oldLineCount,
        Header calldata header,
        AssetLine[] calldata lines,
        AssetChange[] calldata changes,
        bytes32 previousTrees
    ) private pure {
        bytes32 trees;
        bytes32 totals;
        bytes32 oldTotals;
        uint256 next;
        for (uint256 asset = 0; asset < lines.length; ++asset) {
            AssetLine calldata line = lines[asset];
            bytes32 word = Encoding.totalsWord(line.sum, line.credited);
            trees = Encoding.append(trees, line.treeHash);
            totals = Encoding.append(totals, word);
            if (next < changes.length && changes[next].asset == asset) {
                word = _requireConserved(line, changes[next++]);
            }
            if (asset < oldLineCount) oldTotals = Encoding.append(oldTotals, word);
            else if (word != 0) revert WrongTotals(0, word);
        }
        if (next != changes.length) revert WrongChange(changes[next].asset);
        bytes32 root = Encoding.balancesRoot(trees, totals);
        if (root != header.newRoot) revert WrongLines(root, header.newRoot);
        root = Encoding.balancesRoot(previousTrees, oldTotals);
        if (root != header.prevRoot) revert WrongTotals(header.prevRoot, root);
    }

    /// @dev What is owed = what was owed + deposits consumed − withdrawals. Returns the totals before the change.
    function _requireConserved(AssetLine calldata line, AssetChange calldata change) private pure returns (bytes32) {
        uint256 left = uint256(line.sum) + change.withdrawn + change.credited;
        if (left != uint256(change.sum) + line.credited) revert WrongSum(change.asset);
        if ((change.withdrawn == 0) != (change.withdrawalsHash == 0)) revert WrongWithdrawn(change.asset);
        return Encoding.totalsWord(change.sum, change.credited);
    }

    /// @dev Each asset's credited deposits are those of the queue's entries up to `queueUpTo`. What was true of the
    /// last batch stays true of an asset that has no deposits in the queue, as long as its total stays the same.
    function _consumeDeposits(
        Progress memory progress,
        uint64 queueUpTo,
        AssetLine[] calldata lines,
        AssetChange[] calldata changes
    ) private {
        uint64 pending = queueUpTo == progress.queueUpTo ? 0 : _counts.pendingAssets;
        for (uint256 i = 0; i < changes.length; ++i) {
            AssetChange calldata change = changes[i];
            bool mayCredit = (pending >> change.asset) & 1 != 0;
            if (!mayCredit && lines[change.asset].credited != change.credited) revert WrongCredit(change.asset);
        }
        if (pending == 0) return;
        uint64 left = pending;
        for (uint256 asset = 0; asset < progress.assetCount; ++asset) {
            if ((pending >> asset) & 1 == 0) continue;
            uint128 credited = asset < lines.length ? lines[asset].credited : 0;
            if (_requireCredit(asset, credited, queueUpTo) == 0) left &= ~(uint64(1) << uint64(asset));
        }
        if (left != pending) _counts.pendingAssets = left;
    }

    /// @dev `credited` is the sum of the asset's deposits among the queue's entries up to `queueUpTo`. Returns the
    /// entry of the first deposit after them; 0 for none.
    function _requireCredit(uint256 asset, uint128 credited, uint64 queueUpTo) private view returns (uint64 next) {
        Checkpoint memory checkpoint = _checkpoints[asset][credited];
        next = checkpoint.nextQueueId;
        // No deposit reached this total.
        if (credited != 0 && checkpoint.queueId == 0) revert WrongCredit(asset);
        // A deposit is credited that the batch does not consume.
        if (checkpoint.queueId > queueUpTo) revert WrongCredit(asset);
        // A deposit is consumed that is not credited.
        if (next != 0 && next <= queueUpTo) revert WrongCredit(asset);
    }

    /// @dev The header's withdrawals are those of the changes, and there is money for them. Consuming a deposit
    /// changes nobody's claim, so an asset in trouble can never hold the queue back; only letting some out before
    /// others has to wait.
    function _requireWithdrawals(Header calldata header, AssetChange[] calldata changes) private view {
        bytes32 root;
        for (uint256 i = 0; i < changes.length; ++i) {
            AssetChange calldata change = changes[i];
            if (change.withdrawn == 0) continue;
            root = Encoding.foldWithdrawals(root, change.asset, change.withdrawalsHash, change.withdrawn);
            if (!_isSolvent(_assets[change.asset])) revert Insolvent(change.asset);
        }
        if (root != header.withdrawalsRoot) revert WrongWithdrawals(root, header.withdrawalsRoot);
    }

    // ------------------------------------------------------------------ parts

    function _requireLive() private view {
        if (_progress.frozen) revert Frozen();
    }

    function _requireBatch(Header calldata header, Stamp calldata stamp) private view {
        bytes32 stored = batchHash[header.batchId];
        if (stored != Encoding.hashBatch(Encoding.hashHeader(header), stamp)) revert UnknownBatch(header.batchId);
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

    /// @dev A token that refuses (paused, or the owner is barred) must not keep others' claims from being pushed.
    function _payOrDefer(uint16 asset, address owner, uint128 atoms) private {
        Asset memory kind = _assets[asset];
        try vault.pay(kind.token, owner, uint256(atoms) * _scaleOf(kind)) {
            // Never more than is owed, which is kept in 80 bits.
            _assets[asset].owed = kind.owed - uint80(atoms);
            emit Paid(asset, owner, atoms);
        } catch {
            withdrawable[asset][owner] += atoms;
            emit PaymentDeferred(asset, owner, atoms);
        }
    }

    /// @dev Whether the vault holds all that it owes.
    function _isSolvent(Asset memory kind) private view returns (bool) {
        return kind.token.balanceOf(address(vault)) >= uint256(kind.owed) * _scaleOf(kind);
    }

    function _toAtoms(uint256 amount, uint64 scale) private pure returns (uint256) {
        if (amount % scale != 0) revert NotAMultiple(amount, scale);
        return amount / scale;
    }

    function _requireAccount() private view returns (uint32 account) {
        account = accountOf[msg.sender];
        if (account == 0) revert NoAccount(msg.sender);
    }

    function _openAccount() private returns (uint32 account) {
        account = accountOf[msg.sender];
        if (account != 0) return account;
        account = ++_counts.accounts;
        accountOf[msg.sender] = account;
        ownerOf[account] = msg.sender;
        emit AccountOpened(account, msg.sender);
    }

    function _enqueue(uint8 kind, uint32 account, uint16 asset, uint64 amount, bytes32 extra)
        private
        returns (uint64 queueId)
    {
        queueId = ++_counts.queueLength;
        uint64 time = uint64(block.timestamp);
        bytes32 prefix = Encoding.queueEntry(queuePrefix[queueId - 1], kind, account, asset, amount, extra, time);
        queuePrefix[queueId] = prefix;
        emit Queued(queueId, account, kind, asset, amount, extra, time, prefix);
    }
}
