// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title What the settlement contract says when something happened
interface SettlementEvents {
    /// @notice An asset may be used from now on.
    event AssetListed(uint16 indexed asset, address indexed token, uint64 scale);
    /// @notice What may be deposited changed; in atoms.
    event LimitsChanged(uint16 indexed asset, uint64 minimum, uint64 cap);
    /// @notice An owner's first deposit opened an account.
    event AccountOpened(uint32 indexed account, address indexed owner);
    /// @notice An entry joined the queue. `prefix` is {Encoding.queueEntry} of the fields and the entry before.
    event Queued(
        uint64 indexed queueId,
        uint32 indexed account,
        uint8 kind,
        uint16 asset,
        uint64 amount,
        bytes32 extra,
        uint64 time,
        bytes32 prefix
    );
    /// @notice A batch was committed. Header, lines and data stand in the transaction, its stamp is the block's.
    event BatchCommitted(uint64 indexed batchId, bytes32 headerHash);
    /// @notice This batch and all before it are final.
    event BatchFinal(uint64 indexed batchId);
    /// @notice A withdrawal was proved; it was paid, or waits in {withdrawable}.
    event Claimed(uint64 indexed batchId, uint16 indexed asset, uint32 index, address indexed owner, uint128 amount);
    /// @notice An owner was paid. In atoms.
    event Paid(uint16 indexed asset, address indexed owner, uint256 amount);
    /// @notice The token refused a payment; {claim} tries again. In atoms.
    event PaymentDeferred(uint16 indexed asset, address indexed owner, uint256 amount);
    /// @notice Watchers dropped this batch and all after it; the batch before it is the last one again.
    event BatchDropped(uint64 indexed batchId, bytes32 headerHash);
    /// @notice The venue has stopped for ever. `reason`: 1 silence, 2 vetoes, 3 a proof of misbehaviour.
    event VenueFrozen(uint8 reason);
    /// @notice The frozen venue is back at its last final batch: balances under `root` can escape, deposits after
    /// `queueUpTo` can be reclaimed.
    event RolledBack(uint64 indexed batchId, bytes32 root, uint64 queueUpTo);
    /// @notice Blocks are counted since this entry was in the queue, until a batch consumes it.
    event FreezeClockStarted(uint64 indexed queueId, uint64 blockNumber);
    /// @notice The vault holds less of the asset than it owes: it is set apart, so that the others go on.
    event Quarantined(uint16 indexed asset);
    /// @notice The vault holds enough of the asset again.
    event Released(uint16 indexed asset);
}

