import { BASE, patch } from './base.ts';
import type { Mutant } from './mutant.ts';

/** Of what is counted (ADR 0042). */
export const USAGE_MUTANTS: readonly Mutant[] = [
  {
    ...BASE,
    name: 'count-outside-the-batch',
    what: 'counts reach the store with a later batch than what they count: a crash in between loses some (Q3, B17)',
    faults: ['killAny'],
    busy: 'objects',
    patches: patch(
      'actors/apply/group-state.ts',
      'this.usage.flush(this.appliedIndex',
      'if (this.appliedIndex % 3 === 0) this.usage.flush(this.appliedIndex',
    ),
  },
  {
    ...BASE,
    name: 'overwrite-counted-twice',
    what: 'a row that takes the place of another is counted beside it (Q2)',
    faults: ['slowSync'],
    busy: 'objects',
    patches: patch(
      'actors/apply/usage.ts',
      'if (before !== null) weigh(',
      'if (before !== null && after === null) weigh(',
    ),
  },
];
