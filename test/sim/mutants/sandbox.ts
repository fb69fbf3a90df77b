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

/**
 * A copy of the sources with the patches applied, for one mutant. Production code needs no hooks, and
 * a patch whose place has changed is an error, not a mutant that is never caught.
 */
export class Sandbox {
  readonly folder: string;

  constructor(patches: readonly Patch[]) {
    this.folder = mkdtempSync(join(tmpdir(), 'minikv-mutant-'));
    for (const path of COPIED) {
      cpSync(join(ROOT, path), join(this.folder, path), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(this.folder, 'node_modules'));
    for (const { file, find, replace } of patches) {
      const path = join(this.folder, file);
      const parts = readFileSync(path, 'utf8').split(find);
      if (parts.length !== 2) {
        throw new Error(`${file} has ${parts.length - 1} places for the patch: ${find}`);
      }
      writeFileSync(path, parts.join(replace));
    }
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
