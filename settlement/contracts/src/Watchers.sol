// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {AssetLine, Header, Stamp} from "./Types.sol";
import {Encoding} from "./lib/Encoding.sol";

/// @title What the watchers need of the settlement contract
interface WatchedSettlement {
    /// @notice Who announces new watchers.
    function administrator() external view returns (address);
    /// @notice How long ahead, in seconds.
    function NOTICE() external view returns (uint64);
    /// @notice An account's owner; that of account 0 is the venue's.
    function ownerOf(uint256 account) external view returns (address);
    /// @notice Whether the venue has stopped for ever.
    function frozen() external view returns (bool);
    /// @notice What is stored of a batch.
    function batchHash(uint256 batchId) external view returns (bytes32);
    /// @notice Where the batches stand.
    function tip() external view returns (uint64, uint64, uint64, uint64, uint64);
    /// @notice Reverts unless the batch may be vetoed now.
    function requireVetoable(Header calldata header, Stamp calldata stamp) external view;
    /// @notice Drops a batch and all after it.
    function drop(
        Header calldata header,
        Stamp calldata stamp,
        Header calldata previous,
        Stamp calldata previousStamp,
        AssetLine[] calldata previousLines
    ) external;
}

/// @title Whose vetoes drop batches
/// @notice Each watcher replays the journal (`lakh watch`). Who finds that a batch is not what the journal comes to, or
/// cannot be rebuilt from the chain, vetoes it while its window is open, and names the first record that differs. When
/// enough have, the batch and all after it are dropped; the operator may commit the range again.
///
/// A veto costs a bond. It is lost to the venue's owner if the very same batch is committed again and becomes final, so
/// that nobody stood by the veto; it comes back if another batch becomes final in its place, if the venue is frozen, or
/// if too few agreed and nothing was dropped.
///
/// Bounds: 32 watchers. Who they are changes with notice only, see {WatchedSettlement.NOTICE}.
contract Watchers {
    /// @notice Most watchers.
    uint256 public constant MAX_WATCHERS = 32;

    /// @notice What is vetoed here.
    WatchedSettlement public immutable settlement;
    /// @notice What each veto puts at stake, in wei.
    uint64 public immutable bond;

    /// @dev The vetoes of one batch as it was committed once.
    struct Ballot {
        bytes32 headerHash;
        uint64 batchId;
        uint64 votes;
        bool dropped;
    }

    /// @notice How many watchers have to agree.
    uint64 public threshold;
    /// @notice Counts the sets of watchers.
    uint64 public generation;
    /// @notice What was announced: hash of the next watchers and threshold; 0 for nothing.
    bytes32 public announcedHash;
    /// @notice Since when, in seconds, it may be taken.
    uint64 public announcedFrom;

    mapping(uint256 generation => mapping(address => bool)) internal _isWatcher;
    /// @notice The vetoes of a batch, by what the settlement contract stores of it.
    mapping(bytes32 batchHash => Ballot) public ballots;
    /// @notice What is at stake, in wei.
    mapping(bytes32 batchHash => mapping(address watcher => uint256)) public bonds;

    /// @notice New watchers may be taken from a time on, in seconds.
    event WatchersAnnounced(address[] watchers, uint64 threshold, uint64 from);
    /// @notice These are the watchers from now on.
    event WatchersChanged(address[] watchers, uint64 threshold);
    /// @notice A watcher vetoed a batch.
    event Vetoed(uint64 indexed batchId, address indexed watcher, bytes32 batchHash, uint64 divergentSequence);
    /// @notice A bond went back to its watcher, or to the venue's owner.
    event BondSettled(bytes32 indexed batchHash, address indexed watcher, address to, uint256 amount);

    /// @notice The set makes no sense.
    error BadWatchers();
    /// @notice Only watchers veto.
    error NotWatcher(address caller);
    /// @notice Only the administrator announces watchers.
    error NotAdministrator(address caller);
    /// @notice The announced watchers may be taken only later; in seconds.
    error NoticeRunning(uint64 from);
    /// @notice Other watchers were announced.
    error NotAnnounced();
    /// @notice The bond is another one.
    error WrongBond(uint256 expected, uint256 got);
    /// @notice The watcher has vetoed this batch before.
    error VetoedBefore(address watcher);
    /// @notice The record is not of the batch.
    error WrongSequence(uint64 sequence);
    /// @notice What becomes of the bond is not decided yet.
    error NotDecided();
    /// @notice Nothing is at stake.
    error NoBond();
    /// @notice The bond could not be paid.
    error NotPaid(address to);

    /// @notice The creator is the settlement contract.
    /// @param set The watchers.
    /// @param threshold_ How many have to agree.
    /// @param bond_ What each veto puts at stake, in wei.
    constructor(address[] memory set, uint64 threshold_, uint64 bond_) {
        settlement = WatchedSettlement(msg.sender);
        bond = bond_;
        _take(set, threshold_);
    }

    /// @notice Whether somebody may veto.
    /// @param watcher Who.
    /// @return Whether so.
    function isWatcher(address watcher) external view returns (bool) {
        return _isWatcher[generation][watcher];
    }

    /// @notice Announces new watchers.
    /// @param set They, at most {MAX_WATCHERS}, each once.
    /// @param threshold_ How many of them have to agree.
    function announce(address[] calldata set, uint64 threshold_) external {
        if (msg.sender != settlement.administrator()) revert NotAdministrator(msg.sender);
        announcedHash = keccak256(abi.encode(set, threshold_));
        announcedFrom = uint64(block.timestamp) + settlement.NOTICE();
        emit WatchersAnnounced(set, threshold_, announcedFrom);
    }

    /// @notice Takes the announced watchers once their time has come. Anybody may call.
    /// @param set They.
    /// @param threshold_ How many of them have to agree.
    function change(address[] calldata set, uint64 threshold_) external {
        if (keccak256(abi.encode(set, threshold_)) != announcedHash) revert NotAnnounced();
        if (block.timestamp < announcedFrom) revert NoticeRunning(announcedFrom);
        announcedHash = 0;
        _take(set, threshold_);
    }

    function _take(address[] memory set, uint64 threshold_) private {
        if (threshold_ == 0) revert BadWatchers();
        if (threshold_ > set.length) revert BadWatchers();
        if (set.length > MAX_WATCHERS) revert BadWatchers();
        uint64 next = generation + 1;
        for (uint256 i = 0; i < set.length; ++i) {
            if (set[i] == address(0)) revert BadWatchers();
            if (_isWatcher[next][set[i]]) revert BadWatchers();
            _isWatcher[next][set[i]] = true;
        }
        (generation, threshold) = (next, threshold_);
        emit WatchersChanged(set, threshold_);
    }

    /// @notice Vetoes a batch whose window is open. The veto that makes them enough drops it and all after it.
    /// @param header The batch's header.
    /// @param stamp When it was committed.
    /// @param previous The header of the batch before it; anything where there is none.
    /// @param previousStamp When that was committed.
    /// @param previousLines Every asset before the batch.
    /// @param divergentSequence The first record at which it is not what the journal comes to; where the data are
    /// missing, its first one.
    function veto(
        Header calldata header,
        Stamp calldata stamp,
        Header calldata previous,
        Stamp calldata previousStamp,
        AssetLine[] calldata previousLines,
        uint64 divergentSequence
    ) external payable {
        if (!_isWatcher[generation][msg.sender]) revert NotWatcher(msg.sender);
        if (msg.value != bond) revert WrongBond(bond, msg.value);
        if (divergentSequence < header.firstSequence) revert WrongSequence(divergentSequence);
        if (divergentSequence > header.lastSequence) revert WrongSequence(divergentSequence);
        settlement.requireVetoable(header, stamp);
        bytes32 headerHash = Encoding.hashHeader(header);
        bytes32 batchHash = Encoding.hashBatch(headerHash, stamp.time, stamp.blockNumber);
        Ballot memory ballot = ballots[batchHash];
        if (ballot.dropped) {
            // The very same batch was committed again in the block in which it was dropped: it is voted on anew.
            ballot.votes = 0;
            ++_round[batchHash];
        }
        uint64 round = _round[batchHash] + 1;
        if (_votedIn[batchHash][msg.sender] == round) revert VetoedBefore(msg.sender);
        _votedIn[batchHash][msg.sender] = round;
        bonds[batchHash][msg.sender] += msg.value;
        (ballot.headerHash, ballot.batchId) = (headerHash, header.batchId);
        ++ballot.votes;
        ballot.dropped = ballot.votes >= threshold;
        ballots[batchHash] = ballot;
        emit Vetoed(header.batchId, msg.sender, batchHash, divergentSequence);
        if (ballot.dropped) settlement.drop(header, stamp, previous, previousStamp, previousLines);
    }

    /// @dev How often a batch was dropped and then committed again unchanged, in one block.
    mapping(bytes32 batchHash => uint64) private _round;
    /// @dev The last round in which a watcher vetoed, from 1.
    mapping(bytes32 batchHash => mapping(address watcher => uint64)) private _votedIn;

    /// @notice Pays a bond to whom it belongs, once that is decided. Anybody may call.
    /// @param batchHash What the settlement contract stored of the batch that was vetoed.
    /// @param watcher Whose veto.
    /// @param header The header of the batch that is final in its place; anything where the venue is frozen.
    /// @param stamp When that was committed.
    function settleBond(bytes32 batchHash, address watcher, Header calldata header, Stamp calldata stamp) external {
        uint256 amount = bonds[batchHash][watcher];
        if (amount == 0) revert NoBond();
        bonds[batchHash][watcher] = 0;
        address to = _isLost(ballots[batchHash], header, stamp) ? settlement.ownerOf(0) : watcher;
        // Either put the bond up or is the venue's owner, whom the constructor requires; the bond is off the books.
        // slither-disable-next-line arbitrary-send-eth,missing-zero-check
        (bool isPaid,) = to.call{value: amount}("");
        if (!isPaid) revert NotPaid(to);
        emit BondSettled(batchHash, watcher, to, amount);
    }

    /// @dev Whether the venue committed the same batch once more, and nobody stood by the veto.
    function _isLost(Ballot memory ballot, Header calldata header, Stamp calldata stamp) private view returns (bool) {
        if (settlement.frozen()) return false;
        // slither-disable-next-line unused-return
        (,,,, uint64 finalBatch) = settlement.tip();
        if (finalBatch < ballot.batchId) revert NotDecided();
        if (!ballot.dropped) return false;
        bytes32 headerHash = Encoding.hashHeader(header);
        bytes32 shown = Encoding.hashBatch(headerHash, stamp.time, stamp.blockNumber);
        if (settlement.batchHash(ballot.batchId) != shown) revert NotDecided();
        return headerHash == ballot.headerHash;
    }
}
