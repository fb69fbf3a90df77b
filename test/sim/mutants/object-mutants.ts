import { BASE, patch } from './base.ts';
import type { Mutant } from './mutant.ts';

/** Of objects and buckets (docs/protocol/objects.md). */
export const OBJECT_MUTANTS: readonly Mutant[] = [
  {
    ...BASE,
    name: 'conditions-at-the-gateway',
    what: 'the gateway reads and compares, then puts whatever is there by then: two win (O3, B20)',
    faults: ['slowSync'],
    busy: 'objects',
    patches: patch(
      'actors/router/objects.ts',
      'let op = wanted;',
      `let op = wanted;
    if (op.type === 'put' && op.condition.noneMatch !== null) {
      const now = await this.read(leftOf(), op.ref, { versionId: null, revision: null });
      if (now.type === 'none') op = { ...op, condition: { match: null, noneMatch: null } };
    }`,
    ),
  },
  {
    ...BASE,
    name: 'data-without-quorum',
    what: 'an object may name data that one replica has: its death loses the object (O7)',
    faults: ['killAny'],
    busy: 'objects',
    favourite: 'claim',
    patches: patch(
      'actors/apply/object-store.ts',
      'if (isHeld(config, data.holders)) return null;',
      'if (isHeld(config, data.holders) || data.holders.length > 0) return null;',
    ),
  },
  {
    ...BASE,
    name: 'promoted-without-chunks',
    seconds: 60,
    what: 'a voter says that it has all chunks without having looked: the next disk goes before they are back (F13)',
    faults: ['emptyDisk'],
    busy: 'chunks',
    seedsMax: 10,
    patches: [
      ...patch(
        'actors/blob/holdings.ts',
        'await restore(host, kept, { sinceMs: null, mends: true }, counts);',
        'await restore(host, kept, { sinceMs: null, mends: false }, { ...counts });',
      ),
      // What was written lately is looked for in a run of this length all the same.
      ...patch('actors/blob/keeper.ts', 'RECENT_MS = 10 * 60_000', 'RECENT_MS = 1_000'),
    ],
  },
  {
    ...BASE,
    name: 'operations-forgotten',
    what: 'an operation on an object that is asked again is done again (B9)',
    faults: ['isolateLeader', 'pauseLeader', 'oneWayCut', 'slowSync'],
    busy: 'objects',
    seedsMax: 10,
    patches: patch(
      'actors/apply/object-request.ts',
      'state.stageRow(idempotencyKey(state.prefix, name), row);',
      'void row;',
    ),
  },
  {
    ...BASE,
    name: 'rules-take-what-is-there',
    what: 'a lifecycle rule takes away what it has not looked at: a newer object of the name (O10)',
    faults: ['slowSync', 'pauseLeader'],
    busy: 'objects',
    favourite: 'changeRuled',
    seedsMax: 10,
    patches: patch(
      'actors/apply/object-expire.ts',
      'if (version === null || version.row.revision !== op.seen) return CHANGED;',
      'if (version === null) return CHANGED;',
    ),
  },
  {
    ...BASE,
    name: 'days-cut-short',
    what: 'days of lifecycle rules are rounded down to midnight: an object goes before it is a day old',
    faults: ['slowSync'],
    busy: 'objects',
    favourite: 'changeRuled',
    patches: patch(
      'protocol/lifecycle.ts',
      'return Math.ceil((atMs + days * dayMs) / dayMs) * dayMs;',
      'return Math.floor((atMs + days * dayMs) / dayMs) * dayMs;',
    ),
  },
  {
    ...BASE,
    name: 'versioning-acknowledged-early',
    seconds: 60,
    what: 'versioning counts as enabled when the meta group has it: a put in another group overwrites (O2)',
    faults: ['clog', 'slowSync'],
    weather: { loss: 0.1 },
    busy: 'objects',
    seedsMax: 10,
    patches: patch(
      'actors/router/buckets.ts',
      'await this.#tellAll(row.bucket.rule, endMs);',
      'this.#tellAll(row.bucket.rule, endMs).catch(onlyRefusals);',
    ),
  },
  {
    ...BASE,
    name: 'bucket-deleted-unfenced',
    what: 'a bucket is looked through for objects before its groups refuse new ones: one that is put meanwhile is lost (O2)',
    faults: ['clog', 'slowSync'],
    busy: 'objects',
    favourite: 'comeAndGo',
    seedsMax: 10,
    patches: patch(
      'actors/router/buckets.ts',
      `    await this.#tellAll(rule, endMs);
    const state =`,
      '    const state =',
    ),
  },
  {
    ...BASE,
    name: 'object-torn-from-its-keys',
    what: 'a transaction over groups puts its keys and leaves the object as it was (T4, X1)',
    faults: ['slowSync'],
    busy: 'objects',
    favourite: 'deletePair',
    seedsMax: 10,
    patches: patch(
      'actors/apply/txn-eval.ts',
      `performReservation(state, op);
    else if (isObjectOp(op)) performObject(state, op, revision, events);
  }
  for`,
      `performReservation(state, op);
  }
  for`,
    ),
  },
  {
    ...BASE,
    name: 'object-written-under-a-lock',
    what: 'an operation of S3 comes between the vote and the end of a transaction on the same object (T2)',
    faults: ['slowSync', 'clog'],
    busy: 'objects',
    favourite: 'deletePair',
    patches: patch(
      'actors/apply/object-write.ts',
      'return state.txns.locks.isFree(triple);',
      'return true;',
    ),
  },
];
