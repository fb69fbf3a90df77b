import { BASE, patch } from './base.ts';
import type { Mutant } from './mutant.ts';

const IDENTITIES = {
  ...BASE,
  seedsMax: 10,
  busy: 'identities',
  faults: ['isolateLeader', 'partition', 'oneWayCut', 'pause'],
} as const;

/** Bugs of who is who. */
export const IDENTITY_MUTANTS: readonly Mutant[] = [
  {
    ...IDENTITIES,
    name: 'views-outlive-revocations',
    what: 'a view counts for as long after the answer as after the question: a late answer makes it too old',
    weather: { latencyMsMin: 20, jitterMsMean: 60, reorder: 0.3, reorderMsMax: 200 },
    patches: patch(
      'actors/router/identities.ts',
      'this.#validUntilMs = askedMs + IDENTITY_VIEW_MS;',
      'this.#validUntilMs = this.#clock.monotonicMs() + IDENTITY_VIEW_MS;',
    ),
  },
  {
    ...IDENTITIES,
    name: 'revocations-unsettled',
    what: 'a change is acknowledged when it is applied, while other nodes act on what was there before',
    patches: patch('actors/router/identities.ts', '    await this.settled();\n', ''),
  },
  {
    ...IDENTITIES,
    name: 'changes-unlisted',
    what: 'a change is not in the list by which views are confirmed',
    patches: patch(
      'actors/apply/meta-state.ts',
      'if (name.startsWith(IDENTITY_PREFIX)) {',
      'if (name.startsWith(IDENTITY_PREFIX) && current === 0) {',
    ),
  },
  {
    ...IDENTITIES,
    name: 's3-keys-by-an-old-view',
    what: 'a key of S3 is looked up in the view as it is, however long ago it was confirmed',
    patches: patch(
      'gateways/identity/s3-directory.ts',
      '    await identities.current(LIMITS.requestDeadlineMsDefault);\n    // It',
      '    // It',
    ),
  },
  {
    ...IDENTITIES,
    name: 's3-keys-without-their-user',
    what: 'a key of S3 is good whatever became of its user',
    patches: patch(
      'gateways/identity/s3-directory.ts',
      'if (record === null || (record.disabledAtMs ?? null) !== null) {',
      'if (record === null) {',
    ),
  },
  {
    ...IDENTITIES,
    name: 's3-secrets-of-revoked-rows',
    what: 'the secret of a key of S3 is remembered by the key, and not by the row that it was read from',
    patches: [
      ...patch(
        'gateways/identity/s3-directory.ts',
        'readonly #keys = new WeakMap<IdentityRow, OpenedKey',
        'readonly #keys = new Map<unknown, OpenedKey',
      ),
      ...patch('gateways/identity/s3-directory.ts', 'this.#keys.get(row)', 'this.#keys.get(id)'),
      ...patch('gateways/identity/s3-directory.ts', 'this.#keys.set(row,', 'this.#keys.set(id,'),
    ],
  },
];
