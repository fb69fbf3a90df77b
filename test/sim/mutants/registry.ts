import type { Mutant } from './mutant.ts';

const MUTANTS: readonly Mutant[] = [];

export const MUTANT_NAMES: readonly string[] = MUTANTS.map((mutant) => mutant.name);

/** Throws when there is none of that name. */
export function findMutant(name: string): Mutant {
  const found = MUTANTS.find((mutant) => mutant.name === name);
  if (found === undefined)
    throw new Error(`no mutant ${name}; there are ${MUTANT_NAMES.join(', ')}`);
  return found;
}
