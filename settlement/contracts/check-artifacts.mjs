// Builds what is deployed, anew, and checks that the committed artifacts/*.json (ABI and bytecode) are that.
// `node check-artifacts.mjs --write` writes them. The tests deploy what this has built.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CONTRACTS = ['DemoToken', 'Exits', 'Keys', 'Proofs', 'Settlement', 'Vault', 'Watchers'];
const LARGEST = 24_576;
const here = dirname(fileURLToPath(import.meta.url));
const [option] = process.argv.slice(2);
if (option !== undefined && option !== '--write') {
  console.error('usage: node check-artifacts.mjs [--write]');
  process.exit(2);
}

// Forced, so that nothing cached decides.
const env = { ...process.env, FOUNDRY_PROFILE: 'deployed' };
const build = ['build', '--force', 'src', 'test/lib/SettlementHarness.sol'];
execFileSync(join(here, 'node_modules/.bin/forge'), build, { cwd: here, env, stdio: 'inherit' });
mkdirSync(join(here, 'artifacts'), { recursive: true });
let different = 0;
for (const name of CONTRACTS) {
  const built = JSON.parse(readFileSync(join(here, 'out/deployed', `${name}.sol`, `${name}.json`), 'utf8'));
  const minimal = { contractName: name, abi: built.abi, bytecode: built.bytecode.object };
  const text = JSON.stringify(minimal, null, 1) + '\n';
  const path = join(here, 'artifacts', `${name}.json`);
  if (option === '--write') {
    writeFileSync(path, text);
  } else if (readFileSync(path, 'utf8') !== text) {
    console.error(`${name}: the committed artifact is not what the sources give; run \`node check-artifacts.mjs --write\``);
    different += 1;
  }
  const size = (built.deployedBytecode.object.length - 2) / 2;
  if (size > LARGEST) {
    console.error(`${name}: ${size} bytes, which no chain takes (EIP-170: ${LARGEST})`);
    different += 1;
  }
  console.log(`${name}: ${size} bytes of code, ${(minimal.bytecode.length - 2) / 2} that create it`);
}
process.exit(different === 0 ? 0 : 1);
