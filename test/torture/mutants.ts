import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Patch } from '../sim/mutants/mutant.ts';
import { MUTANTS as SIMULATED } from '../sim/mutants/registry.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const COPIED = ['protocol', 'storage', 'actors', 'gateways', 'observability', 'cli'];
const FILES = ['package.json', 'tsconfig.json', 'tsconfig.build.json'];

/** A bug that the simulator puts in at a port. */
const OWN: ReadonlyMap<string, readonly Patch[]> = new Map([
  [
    'fsync-skipped',
    [
      {
        file: 'storage/disk/node-disk.ts',
        find: 'fs.constants.O_WRONLY | fs.constants.O_DSYNC',
        replace: 'fs.constants.O_WRONLY',
      },
    ],
  ],
]);

/**
 * The simulator's patches, and some of its port bugs, by name: a build with one of them must be found
 * by a run with fitting faults. Names: those of test/sim/mutants/registry.ts.
 */
export function patchesOf(name: string): readonly Patch[] {
  const simulated = SIMULATED.find((mutant) => mutant.name === name);
  const patches = OWN.get(name) ?? simulated?.patches ?? [];
  if (patches.length > 0) return patches;
  const names = SIMULATED.filter((mutant) => mutant.patches.length > 0).map((m) => m.name);
  throw new Error(`no mutant ${name}; there are ${[...names, ...OWN.keys()].join(', ')}`);
}

/** Builds the product with a bug in a folder of its own. Returns its cli/main.js. */
export function buildMutant(name: string, folder: string): string {
  const copy = join(folder, 'mutant');
  mkdirSync(copy);
  for (const path of [...COPIED, ...FILES]) {
    cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  for (const { file, find, replace } of patchesOf(name)) {
    const path = join(copy, file);
    const parts = readFileSync(path, 'utf8').split(find);
    if (parts.length !== 2) {
      throw new Error(`${file} has ${parts.length - 1} places for the patch: ${find}`);
    }
    writeFileSync(path, parts.join(replace));
  }
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  // A patch may leave an unused import behind; what is emitted runs.
  const { error, stdout } = spawnSync(
    tsc,
    ['-p', 'tsconfig.build.json', '--noEmitOnError', 'false'],
    {
      cwd: copy,
      encoding: 'utf8',
    },
  );
  if (error !== undefined)
    throw new Error(`the mutant could not be built: ${error.message} ${stdout}`);
  return join(copy, 'dist/cli/main.js');
}
