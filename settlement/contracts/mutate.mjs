// Removes every check of the contracts in turn, and expects the test that is named for it to fail.
//
// All removals are compiled at once: each check gets a number and does nothing while the environment's MUTANT is that
// number (a cheat code reads it), so that one build serves them all. It is the tests' fast build for the contracts too,
// since what is asked here is whether a test notices, not what the optimizer makes of it. A check that the table below
// does not name ends the run, so none can be added without its test. `node mutate.mjs [FILTER]`.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const SOURCES = [
  'Exits.sol', 'Keys.sol', 'Proofs.sol', 'SettlementAssets.sol', 'SettlementBatches.sol', 'SettlementExits.sol',
  'SettlementParts.sol', 'SettlementQueue.sol', 'SettlementStorage.sol', 'Vault.sol', 'Watchers.sol', 'lib/JournalTree.sol',
];

// function › check: contract of tests › test. What is not of Settlement or Vault has its contract in front.
const TABLE = `
constructor › setup.operator == address(0): ConstructorTest › test_RevertWhen_NoOperator
constructor › setup.administrator == address(0): ConstructorTest › test_RevertWhen_NoAdministrator
constructor › setup.venueOwner == address(0): ConstructorTest › test_RevertWhen_NoVenueOwner
listAsset › onlyAdministrator: ListAssetTest › test_RevertWhen_NotAdministrator
listAsset › asset >= MAX_ASSETS: ListAssetTest › test_RevertWhen_TooMany
listAsset › _listed[address(token)]: ListAssetTest › test_RevertWhen_ListedTwice
listAsset › address(token).code.length == 0: ListAssetTest › test_RevertWhen_NoToken
setLimits › onlyAdministrator: SetLimitsTest › test_RevertWhen_NotAdministrator
setLimits › _assetOf(asset): SetLimitsTest › test_RevertWhen_UnknownAsset
_setLimits › minimum == 0: ListAssetTest › test_RevertWhen_NoMinimum
_setLimits › minimum > cap: ListAssetTest › test_RevertWhen_MinimumAboveCap
_setLimits › cap > SUPPLY_CAP: ListAssetTest › test_RevertWhen_CapAboveSupply
_powerOfTen › power == 18: ListAssetTest › test_RevertWhen_ScaleIsNoPowerOfTen
deposit › nonReentrant: ReentrancyTest › test_Guards_deposit
deposit › _requireLive(): DepositTest › test_RevertWhen_Frozen
quarantine › nonReentrant: ReentrancyTest › test_Guards_quarantine
release › nonReentrant: ReentrancyTest › test_Guards_release
deposit › !_isSolvent(kind): DepositTest › test_RevertWhen_Insolvent
deposit › atoms < intake.minimum: DepositTest › test_RevertWhen_BelowMinimum
deposit › owed > intake.cap: DepositTest › test_RevertWhen_AboveCap
registerKey › nonReentrant: ReentrancyTest › test_Guards_registerKey
_register › _requireLive(): RegisterKeyTest › test_RevertWhen_Frozen
_register › key == 0: RegisterKeyTest › test_RevertWhen_ZeroKey
revokeKey › nonReentrant: ReentrancyTest › test_Guards_revokeKey
revokeKey › _requireLive(): RevokeKeyTest › test_RevertWhen_Frozen
requestWithdrawal › nonReentrant: ReentrancyTest › test_Guards_requestWithdrawal
requestWithdrawal › _requireLive(): RequestWithdrawalTest › test_RevertWhen_Frozen
requestWithdrawal › atoms == 0: RequestWithdrawalTest › test_RevertWhen_Zero
requestWithdrawal › atoms > SUPPLY_CAP: RequestWithdrawalTest › test_RevertWhen_MoreThanTheEngineCounts
claim › nonReentrant: ReentrancyTest › test_Guards_claim
claim › atoms == 0: ClaimTest › test_RevertWhen_NothingToClaim
claimFromBatch › nonReentrant: ReentrancyTest › test_Guards_claimFromBatch
claimFromBatch › batchId > _progress.finalBatch(): ClaimFromBatchTest › test_RevertWhen_NotFinal
claimFromBatch › _requireBatch(header, stamp): ClaimFromBatchTest › test_RevertWhen_UnknownBatch
claimFromBatch › root != header.withdrawalsRoot: ClaimFromBatchTest › test_RevertWhen_WrongWithdrawals
claimFromBatch › _requireWithdrawal(lines, withdrawal, path): ClaimFromBatchTest › test_RevertWhen_WrongProof_Content
claimFromBatch › _markClaimed(batchId, withdrawal.asset, withdrawal.index): ClaimFromBatchTest › test_RevertWhen_AlreadyClaimed
claimFromBatch › owner == address(0): ClaimFromBatchTest › test_RevertWhen_UnknownAccount
commitBatch › nonReentrantView: ReentrancyTest › test_Guards_commitBatch
_commit › progress.isFrozen(): CommitBatchTest › test_RevertWhen_Frozen
_requireKeys › msg.sender != poster: CommitBatchTest › test_RevertWhen_NotOperator
_commit › _requireNext(progress, claim.range): CommitBatchTest › test_RevertWhen_WrongBatch
_commit › _requireTimes(progress, claim.moment): CommitBatchTest › test_RevertWhen_WrongTime_Future
_commit › _requireQueue(progress, claim.moment.queueUpTo(), claim.queuePrefix): CommitBatchTest › test_RevertWhen_WrongQueue_Altered
_commit › lines.length < progress.lineCount(): CommitBatchTest › test_RevertWhen_WrongLineCount_TooFew
_commit › lines.length > progress.assetCount(): CommitBatchTest › test_RevertWhen_WrongLineCount_TooMany
_commit › oldRoot != tipRoot: CommitBatchTest › test_RevertWhen_WrongRoot_LyingAboutThePast
_commit › _consumeDeposits(progress, claim.moment.queueUpTo(), lines, changes): CommitBatchTest › test_RevertWhen_WrongCredit_NeverReached
finalize › _requireLive(): FinalizeTest › test_RevertWhen_Frozen
finalize › header.batchId <= _progress.finalBatch(): FinalizeTest › test_RevertWhen_AlreadyFinal
finalize › _requireBatch(header, stamp): FinalizeTest › test_RevertWhen_UnknownBatch
_requireNext › range.version() != HEADER_VERSION: CommitBatchTest › test_RevertWhen_WrongVersion
_requireNext › range.previousLines() != progress.lineCount(): CommitBatchTest › test_RevertWhen_WrongLineCount_OfTheLastBatch
_requireNext › range.batchId() != batchId: CommitBatchTest › test_RevertWhen_WrongBatch
_requireNext › range.firstSequence() != first: CommitBatchTest › test_RevertWhen_WrongSequence_Start
_requireNext › range.lastSequence() < first: CommitBatchTest › test_RevertWhen_WrongSequence_Empty
_requireTimes › first < progress.lastTime(): CommitBatchTest › test_RevertWhen_WrongTime_Backwards
_requireTimes › last < first: CommitBatchTest › test_RevertWhen_WrongTime_LastBeforeFirst
_requireTimes › last > block.timestamp + CLOCK_TOLERANCE: CommitBatchTest › test_RevertWhen_WrongTime_Future
_requireQueue › told != 0: CommitBatchTest › test_RevertWhen_WrongQueue_NamesWhatItDoesNotConsume
_requireQueue › queueUpTo < progress.queueUpTo(): CommitBatchTest › test_RevertWhen_WrongQueue_Backwards
_requireQueue › prefix == 0: CommitBatchTest › test_RevertWhen_WrongQueue_BeyondTheEnd
_requireQueue › prefix != told: CommitBatchTest › test_RevertWhen_WrongQueue_Altered
commitBatchBlobs › dataHash != found: CommitBatchBlobsTest › test_RevertWhen_WrongData
_rootsOf › word != 0: CommitBatchTest › test_RevertWhen_WrongTotals_NewAssetWithMoney
_rootsOf › next != changes.length: CommitBatchTest › test_RevertWhen_WrongChange
_requireConserved › left != uint256(before.sum()) + totals.credited(): CommitBatchTest › test_RevertWhen_WrongSum
_requireConserved › (change.withdrawn == 0) != (change.withdrawalsHash == 0): CommitBatchTest › test_RevertWhen_WrongWithdrawn
_consumeDeposits › !mayCredit && isCredited: CommitBatchTest › test_RevertWhen_WrongCredit_NothingConsumed
_requireCredit › credited != 0 && checkpoint.queueId == 0: CommitBatchTest › test_RevertWhen_WrongCredit_NeverReached
_requireCredit › checkpoint.queueId > queueUpTo: CommitBatchTest › test_RevertWhen_WrongCredit_AheadOfTheQueue
_requireCredit › next != 0 && next <= queueUpTo: CommitBatchTest › test_RevertWhen_WrongCredit_BehindTheQueue
_withdrawalsRootOf › uint256(lines[asset].totals.sum()) + withdrawn > _assets[asset].owed: CommitBatchTest › test_RevertWhen_Insolvent
_requireLive › _progress.isFrozen(): DepositTest › test_RevertWhen_Frozen
_requireBatch › batchHash[header.batchId] != shown: FinalizeTest › test_RevertWhen_UnknownBatch
_requireWithdrawal › uint256(withdrawal.index) >> path.length != 0: ClaimFromBatchTest › test_RevertWhen_WrongProof_IndexBeyondTheTree
_requireWithdrawal › always: ClaimFromBatchTest › test_RevertWhen_WrongProof_Content
_markClaimed › bits & bit != 0: ClaimFromBatchTest › test_RevertWhen_AlreadyClaimed
_toAtoms › amount % scale != 0: DepositTest › test_RevertWhen_NotAMultiple
_requireAccount › account == 0: RegisterKeyTest › test_RevertWhen_NoAccount
_assetOf › address(kind.token) == address(0): DepositTest › test_RevertWhen_UnknownAsset
pull › onlySettlement: PullTest › test_RevertWhen_NotSettlement
pay › onlySettlement: PayTest › test_RevertWhen_NotSettlement
constructor › setup.signer == address(0): ConstructorTest › test_RevertWhen_NoSigner
constructor › setup.freezeBlocks > FREEZE_AFTER: ConstructorTest › test_RevertWhen_FreezingNeedsTooManyBlocks
constructor › setup.outflowPercent == 0: ConstructorTest › test_RevertWhen_NothingMayLeave
constructor › setup.outflowPercent > 100: ConstructorTest › test_RevertWhen_MoreThanAllMayLeave
requireBatch › _requireBatch(header, stamp): RollBackTest › test_GoesBackToTheLastFinalBatch
rollBack › !_progress.isFrozen(): RollBackTest › test_RevertWhen_NotFrozen
rollBack › _counts.rolledBack: RollBackTest › test_RevertWhen_Twice
rollBack › header.batchId != batchId: RollBackTest › test_RevertWhen_NotFinal
rollBack › _requireBatch(header, stamp): RollBackTest › test_RevertWhen_UnknownBatch
requireEntry › _requireEntry(entry): ReclaimDepositTest › test_RevertWhen_WrongEntry
Exits.reclaimDeposit › settlement.requireEntry(entry): ReclaimDepositTest › test_RevertWhen_WrongEntry
Exits.reclaimDeposit › entry.kind != Encoding.DEPOSIT: ReclaimDepositTest › test_RevertWhen_NoDeposit
Exits.reclaimDeposit › entry.queueId <= queueUpTo: ReclaimDepositTest › test_RevertWhen_Consumed
Exits.reclaimDeposit › isReclaimed(entry.queueId): ReclaimDepositTest › test_ComesBackOnce
Exits.reclaimDeposit › !settlement.rolledBack(): ReclaimDepositEarlyTest › test_RevertWhen_NotRolledBack
_requireBatch › header.batchId > _progress.batchId(): VetoTest › test_EnoughDropTheBatchAndAllAfterIt
requireVetoable › _requireLive(): VetoTest › test_RevertWhen_Frozen
requireVetoable › _requireBatch(header, stamp): VetoTest › test_RevertWhen_UnknownBatch
requireVetoable › header.batchId <= _progress.finalBatch(): VetoTest › test_RevertWhen_Final
requireVetoable › _isWindowOver(stamp): VetoTest › test_RevertWhen_WindowOver
drop › msg.sender != address(watchers): VetoTest › test_RevertWhen_SomebodyElseDrops
drop › requireVetoable(header, stamp): VetoTest › test_RevertWhen_DroppingWhatIsFinal
drop › root != header.prevRoot: VetoTest › test_RevertWhen_WrongLines
drop › _requireBatch(previous, previousStamp): VetoTest › test_RevertWhen_UnknownPredecessor
drop › previous.batchId + 1 != header.batchId: VetoTest › test_RevertWhen_WrongPredecessor
Watchers.veto › !_isWatcher[generation][msg.sender]: VetoTest › test_RevertWhen_NotWatcher
Watchers.veto › msg.value != bond: VetoTest › test_RevertWhen_WrongBond
Watchers.veto › divergentSequence < header.firstSequence: VetoTest › test_RevertWhen_SequenceBeforeTheBatch
Watchers.veto › divergentSequence > header.lastSequence: VetoTest › test_RevertWhen_SequenceAfterTheBatch
Watchers.veto › settlement.requireVetoable(header, stamp): VetoTest › test_RevertWhen_Final
Watchers.veto › _votedIn[batchHash][msg.sender] == round: VetoTest › test_RevertWhen_VetoedBefore
_requireEntry › entry.queueId == 0: FreezeTest › test_RevertWhen_WrongEntry
_requireEntry › queuePrefix[entry.queueId] != prefix: FreezeTest › test_RevertWhen_WrongEntry
startFreezeClock › _requireLive(): FreezeTest › test_RevertWhen_ClockOfAFrozenVenue
startFreezeClock › oldest > _counts.queueLength: FreezeTest › test_RevertWhen_QueueEmpty
startFreezeClock › _counts.clockId >= oldest: FreezeTest › test_RevertWhen_ClockRunning
freeze › _requireLive(): FreezeTest › test_RevertWhen_Frozen
freeze › oldest.queueId != next: FreezeTest › test_RevertWhen_NotOldest
freeze › _requireEntry(oldest): FreezeTest › test_RevertWhen_WrongEntry
freeze › block.timestamp < from: FreezeTest › test_RevertWhen_TooEarly
freeze › block.number < fromBlock: FreezeTest › test_RevertWhen_TooFewBlocks
freezeForProof › msg.sender != address(proofs): FreezeTest › test_RevertWhen_NoProof
freezeForProof › _requireLive(): FreezeTest › test_RevertWhen_ProvedTwice
_pay › !_progress.isFrozen() && (kind.quarantined || held < owed): QuarantineTest › test_RevertWhen_ClaimingWhatIsMissing
quarantine › _isSolvent(_assetOf(asset)): QuarantineTest › test_RevertWhen_Solvent
release › !_isSolvent(_assetOf(asset)): QuarantineTest › test_RevertWhen_StillInsolvent
deposit › _requireNoForced(_holders[msg.sender].account, asset): ForceWithdrawTest › test_RevertWhen_DepositMeanwhile
forceWithdraw › _requireLive(): ForceWithdrawTest › test_RevertWhen_Frozen
forceWithdraw › msg.value != forcedFee: ForceWithdrawTest › test_RevertWhen_WrongFee
forceWithdraw › _assetOf(asset): ForceWithdrawTest › test_RevertWhen_UnknownAsset
forceWithdraw › _requireNoForced(account, asset): ForceWithdrawTest › test_OpenUntilABatchConsumesIt
collectFees › !isPaid: ForceWithdrawTest › test_RevertWhen_TheVenueRefusesFees
_requireNoForced › queueId > _progress.queueUpTo(): ForceWithdrawTest › test_OpenUntilABatchConsumesIt
registerKeyBySig › expiry != 0 && expiry <= block.timestamp: RegisterKeyBySigTest › test_RevertWhen_KeyExpired
registerKeyBySig › epoch != next: RegisterKeyBySigTest › test_RevertWhen_Replayed
registerKeyBySig › !keys.isSignedBy(owner, digest, signature): RegisterKeyBySigTest › test_RevertWhen_NotSigned
registerKeyBySig › nonReentrant: ReentrancyTest › test_Guards_registerKeyBySig
forceWithdraw › nonReentrant: ReentrancyTest › test_Guards_forceWithdraw
collectFees › nonReentrant: ReentrancyTest › test_Guards_collectFees
commitBatchBlobs › nonReentrantView: ReentrancyTest › test_Guards_commitBatchBlobs
payExit › nonReentrant: ReentrancyTest › test_Guards_payExit
commitBatchBlobs › found == 0: CommitBatchBlobsTest › test_RevertWhen_NoBlobs
_commit › _requireKeys(progress, headerHash, claim.signature): CommitBatchTest › test_RevertWhen_SignedForAnother
_requireKeys › found != headerKey: CommitBatchTest › test_RevertWhen_WrongSignature
finalize › !_isWindowOver(stamp): FinalizeTest › test_RevertWhen_WindowOpen_Seconds
takeKeys › msg.sender != address(keys): RotateTest › test_RevertWhen_SomebodyElseGivesKeys
Keys.announce › msg.sender != settlement.administrator(): RotateTest › test_RevertWhen_NotAdministrator
Keys.announce › operator == address(0): RotateTest › test_RevertWhen_NoOperator
Keys.announce › signer == address(0): RotateTest › test_RevertWhen_NoSigner
Keys.rotate › operator == address(0): RotateTest › test_RevertWhen_NothingAnnounced
Keys.rotate › block.timestamp < from: RotateTest › test_RevertWhen_NoticeRunning
claim › !_pay(asset, owner, atoms): EscapeTest › test_ARefusedPaymentWaits
payExit › msg.sender != address(exits): EscapeTest › test_RevertWhen_SomebodyElsePays
Exits.escape › !settlement.rolledBack(): EscapeTest › test_RevertWhen_NotRolledBack
Exits.escape › Encoding.linesRoot(lines) != settlement.tipRoot(): EscapeTest › test_RevertWhen_WrongLines
Exits.escape › asset >= lines.length: EscapeTest › test_RevertWhen_UnknownAsset
Exits.escape › balance == 0: EscapeTest › test_RevertWhen_Nothing
Exits.escape › !SumTree.isBalance(lines[asset], account, balance, path): EscapeTest › test_RevertWhen_WrongProof
Exits.escape › hasEscaped(account, asset): EscapeTest › test_RevertWhen_Twice
Exits._ownerOf › owner == address(0): EscapeTest › test_RevertWhen_UnknownAccount
claimFromBatch › _spendOutflow(withdrawal.asset, withdrawal.amount, stamp): OutflowTest › test_WaitsAWeekOrForAnotherDay
_spendOutflow › block.timestamp < from: OutflowTest › test_WaitsAWeekOrForAnotherDay
Watchers.announce › msg.sender != settlement.administrator(): ChangeTest › test_RevertWhen_NotAdministrator
Watchers.change › keccak256(abi.encode(set, threshold_)) != announcedHash: ChangeTest › test_RevertWhen_NotAnnounced
Watchers.change › block.timestamp < announcedFrom: ChangeTest › test_RevertWhen_NoticeRunning
Watchers._take › threshold_ == 0: ChangeTest › test_RevertWhen_NobodyHasToAgree
Watchers._take › threshold_ > set.length: ChangeTest › test_RevertWhen_MoreHaveToAgreeThanThereAre
Watchers._take › set.length > MAX_WATCHERS: ChangeTest › test_RevertWhen_TooMany
Watchers._take › set[i] == address(0): ChangeTest › test_RevertWhen_Nobody
Watchers._take › _isWatcher[next][set[i]]: ChangeTest › test_RevertWhen_SomebodyTwice
Watchers.settleBond › amount == 0: SettleBondTest › test_RevertWhen_Twice
Watchers.settleBond › !isPaid: SettleBondTest › test_RevertWhen_TheWatcherRefuses
Watchers._isLost › finalBatch < ballot.batchId: SettleBondTest › test_ComesBackWhereTooFewAgreed
Watchers._isLost › settlement.batchHash(ballot.batchId) != shown: SettleBondTest › test_RevertWhen_AnotherHeaderIsShown
Proofs.proveUnserved › settlement.requireEntry(entry): ProveUnservedTest › test_RevertWhen_WrongEntry
Proofs.proveUnserved › entry.kind != Encoding.FORCED_WITHDRAWAL: ProveUnservedTest › test_RevertWhen_NotForced
Proofs.proveUnserved › settlement.requireBatch(header, stamp): ProveUnservedTest › test_RevertWhen_UnknownBatch
Proofs.proveUnserved › header.queueUpTo < entry.queueId: ProveUnservedTest › test_RevertWhen_NotConsumedYet
Proofs.proveUnserved › settlement.requireBatch(previous, previousStamp): ProveUnservedTest › test_RevertWhen_UnknownBatchBefore
Proofs.proveUnserved › previous.batchId + 1 != header.batchId: ProveUnservedTest › test_RevertWhen_NotTheBatchBefore
Proofs.proveUnserved › previous.queueUpTo >= entry.queueId: ProveUnservedTest › test_RevertWhen_ConsumedBefore
Proofs.proveUnserved › Encoding.linesRoot(lines) != header.newRoot: ProveUnservedTest › test_RevertWhen_WrongLines
Proofs.proveUnserved › balance == 0: ProveUnservedTest › test_RevertWhen_Served
Proofs.proveUnserved › !SumTree.isBalance(lines[entry.asset], entry.account, balance, path): ProveUnservedTest › test_RevertWhen_WrongProof
Proofs.proveReceiptViolated › _requireSigned(receipt): ProveReceiptViolatedTest › test_RevertWhen_NotSigned
Proofs.proveReceiptViolated › settlement.requireBatch(header, stamp): ProveReceiptViolatedTest › test_RevertWhen_UnknownBatch
Proofs.proveReceiptViolated › sequence < header.firstSequence: ProveReceiptViolatedTest › test_RevertWhen_SequenceBeforeTheBatch
Proofs.proveReceiptViolated › sequence > header.lastSequence: ProveReceiptViolatedTest › test_RevertWhen_SequenceAfterTheBatch
Proofs.proveReceiptViolated › committed == receipt.recordHash: ProveReceiptViolatedTest › test_RevertWhen_NoContradiction
Proofs.proveReceiptViolated › root != header.journalRoot: ProveReceiptViolatedTest › test_RevertWhen_WrongProof
Proofs._requireSigned › block.timestamp >= settlement.keys().signerUntil(signer): ProveReceiptViolatedTest › test_RevertWhen_SignedByAKeyOfLongAgo
Proofs.proveEquivocation › _requireSigned(one): ProveEquivocationTest › test_RevertWhen_TheFirstIsNotSigned
Proofs.proveEquivocation › _requireSigned(other): ProveEquivocationTest › test_RevertWhen_TheSecondIsNotSigned
Proofs.proveEquivocation › one.sequence != other.sequence: ProveEquivocationTest › test_RevertWhen_OfOtherPlaces
Proofs.proveEquivocation › one.shard != other.shard: ProveEquivocationTest › test_RevertWhen_OfOtherShards
Proofs.proveEquivocation › one.recordHash == other.recordHash: ProveEquivocationTest › test_RevertWhen_NoContradiction
JournalTree.climb › index >= count: JournalTreeTest › test_RevertWhen_BeyondTheEnd
JournalTree.climb › last == 0: JournalTreeTest › test_RevertWhen_TooLong
JournalTree.climb › last != 0: JournalTreeTest › test_RevertWhen_TooShort
`;

