import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Patch } from './mutant.ts';

/** The sources, also when this file runs compiled, out of dist/. */
const HERE = fileURLToPath(new URL('../../../', import.meta.url));
const ROOT = existsSync(join(HERE, 'package.json')) ? HERE : join(HERE, '..');
/** What a mutant is made of: all that the simulator imports. */
export const COPIED: readonly string[] = [
  'package.json',
  'tsconfig.json',
  'protocol',
  'storage',
  'actors',
  'gateways',
  'observability',
  'test/check',
  'test/sim',
];

/** Types are the build's to check; what they are does not change what comes out (isolatedModules). */
const COMPILER_OPTIONS = {
  ...{ noEmit: false, outDir: 'dist', rootDir: '.' },
  ...{ noCheck: true, noResolve: true, types: [] },
};

/**
 * A copy of the sources with the patches applied, for one mutant, and compiled: a second of the
 * processor, less than to load the sources as they are. Production code needs no hooks, and a patch
 * whose place has changed is an error, not a mutant that is never caught.
 */
export class Sandbox {
  readonly folder: string;
  /** The simulator's command line in it. */
  readonly program: string;

  /** `base`: a sandbox without patches, of which only what is patched is compiled again. */
  constructor(patches: readonly Patch[], base: Sandbox | null = null) {
    this.folder = mkdtempSync(join(tmpdir(), 'minikv-mutant-'));
    this.program = join(this.folder, 'dist/test/sim/run.js');
    try {
      if (base === null) this.#copySources();
      else cpSync(base.folder, this.folder, { recursive: true });
      for (const one of patches) this.#patch(one);
      if (base === null) this.#compile({ include: COPIED.filter((path) => !path.includes('.')) });
      else if (patches.length > 0) this.#compile({ files: patches.map(({ file }) => file) });
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #copySources(): void {
    for (const path of COPIED) {
      cpSync(join(ROOT, path), join(this.folder, path), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(this.folder, 'node_modules'));
  }

  #patch({ file, find, replace }: Patch): void {
    const path = join(this.folder, file);
    const parts = readFileSync(path, 'utf8').split(find);
    if (parts.length !== 2) {
      throw new Error(`${file} has ${parts.length - 1} places for the patch: ${find}`);
    }
    writeFileSync(path, parts.join(replace));
  }

  #compile(what: { include: readonly string[] } | { files: readonly string[] }): void {
    const project = join(this.folder, 'tsconfig.mutant.json');
    const config = { extends: './tsconfig.json', compilerOptions: COMPILER_OPTIONS, ...what };
    const rest = 'files' in what ? { include: [] } : { exclude: ['**/*.test.ts'] };
    writeFileSync(project, JSON.stringify({ ...config, ...rest }));
    const tsc = join(ROOT, 'node_modules/.bin/tsc');
    const { status, stdout, error } = spawnSync(tsc, ['-p', project], { encoding: 'utf8' });
    if (status === 0) return;
    throw new Error(`the copy does not compile: ${error?.message ?? ''}\n${stdout}`);
  }
}
