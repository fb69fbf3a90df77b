import { BASE, patch } from './base.ts';
import type { Mutant } from './mutant.ts';

/** Of quotas (ADR 0043). */
export const QUOTA_MUTANTS: readonly Mutant[] = [
  {
    ...BASE,
    name: 'quota-held-to-by-leaders-only',
    what: 'apply takes the word of the leader that there is room: writes on their way pass the quota together (S2)',
    faults: ['slowSync'],
    busy: 'quotas',
    patches: [
      ...patch(
        'actors/apply/write.ts',
        'if (hasQuotas && command.isLast !== true && shortOfWrite',
        'if (hasQuotas && state.epoch < 0 && shortOfWrite',
      ),
      ...patch(
        'actors/apply/write.ts',
        'if (state.quotas.size > 0 && shortOfPut(',
        'if (state.epoch < 0 && shortOfPut(',
      ),
    ],
  },
  {
    ...BASE,
    name: 'quota-counted-outside-the-batch',
    what: 'shares reach the store with a later batch than what they count: a crash in between loses some (S1, B17)',
    faults: ['killAny'],
    busy: 'quotas',
    patches: patch(
      'actors/apply/group-state.ts',
      'this.quotas.flush((key',
      'if (this.appliedIndex % 3 === 0) this.quotas.flush((key',
    ),
  },
  {
    ...BASE,
    name: 'prepared-without-room',
    what: 'what is prepared holds no room: a transaction and a put get the same last bytes (T7)',
    faults: ['slowSync'],
    busy: 'quotas',
    patches: patch(
      'actors/apply/quota-growth.ts',
      'state.quotas.hold(prepared, holds);',
      'state.quotas.hold(prepared, holds.slice(holds.length));',
    ),
  },
];