// Modifiers that can be switched off, in place of the real ones.
const MODIFIERS = {
  SettlementParts: `
    bool private transient _mutantEntered;
    modifier nonReentrantIf(uint256 n) {
        if (Mutant.isOff(n)) { _; return; }
        if (_mutantEntered) revert ReentrancyGuardReentrantCall();
        _mutantEntered = true;
        _;
        _mutantEntered = false;
    }
    modifier nonReentrantViewIf(uint256 n) {
        if (!Mutant.isOff(n) && _mutantEntered) revert ReentrancyGuardReentrantCall();
        _;
    }
    modifier onlyAdministratorIf(uint256 n) {
        if (!Mutant.isOff(n) && msg.sender != administrator) revert NotAdministrator(msg.sender);
        _;
    }`,
  Vault: `
    modifier onlySettlementIf(uint256 n) {
        if (!Mutant.isOff(n) && msg.sender != settlement) revert NotSettlement(msg.sender);
        _;
    }`,
};

const MUTANT = `// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

interface Environment {
    function envOr(string calldata name, uint256 fallback_) external view returns (uint256);
}

library Mutant {
    function isOff(uint256 n) internal view returns (bool) {
        return Environment(address(uint160(uint256(keccak256("hevm cheat code"))))).envOr("MUTANT", 0) == n;
    }
}
`;

