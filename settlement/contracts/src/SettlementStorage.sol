// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Exits} from "./Exits.sol";
import {Keys} from "./Keys.sol";
import {Proofs} from "./Proofs.sol";
import {SettlementErrors} from "./SettlementInterface.sol";
import {Setup} from "./Types.sol";
import {Vault} from "./Vault.sol";
import {Watchers} from "./Watchers.sol";
import {Encoding} from "./lib/Encoding.sol";
import {Progress} from "./lib/Progress.sol";

/// @title What the settlement contract remembers, and how to look at it
/// @notice Sized so that a batch touches as few slots as can be: its own hash, the root, and {Progress}.
abstract contract SettlementStorage is SettlementErrors {
    /// @notice Format of the headers that this contract takes.
    uint64 public constant HEADER_VERSION = 1;
    /// @notice Most assets.
    uint256 public constant MAX_ASSETS = 64;
    /// @notice Most atoms of one asset that the engine can hold.
    uint64 public constant SUPPLY_CAP = 1 << 62;
    /// @notice How far, in seconds, a batch's last record may be ahead of the block: the venue's clock and the chain's
    /// differ, and a block carries the time of its slot's beginning.
    uint64 public constant CLOCK_TOLERANCE = 60;
    /// @notice How long, in seconds, the queue's oldest entry may wait until anybody may freeze the venue.
    uint64 public constant FREEZE_AFTER = 7 days;
    /// @notice How long, in seconds, a withdrawal above the daily outflow waits after its batch was committed.
    uint64 public constant OUTFLOW_DELAY = 7 days;
    /// @notice How long ahead, in seconds, new keys and new watchers are announced: who does not trust them has the time
    /// to leave by force before they come.
    uint64 public constant NOTICE = 9 days;
    /// @notice Vetoes after which anybody may freeze the venue.
    uint64 public constant VETOES_TO_FREEZE = 3;

    /// @dev What an asset is and what the vault owes of it, in atoms: balances, withdrawals not yet paid, and deposits
    /// in the queue. One slot. `scalePower` is the power of ten of the token's units in one atom.
    struct Asset {
        IERC20 token;
        uint8 scalePower;
        bool quarantined;
        uint80 owed;
    }

    /// @dev What came in since the beginning, and what may come in, in atoms. One slot.
    struct Intake {
        uint80 deposited;
        uint64 minimum;
        uint64 cap;
    }

    /// @dev Where in the queue an asset's running deposits reached a total. Stored under that total, so that a batch's
    /// line (which names the total) finds it with one read: the deposit that reached it, and the next one.
    struct Checkpoint {
        uint64 queueId;
        uint64 nextQueueId;
    }

    /// @dev What of an asset left on a day, in atoms. One slot.
    struct Outflow {
        uint40 day;
        /// What the venue owed when the day's first withdrawal was claimed.
        uint80 base;
        uint80 spent;
    }

    /// @dev An owner's account, and how many keys were registered. One slot.
    struct Holder {
        uint32 account;
        uint64 keyEpoch;
    }

    /// @dev The queue's end, accounts so far, and what has to do with freezing. One slot.
    struct Counts {
        uint64 queueLength;
        uint32 accounts;
        /// A bit for each asset that may have deposits in the queue which no batch has consumed.
        uint64 pendingAssets;
        /// An entry that no batch had consumed in block `clockBlock`. As long as none has, its age in blocks is known.
        uint40 clockId;
        uint40 clockBlock;
        uint8 vetoes;
        /// Whether a frozen venue is back at its last final batch.
        bool rolledBack;
    }

    /// @notice Holds the tokens. Users approve it, not this contract.
    Vault public immutable vault;
    /// @notice Whose vetoes drop batches.
    Watchers public immutable watchers;
    /// @notice Where misbehaviour is proved.
    Proofs public immutable proofs;
    /// @notice Where the venue's keys are announced and rotated.
    Keys public immutable keys;
    /// @notice The way out of a frozen venue.
    Exits public immutable exits;
    /// @notice The EIP-712 domain of all that is signed: name `Lakh`, version `1`, this chain and contract.
    bytes32 public immutable domainSeparator;
    /// @notice Who may list assets, change deposit limits, announce keys and watchers.
    address public immutable administrator;
    /// @dev The keys until they are rotated.
    address internal immutable _firstOperator;
    address internal immutable _firstSigner;
    /// @notice How long a batch waits until it can be final, in seconds.
    uint64 public immutable windowSeconds;
    /// @notice How many blocks a batch waits until it can be final.
    uint64 public immutable windowBlocks;
    /// @notice How many blocks an entry waits in the queue until the venue may be frozen, beside {FREEZE_AFTER}.
    uint64 public immutable freezeBlocks;
    /// @notice What a forced withdrawal costs, in wei. Keeps the queue from being filled with them.
    uint64 public immutable forcedFee;
    /// @notice How much of an asset, in percent, may leave in a day without delay; 100 for all.
    uint64 public immutable outflowPercent;

    /// @notice The balances root after the last batch.
    bytes32 public tipRoot;
    Progress internal _progress;
    Counts internal _counts;

    /// @notice A queue entry's prefix hash by its number; at 0 the origin, see {Encoding.queueOrigin}.
    mapping(uint256 queueId => bytes32) public queuePrefix;
    /// @notice What is stored of a batch: {Encoding.hashBatch} of its header and its stamp.
    mapping(uint256 batchId => bytes32) public batchHash;
    /// @notice An account's owner, the only address that is ever paid for it.
    mapping(uint256 account => address) public ownerOf;
    mapping(address owner => Holder) internal _holders;
    /// @notice What was claimed but could not be paid out yet, in atoms.
    mapping(uint256 asset => mapping(address owner => uint256)) public withdrawable;

    mapping(uint256 asset => Asset) internal _assets;
    mapping(uint256 asset => Intake) internal _intakes;
    mapping(address token => bool) internal _listed;
    mapping(uint256 asset => mapping(uint256 total => Checkpoint)) internal _checkpoints;
    mapping(uint256 asset => Outflow) internal _outflows;
    /// @dev The last forced withdrawal of an account's asset: its queue entry.
    mapping(uint256 account => mapping(uint256 asset => uint64 queueId)) internal _forced;
    /// @dev The keys once they were rotated.
    address internal _operator;
    address internal _signer;
    /// @dev Claimed withdrawals, a bit each, by batch × asset × (index / 256).
    mapping(uint256 word => uint256 bits) internal _claimed;

    /// @notice Deploys vault, watchers and proofs too.
    /// @param setup See {Setup}.
    constructor(Setup memory setup) {
        if (setup.operator == address(0)) revert BadSetup();
        if (setup.signer == address(0)) revert BadSetup();
        if (setup.administrator == address(0)) revert BadSetup();
        if (setup.venueOwner == address(0)) revert BadSetup();
        // Blocks come at least once a second nowhere; more of them would be a freeze that never comes.
        if (setup.freezeBlocks > FREEZE_AFTER) revert BadSetup();
        if (setup.outflowPercent == 0) revert BadSetup();
        if (setup.outflowPercent > 100) revert BadSetup();
        _firstOperator = setup.operator;
        _firstSigner = setup.signer;
        administrator = setup.administrator;
        windowSeconds = setup.windowSeconds;
        windowBlocks = setup.windowBlocks;
        freezeBlocks = setup.freezeBlocks;
        forcedFee = setup.forcedFee;
        outflowPercent = setup.outflowPercent;
        vault = new Vault();
        watchers = new Watchers(setup.watchers, setup.vetoThreshold, setup.vetoBond);
        proofs = new Proofs();
        keys = new Keys(setup.signer);
        exits = new Exits();
        domainSeparator = Encoding.domain(block.chainid, address(this));
        ownerOf[0] = setup.venueOwner;
        tipRoot = Encoding.balancesRoot(0, 0);
        queuePrefix[0] = Encoding.queueOrigin(block.chainid, address(this));
    }

    /// @notice Where the batches stand.
    /// @return batchId The last batch.
    /// @return lastSequence The last journal record that is settled.
    /// @return queueUpTo The last queue entry that is consumed.
    /// @return lastTime Time of the last record, in seconds.
    /// @return finalBatch The last batch that is final.
    function tip()
        external
        view
        returns (uint64 batchId, uint64 lastSequence, uint64 queueUpTo, uint64 lastTime, uint64 finalBatch)
    {
        Progress p = _progress;
        return (p.batchId(), p.lastSequence(), p.queueUpTo(), p.lastTime(), p.finalBatch());
    }

    /// @notice Whether the venue has stopped for ever.
    /// @return Whether it has.
    function frozen() external view returns (bool) {
        return _progress.isFrozen();
    }

    /// @notice Whether the venue is frozen and back at its last final batch, so that everybody can leave.
    /// @return Whether it is.
    function rolledBack() external view returns (bool) {
        return _counts.rolledBack;
    }

    /// @notice How often watchers have dropped batches.
    /// @return How often, at most 255.
    function vetoes() external view returns (uint64) {
        return _counts.vetoes;
    }

    /// @notice Since when the queue is known to wait, for {Settlement.freeze}.
    /// @return queueId An entry of the queue; the clock runs while no batch has consumed it.
    /// @return blockNumber The block since which it counts.
    function freezeClock() external view returns (uint64 queueId, uint64 blockNumber) {
        return (_counts.clockId, _counts.clockBlock);
    }

    /// @notice Who may send batches: the poster's key.
    /// @return Its address.
    function operator() external view returns (address) {
        return _progress.areKeysRotated() ? _operator : _firstOperator;
    }

    /// @notice Whose signature under headers and receipts counts: the header key.
    /// @return Its address.
    function signer() external view returns (address) {
        return _progress.areKeysRotated() ? _signer : _firstSigner;
    }

    /// @notice An owner's account.
    /// @param owner Whose.
    /// @return Its number; 0 for none.
    function accountOf(address owner) external view returns (uint32) {
        return _holders[owner].account;
    }

    /// @notice How many keys an owner has registered; the next registration that is signed names this number + 1.
    /// @param owner Whose.
    /// @return How many.
    function keyEpochOf(address owner) external view returns (uint64) {
        return _holders[owner].keyEpoch;
    }

    /// @notice The last forced withdrawal of an account's asset.
    /// @param account Whose.
    /// @param asset Of what.
    /// @return Its queue entry, which is open while no batch has consumed it; 0 for none.
    function forcedWithdrawalOf(uint32 account, uint16 asset) external view returns (uint64) {
        return _forced[account][asset];
    }

    /// @notice Whether an asset is set apart because the vault holds less of it than it owes.
    /// @param asset Which.
    /// @return Whether it is.
    function isQuarantined(uint16 asset) external view returns (bool) {
        return _assets[asset].quarantined;
    }

    /// @notice What of an asset has left on the day of its last claim, in atoms.
    /// @param asset Which.
    /// @return day Days since the Unix epoch.
    /// @return base What the venue owed when the day's first withdrawal was claimed.
    /// @return spent What has left since.
    function outflow(uint16 asset) external view returns (uint64 day, uint128 base, uint128 spent) {
        Outflow memory o = _outflows[asset];
        return (o.day, o.base, o.spent);
    }

    /// @notice How much there is of what is counted.
    /// @return assets Listed assets.
    /// @return accounts Accounts, the venue's not included.
    /// @return queueLength Queue entries.
    function counts() external view returns (uint64 assets, uint64 accounts, uint64 queueLength) {
        return (uint64(_progress.assetCount()), _counts.accounts, _counts.queueLength);
    }

    /// @notice What an asset is and what may be deposited.
    /// @param asset Which.
    /// @return token Its token.
    /// @return scale Units of the token in one atom.
    /// @return minimum Smallest deposit in atoms.
    /// @return cap Most that the venue may hold in atoms.
    function assetInfo(uint16 asset) external view returns (IERC20 token, uint64 scale, uint64 minimum, uint64 cap) {
        Asset memory kind = _assetOf(asset);
        return (kind.token, _scaleOf(kind), _intakes[asset].minimum, _intakes[asset].cap);
    }

    /// @notice What came into the vault and what it owes, in atoms.
    /// @param asset Of which asset.
    /// @return deposited All that arrived since the beginning.
    /// @return owed Balances, withdrawals not yet paid, and deposits in the queue.
    function holdings(uint16 asset) external view returns (uint128 deposited, uint128 owed) {
        return (_intakes[asset].deposited, _assets[asset].owed);
    }

    /// @notice Whether the asset may have deposits in the queue that no batch has consumed.
    /// @param asset Which.
    /// @return Whether it may.
    function hasPendingDeposits(uint16 asset) external view returns (bool) {
        return asset < MAX_ASSETS && (_counts.pendingAssets >> asset) & 1 != 0;
    }

    /// @notice Whether a withdrawal was claimed.
    /// @param batchId Of which batch.
    /// @param asset Of which asset.
    /// @param index Its place.
    /// @return Whether it was.
    function isClaimed(uint64 batchId, uint16 asset, uint32 index) external view returns (bool) {
        uint256 word = (uint256(batchId) << 64) | (uint256(asset) << 48) | (index >> 8);
        return _claimed[word] & (1 << (index & 0xff)) != 0;
    }

    function _assetOf(uint256 asset) internal view returns (Asset memory kind) {
        kind = _assets[asset];
        if (address(kind.token) == address(0)) revert UnknownAsset(asset);
    }

    /// @dev Units of the token in one atom.
    function _scaleOf(Asset memory kind) internal pure returns (uint64) {
        // At most 10^18, which listing makes sure of.
        return uint64(10 ** uint256(kind.scalePower));
    }
}
