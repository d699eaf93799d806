// Runs the proofs (test/symbolic), and shows that each of them can fail.
//
// First halmos executes every `check_` against the bytecode that is deployed, which `check-artifacts.mjs` has built; each
// has to hold. Then for each of them one check of the contracts is taken out, the contracts are built fast (what is asked is
// whether the proof notices), and halmos has to find a counterexample: a proof that nothing can break proves nothing. A
// `check_` without a row below ends the run. `node prove.mjs [FILTER]` runs the proofs whose name has that in it.
//
// Wants `halmos` (PyPI, 0.3.3) and `forge` in PATH.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

// proof: file of the contracts, what stands there, what takes its place.
const MUTANTS = {
  check_BatchConserves: ['SettlementBatches.sol', 'if (left != uint256(before.sum()) + totals.credited()) revert WrongSum(change.asset);', ''],
  check_BatchBeginsBehindTheLastRecord: ['SettlementBatches.sol', 'if (range.firstSequence() != first) revert WrongSequence(first, range.firstSequence(), range.lastSequence());', ''],
  check_BatchIsTheNext: ['SettlementBatches.sol', 'if (range.batchId() != batchId) revert WrongBatch(batchId, range.batchId());', ''],
  check_BatchLeavesFinality: ['lib/Progress.sol', 'TIP_BITS = 184', 'TIP_BITS = 224'],
  check_BatchOnce: ['SettlementBatches.sol', 'if (range.batchId() != batchId) revert WrongBatch(batchId, range.batchId());', ''],
  check_ClaimPaysWhatIsOwed: ['SettlementExits.sol', 'withdrawable[asset][owner] = 0;', ''],
  check_ConsumedQueueNeverFalls: ['SettlementBatches.sol', 'if (queueUpTo < progress.queueUpTo()) revert WrongQueue(queueUpTo, told);', ''],
  check_DepositReclaimedOnce: ['Exits.sol', 'if (isReclaimed(entry.queueId)) revert AlreadyReclaimed(entry.queueId);', ''],
  check_EscapeOnce: ['Exits.sol', 'if (hasEscaped(account, asset)) revert AlreadyEscaped(account, asset);', ''],
  check_ExitPaysWhatIsOwed: ['SettlementParts.sol', 'uint80(kind.owed - atoms)', 'kind.owed - uint80(atoms)'],
  check_FinalityOnlyGrows: ['SettlementBatches.sol', 'if (header.batchId <= _progress.finalBatch()) revert AlreadyFinal(header.batchId);\n        _requireBatch', '_requireBatch'],
  check_NothingFinalIsDropped: ['SettlementBatches.sol', 'if (header.batchId <= _progress.finalBatch()) revert AlreadyFinal(header.batchId);\n        if (_isWindowOver', 'if (_isWindowOver'],
  check_OtherAssetsStay: ['SettlementBatches.sol', 'if (oldRoot != tipRoot) revert WrongRoot(tipRoot, oldRoot);', ''],
  check_QueueOnlyGrows: ['SettlementQueue.sol', 'queueId = ++counted.queueLength;', 'queueId = counted.queueLength;'],
  check_RecordsGrow: ['SettlementBatches.sol', 'if (range.lastSequence() < first) revert WrongSequence(first, range.firstSequence(), range.lastSequence());', ''],
  check_TimeBeginsWhereItWas: ['SettlementBatches.sol', 'if (first < progress.lastTime()) revert WrongTime(first, last);', ''],
  check_TimeEndsBehindItsBeginning: ['SettlementBatches.sol', 'if (last < first) revert WrongTime(first, last);', ''],
  check_TimeIsKept: ['lib/Progress.sol', ' | (uint256(uint40(lastTime_)) << TIME_AT);', ';'],
  check_UndeclaredTotalsStay: ['SettlementBatches.sol', 'if (oldRoot != tipRoot) revert WrongRoot(tipRoot, oldRoot);', ''],
  check_WithdrawalOnce: ['SettlementExits.sol', 'if (bits & bit != 0) revert AlreadyClaimed(batchId, asset, index);', ''],
};

const filter = process.argv[2] ?? '';
const proofs = readdirSync(join(here, 'test/symbolic'))
  .flatMap((file) => readFileSync(join(here, 'test/symbolic', file), 'utf8').match(/(?<=function )check_\w+/g) ?? [])
  .sort();
const rows = Object.keys(MUTANTS).sort();
if (proofs.join() !== rows.join()) throw new Error(`proofs and rows differ:\n${proofs.join()}\n${rows.join()}`);
const wanted = proofs.filter((name) => name.includes(filter));

/** Runs proofs in a folder; gives what halmos says of each: PASS, FAIL (a counterexample), or something else. */
function halmos(cwd, names, args) {
  const env = { ...process.env, FOUNDRY_PROFILE: 'proofs' };
  const words = ['--no-status', '--match-test', `^(${names.join('|')})\\(`, ...args];
  const { stdout, stderr, error } = spawnSync('halmos', words, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (error) throw error;
  const text = `${stdout}\n${stderr}`.replace(/\x1b\[[0-9;]*m/g, '');
  const found = new Map();
  for (const [, verdict, name, time] of text.matchAll(/^\[(\w+)\] (check_\w+)\(.*?time: ([\d.]+)s/gm)) {
    found.set(name, { verdict, time });
  }
  const missing = names.filter((name) => !found.has(name));
  if (missing.length !== 0) throw new Error(`halmos says nothing of ${missing.join(', ')}:\n${text.slice(-4000)}`);
  return { found, text };
}

let wrong = 0;
const whole = halmos(here, wanted, []);
for (const name of wanted) {
  const { verdict, time } = whole.found.get(name);
  if (verdict !== 'PASS') wrong += 1;
  console.log(`${verdict === 'PASS' ? 'proved  ' : verdict} ${name} (${time} s)`);
}
// A path that was cut short was not proved. halmos says so and passes.
if (/not been fully explored|loop-bound|incomplete/.test(whole.text)) {
  console.log(whole.text);
  console.log('some paths were not executed to their end');
  wrong += 1;
}

const work = mkdtempSync(join(tmpdir(), 'lakh-proofs-'));
try {
  for (const part of ['src', 'bin', 'test/lib', 'test/symbolic', 'foundry.toml', 'halmos.toml']) {
    cpSync(join(here, part), join(work, part), { recursive: true });
  }
  symlinkSync(join(here, 'node_modules'), join(work, 'node_modules'));
  const env = { ...process.env, FOUNDRY_PROFILE: 'deployed', FOUNDRY_VIA_IR: 'false', FOUNDRY_OPTIMIZER: 'false' };
  for (const name of wanted) {
    const [file, before, after] = MUTANTS[name];
    const path = join(work, 'src', file);
    const source = readFileSync(path, 'utf8');
    if (source.split(before).length !== 2) throw new Error(`${file} does not have this once: ${before}`);
    writeFileSync(path, source.replace(before, after));
    execFileSync('forge', ['build', 'src', 'test/lib/SettlementHarness.sol'], { cwd: work, env, stdio: ['ignore', 'ignore', 'inherit'] });
    const { verdict, time } = halmos(work, [name], ['--early-exit']).found.get(name);
    if (verdict !== 'FAIL') wrong += 1;
    console.log(`${verdict === 'FAIL' ? 'caught  ' : `SURVIVED (${verdict})`} ${name} without: ${before.split('\n')[0]} (${time} s)`);
    writeFileSync(path, source);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(`${wanted.length} proofs, ${wrong} wrong`);
process.exit(wrong === 0 ? 0 : 1);