const expected = new Map();
for (const row of TABLE.trim().split('\n')) {
  const [check, test] = row.split(/: (?=\w+Test › )/);
  if (expected.has(check)) throw new Error(`twice in the table: ${check}`);
  expected.set(check, test.split(' › '));
}

const mutants = [];

/** The number of a new mutant. */
function mutant(where, check) {
  const name = `${where} › ${check}`;
  if (!expected.has(name)) throw new Error(`no test is named for the check: ${name}`);
  mutants.push({ name, test: expected.get(name) });
  return mutants.length;
}

/** The source with a switch at each check; `prefix` stands in front of its functions. */
function transform(source, prefix) {
  let where = '';
  let isModifier = false;
  let unreached = 0;
  const lines = source.split('\n').map((line) => {
    const head = line.match(/^    (?:function (\w+)|(constructor)|(modifier) \w+)/);
    if (head) {
      where = prefix + (head[1] ?? head[2] ?? '');
      isModifier = head[3] !== undefined;
    }
    if (isModifier) return line;
    unreached += (line.match(/\brevert /g) ?? []).length;
    let found = line.match(/^(\s*)(else )?if \((.*)\) revert (.*);$/);
    if (found) {
      unreached -= 1;
      return `${found[1]}${found[2] ?? ''}if (!Mutant.isOff(${mutant(where, found[3])}) && (${found[3]})) revert ${found[4]};`;
    }
    found = line.match(/^(\s*)revert (.*);$/);
    if (found) {
      unreached -= 1;
      return `${found[1]}if (!Mutant.isOff(${mutant(where, 'always')})) revert ${found[2]};`;
    }
    found = line.match(/^(\s*)((?:_(?:require\w+|assetOf|markClaimed|consumeDeposits|spendOutflow)|requireVetoable|settlement\.require\w+)\(.*\));$/);
    if (found) return `${found[1]}if (!Mutant.isOff(${mutant(where, found[2])})) ${found[2]};`;
    return line.replace(/ (nonReentrantView|nonReentrant|onlyAdministrator|onlySettlement)(?= |$)/, (_, modifier) => {
      return ` ${modifier}If(${mutant(where, modifier)})`;
    });
  });
  if (unreached !== 0) throw new Error(`${unreached} reverts have a form that this script does not know`);
  // A switch reads the environment, which nothing pure does.
  const bodies = /^    function [^{;]*\{[^]*?^    \}$/gm;
  return lines.join('\n').replace(bodies, (body) => (body.includes('Mutant.') ? body.replace(' pure', ' view') : body));
}

const work = mkdtempSync(join(tmpdir(), 'lakh-mutants-'));

/** Copies the project with all switches in. */
function prepare() {
  for (const part of ['src', 'test', 'bin']) cpSync(join(here, part), join(work, part), { recursive: true });
  for (const part of ['test/invariant', 'test/symbolic', 'test/Gas.t.sol', 'test/GasPerFill.t.sol', 'test/Vectors.t.sol']) {
    rmSync(join(work, part), { recursive: true });
  }
  symlinkSync(join(here, 'node_modules'), join(work, 'node_modules'));
  const toml = readFileSync(join(here, 'foundry.toml'), 'utf8').replace(/\{[^{}]*"\.\.\/vectors" \}, /, '');
  writeFileSync(join(work, 'foundry.toml'), toml.replace(/^runs = .*$/gm, 'runs = 16'));
  writeFileSync(join(work, 'src/Mutant.sol'), MUTANT);
  for (const file of SOURCES) {
    const [name, folder] = [file.replace(/^lib\/|\.sol$/g, ''), file.startsWith('lib/') ? '../' : './'];
    const prefix = /^(Settlement|Vault)/.test(name) ? '' : `${name}.`;
    let text = transform(readFileSync(join(here, 'src', file), 'utf8'), prefix);
    text = text.replace(/^import /m, `import {Mutant} from "${folder}Mutant.sol";\nimport `);
    for (const [contract, modifiers] of Object.entries(MODIFIERS)) {
      text = text.replace(new RegExp(`^(?:abstract )?contract ${contract} [^{]*\\{`, 'm'), (open) => open + modifiers);
    }
    writeFileSync(join(work, 'src', file), text);
  }
  for (const file of readdirSync(join(here, 'src'), { recursive: true })) {
    if (!file.endsWith('.sol') || SOURCES.includes(file)) continue;
    if (/\brevert /.test(readFileSync(join(here, 'src', file), 'utf8'))) throw new Error(`${file} has checks too`);
  }
}

/** Runs tests with one check off; 0 for none. */
function forge(number, args) {
  const env = { ...process.env, MUTANT: String(number) };
  return spawnSync(join(work, 'node_modules/.bin/forge'), ['test', ...args], { cwd: work, env, encoding: 'utf8' });
}

let survivors = 0;
try {
  prepare();
  const unused = [...expected.keys()].filter((name) => !mutants.some((one) => one.name === name));
  if (unused.length !== 0) throw new Error(`the table names checks that are not there: ${unused.join('; ')}`);
  const deployed = { FOUNDRY_PROFILE: 'deployed', FOUNDRY_VIA_IR: 'false', FOUNDRY_OPTIMIZER: 'false' };
  const build = ['build', 'src', 'test/lib/SettlementHarness.sol'];
  for (const [args, env] of [[build, { ...process.env, ...deployed }], [['build'], process.env]]) {
    execFileSync(join(work, 'node_modules/.bin/forge'), args, { cwd: work, env, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const whole = forge(0, []);
  if (whole.status !== 0) throw new Error(`with all checks on, a test fails:\n${whole.stdout}\n${whole.stderr}`);
  const filter = process.argv[2] ?? '';
  mutants.forEach(({ name, test: [contract, test] }, index) => {
    if (!name.includes(filter)) return;
    const { stdout } = forge(index + 1, ['--match-contract', `^${contract}$`, '--match-test', `^${test}\\(`]);
    const failed = new RegExp(`^\\[FAIL.*\\] (${test}|setUp)\\(`, 'm').test(stdout);
    if (!failed) survivors += 1;
    console.log(`${failed ? 'caught  ' : 'SURVIVED'} ${name}: ${contract} › ${test}`);
    if (!stdout.includes(test)) throw new Error(`the test did not run: ${contract} › ${test}\n${stdout}`);
  });
  console.log(`${mutants.length} checks, ${survivors} removed without a failing test`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exit(survivors === 0 ? 0 : 1);
