import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { Patch } from '../../sim/mutants/mutant.ts';
import { MUTANTS } from '../../sim/mutants/registry.ts';
import { COPIED } from '../../sim/mutants/sandbox.ts';
import { SMALL_LIMITS } from '../../sim/small-limits.ts';

/** A patch whose place has changed breaks its mutant, which is only run much later. */
it('every patch of the simulator has exactly one place in the sources', () => {
  const placesOf = ({ file, find }: Patch): number =>
    readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8').split(find).length - 1;
  const patches = [...MUTANTS.flatMap((mutant) => mutant.patches), ...SMALL_LIMITS];
  const misplaced = patches.filter((patch) => placesOf(patch) !== 1);
  expect(misplaced.map(({ file, find }) => `${file}: ${find}`)).toEqual([]);
});

/** Static imports of values; those of types are erased. */
const IMPORT = /^(?:import|export) (?!type\b)[^;]*?from '(\.[^']+)'/gm;
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

it('everything that the simulator imports is in the copy that a mutant is made of', () => {
  const seen = new Set(['test/sim/run.ts']);
  for (const file of seen) {
    for (const [, path = ''] of readFileSync(join(ROOT, file), 'utf8').matchAll(IMPORT)) {
      seen.add(join(file, '..', path));
    }
  }
  expect(seen.size).toBeGreaterThan(100);
  const isCopied = (file: string) =>
    COPIED.some((path) => file === path || file.startsWith(`${path}/`));
  expect([...seen].filter((file) => !isCopied(file))).toEqual([]);
});