/// @title Why the settlement contract refuses, one error a reason
interface SettlementErrors {
    /// @notice The venue has stopped for ever.
    error Frozen();
    /// @notice Only the operator commits batches.
    error NotOperator(address caller);
    /// @notice The header is not signed by the header key. The hash is that of the header which the contract worked out: where
    /// the signature is good for another, that one names other roots, data or withdrawals than the call comes to.
    error WrongSignature(bytes32 headerHash);
    /// @notice The transaction has no blobs.
    error NoBlobs();
    /// @notice Only the watchers' contract drops batches.
    error NotWatchers(address caller);
    /// @notice Only the contract of proofs freezes so.
    error NotProofs(address caller);
    /// @notice The window is over: the batch can only become final.
    error WindowOver(uint64 batchId);
    /// @notice That is not the batch before.
    error WrongPredecessor(uint64 batchId);
    /// @notice Only the contract of keys rotates them.
    error NotKeys(address caller);
    /// @notice Only the administrator does this.
    error NotAdministrator(address caller);
    /// @notice The header has another format.
    error WrongVersion(uint64 expected, uint64 got);
    /// @notice The batch does not follow the last one.
    error WrongBatch(uint64 expected, uint64 got);
    /// @notice The journal range does not follow the last one, or is empty.
    error WrongSequence(uint64 expected, uint64 first, uint64 last);
    /// @notice The batch does not start from the current balances: the trees or totals before it are not those of the last
    /// one, or totals change without saying so. `got` is the root that they have.
    error WrongRoot(bytes32 expected, bytes32 got);
    /// @notice The records' times run backwards or are in the future.
    error WrongTime(uint64 first, uint64 last);
    /// @notice The queue is not consumed in order and unaltered.
    error WrongQueue(uint64 queueUpTo, bytes32 queuePrefix);
    /// @notice The transaction's blobs are not those that the call names.
    error WrongData(bytes32 expected, bytes32 got);
    /// @notice The lines are not those of the root.
    error WrongLines(bytes32 expected, bytes32 got);
    /// @notice What is owed is not what was owed, plus the deposits consumed, minus the withdrawals.
    error WrongSum(uint256 asset);
    /// @notice An asset that had no line has totals that no change explains.
    error WrongTotals(bytes32 expected, bytes32 got);
    /// @notice The changes are not in the order of the lines, or name an asset that has none.
    error WrongChange(uint256 asset);
    /// @notice Lines of the last batch are missing, there are more lines than assets, or their number before is another.
    error WrongLineCount(uint256 lines);
    /// @notice The deposits are not those of the consumed queue entries.
    error WrongCredit(uint256 asset);
    /// @notice The withdrawals have no tree, or there is a tree and no withdrawal.
    error WrongWithdrawn(uint256 asset);
    /// @notice A claim's lines are not the batch's.
    error WrongWithdrawals(bytes32 expected, bytes32 got);
    /// @notice The vault holds less than all claims to the asset.
    error Insolvent(uint256 asset);
    /// @notice No such asset.
    error UnknownAsset(uint256 asset);
    /// @notice The owner has no account: deposit first.
    error NoAccount(address owner);
    /// @notice The amount is no whole number of atoms.
    error NotAMultiple(uint256 amount, uint64 scale);
    /// @notice The amount is below the asset's minimum, is 0, or is more than the engine can count.
    error AmountOutOfRange(uint256 atoms);
    /// @notice The venue would hold more of the asset than it may.
    error AboveCap(uint256 atoms, uint64 cap);
    /// @notice A key of zeroes.
    error ZeroKey();
    /// @notice The listing or the limits make no sense.
    error BadListing();
    /// @notice The constructor's arguments make no sense.
    error BadSetup();
    /// @notice The header and stamp are of no batch that counts.
    error UnknownBatch(uint64 batchId);
    /// @notice The batch is final already.
    error AlreadyFinal(uint64 batchId);
    /// @notice The window is not over.
    error WindowOpen(uint64 batchId);
    /// @notice Claims have to wait until the batch is final.
    error NotFinal(uint64 batchId);
    /// @notice The withdrawal is not in the batch.
    error WrongProof();
    /// @notice The withdrawal was claimed before.
    error AlreadyClaimed(uint64 batchId, uint16 asset, uint32 index);
    /// @notice The account has no owner.
    error UnknownAccount(uint32 account);
    /// @notice The entry is not the queue's.
    error WrongEntry(uint64 queueId);
    /// @notice The entry is not the oldest that no batch has consumed.
    error NotOldest(uint64 expected, uint64 got);
    /// @notice The venue has had too little time, in seconds, to be frozen.
    error TooEarly(uint64 from);
    /// @notice The venue has had too few blocks to be frozen, or {Settlement.startFreezeClock} was not called.
    error TooFewBlocks(uint64 from);
    /// @notice No entry waits in the queue.
    error QueueEmpty();
    /// @notice The clock runs already.
    error ClockRunning(uint64 queueId);
    /// @notice Only in a frozen venue.
    error NotFrozen();
    /// @notice The venue is back at its last final batch already.
    error AlreadyRolledBack();
    /// @notice Only the contract of exits pays so.
    error NotExits(address caller);
    /// @notice The fee for a forced withdrawal is another one.
    error WrongFee(uint256 expected, uint256 got);
    /// @notice A forced withdrawal of this asset is open.
    error ForcedWithdrawalOpen(uint64 queueId);
    /// @notice The payment was refused: by the token, or by the venue's owner who is paid fees.
    error NotPaid(address owner);
    /// @notice The asset is set apart: what it owes waits until the vault holds enough of it, or the venue is frozen.
    error InQuarantine(uint256 asset);
    /// @notice The asset is in no such trouble.
    error NotInsolvent(uint256 asset);
    /// @notice More of the asset leaves today than may at once; this withdrawal can leave from then on, in seconds.
    error OutflowDelayed(uint64 from);
    /// @notice The registration is not the owner's next one.
    error WrongEpoch(uint64 expected, uint64 got);
    /// @notice The key's end has passed.
    error KeyExpired(uint64 expiry);
    /// @notice The owner did not sign this.
    error NotSigned(address owner);
    /// @notice Nothing waits for this owner.
    error NothingToClaim(address owner);
}
