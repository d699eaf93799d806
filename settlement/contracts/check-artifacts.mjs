// Checks that the committed artifacts/*.json (ABI and bytecode of what gets deployed) are what a fresh build gives.
// `node check-artifacts.mjs --write` writes them.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
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

// A build of its own, so that nothing cached decides.
const out = mkdtempSync(join(tmpdir(), 'lakh-artifacts-'));
let different = 0;
try {
  const places = ['--out', join(out, 'out'), '--cache-path', join(out, 'cache')];
  execFileSync(join(here, 'node_modules/.bin/forge'), ['build', 'src', ...places], { cwd: here, stdio: 'inherit' });
  mkdirSync(join(here, 'artifacts'), { recursive: true });
  for (const name of CONTRACTS) {
    const file = `${name}.sol`;
    const built = JSON.parse(readFileSync(join(out, 'out', file, `${name}.json`), 'utf8'));
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
} finally {
  rmSync(out, { recursive: true, force: true });
}
process.exit(different === 0 ? 0 : 1);
