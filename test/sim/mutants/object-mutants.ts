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
    patches: patch(
      'actors/apply/object-store.ts',
      'if (isHeld(config, data.holders)) return null;',
      'if (isHeld(config, data.holders) || data.holders.length > 0) return null;',
    ),
  },
  {
    ...BASE,
    name: 'operations-forgotten',
    what: 'an operation on an object that is asked again is done again (B9)',
    faults: ['isolateLeader', 'pauseLeader', 'oneWayCut', 'slowSync'],
    busy: 'objects',
    seedsMax: 6,
    patches: patch(
      'actors/apply/object-request.ts',
      'state.stageRow(idempotencyKey(state.prefix, name), row);',
      'void row;',
    ),
  },
  {
    ...BASE,
    name: 'versioning-acknowledged-early',
    what: 'versioning counts as enabled when the meta group has it: a put in another group overwrites (O2)',
    faults: ['clog', 'slowSync'],
    weather: { loss: 0.1 },
    busy: 'objects',
    seedsMax: 8,
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
    seedsMax: 8,
    patches: patch(
      'actors/router/buckets.ts',
      `    await this.#tellAll(rule, endMs);
    const state =`,
      '    const state =',
    ),
  },
];
