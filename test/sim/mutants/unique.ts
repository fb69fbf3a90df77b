import { BASE, patch } from './base.ts';
import type { Mutant } from './mutant.ts';

const UNIQUE = {
  ...BASE,
  seedsMax: 10,
  busy: 'unique',
  faults: ['crashCoordinator', 'killLeader', 'isolateLeader'],
} as const;

/** A key may have an entry again before that is given back. */
const SLOW_RELEASES = patch('actors/txn/releases.ts', 'EVERY_MS = 50;', 'EVERY_MS = 2_000;');

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
    seconds: 60,
    what: 'a reservation is taken over though its holder got the entry back meanwhile',
    seedsMax: 10,
    patches: [
      {
        file: 'actors/txn/claims.ts',
        find: 'expected.set(look, expectation(holder, revision));',
        replace: 'if (revision < 0) expected.set(look, expectation(holder, revision));',
      },
    ],
  },
  {
    ...UNIQUE,
    name: 'unclaimed-applied',
    what: 'a put that would begin an entry is applied without a claim',
    patches: [
      {
        file: 'actors/replica/writes.ts',
        find: 'if (state.indexes.unique.length > 0 && needsClaims(state, request)) {',
        replace: 'if (state.indexes.unique.length < 0 && needsClaims(state, request)) {',
      },
      {
        file: 'actors/apply/write.ts',
        find: 'if (state.indexes.unique.length > 0 && isUnclaimed(state, command)) return UNCLAIMED;',
        replace:
          'if (state.indexes.unique.length < 0 && isUnclaimed(state, command)) return UNCLAIMED;',
      },
    ],
  },
  {
    ...UNIQUE,
    name: 'claims-not-judged',
    what: 'a transaction with claims is decided with the home part, which looks at no vote about a claim (ADR 0032)',
    patches: [
      {
        file: 'actors/txn/home-part.ts',
        find: 'return !hasRange(body) && !attachesAny(body) && !addsReservations(body);',
        replace: 'return !hasRange(body) && !attachesAny(body);',
      },
      {
        file: 'actors/apply/txn-commit.ts',
        find: 'if (hasUnclaimed(state, ops, revision)) return',
        replace: 'if (hasUnclaimed(state, [], revision)) return',
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
      ...SLOW_RELEASES,
      {
        file: 'actors/txn/releases.ts',
        find: 'if (hasIt || indexById',
        replace: 'if ((hasIt && id === 0) || indexById',
      },
    ],
  },
];
