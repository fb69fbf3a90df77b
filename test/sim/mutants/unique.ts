import type { Mutant } from './mutant.ts';

const UNIQUE = {
  seedsMax: 4,
  seconds: 60,
  nodes: 3,
  filterPorts: null,
  busy: 'unique',
  faults: ['crashCoordinator', 'killLeader', 'isolateLeader'],
} as const;

/** Bugs of unique indexes. */
export const UNIQUE_MUTANTS: readonly Mutant[] = [
  {
    ...UNIQUE,
    name: 'claims-granted',
    what: 'a claim is granted although another key has the entry',
    patches: [
      {
        file: 'actors/apply/reservations.ts',
        find: 'if (holder === null || holder === op.holder || holder === op.over) return HELD;',
        replace: 'if (holder !== undefined) return HELD;',
      },
    ],
  },
  {
    ...UNIQUE,
    name: 'takeovers-unchecked',
    what: 'a reservation is taken over though its holder got the entry back meanwhile',
    seedsMax: 8,
    patches: [
      {
        file: 'actors/txn/claims.ts',
        find: 'if (over === undefined || over.revision === null) continue;',
        replace: 'if (over === undefined || over !== null) continue;',
      },
    ],
  },
  {
    ...UNIQUE,
    name: 'live-without-claims',
    what: 'a unique index goes live when its entries are there, and before they are claimed',
    patches: [
      {
        file: 'actors/indexer/plan.ts',
        find: 'if (info.unique !== true) live.push(id);',
        replace: 'if (info.unique !== undefined) live.push(id);',
      },
    ],
  },
  {
    ...UNIQUE,
    name: 'released-while-held',
    what: 'a reservation is given back without a look whether its key has the entry again',
    patches: [
      {
        file: 'actors/txn/releases.ts',
        find: 'if (hasIt || indexById',
        replace: 'if ((hasIt && id === 0) || indexById',
      },
    ],
  },
];
