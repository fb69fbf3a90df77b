import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Patch } from '../../sim/mutants/mutant.ts';
import { MUTANTS } from '../../sim/mutants/registry.ts';
import { SMALL_LIMITS } from '../../sim/small-limits.ts';

/** A patch whose place has changed breaks its mutant, which is only run much later. */
it('every patch of the simulator has exactly one place in the sources', () => {
  const placesOf = ({ file, find }: Patch): number =>
    readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8').split(find).length - 1;
  const patches = [...MUTANTS.flatMap((mutant) => mutant.patches), ...SMALL_LIMITS];
  const misplaced = patches.filter((patch) => placesOf(patch) !== 1);
  expect(misplaced.map(({ file, find }) => `${file}: ${find}`)).toEqual([]);
});
