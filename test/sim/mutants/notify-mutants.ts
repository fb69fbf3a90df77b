import { BASE, patch } from './base.ts';
import type { Mutant } from './mutant.ts';

const NOTIFICATIONS = {
  ...BASE,
  seedsMax: 4,
  busy: 'notifications',
} as const;

/** Of notifications of buckets (ADR 0040). */
export const NOTIFY_MUTANTS: readonly Mutant[] = [
  {
    ...NOTIFICATIONS,
    name: 'outbox-outside-the-batch',
    what: 'the row of a notification is written with the next change, not in the batch of its own (N1)',
    faults: ['killLeader'],
    patches: patch(
      'actors/apply/outbox.ts',
      'state.stageRow(outboxKey(state.prefix, target, at), row);',
      `const held = outbox as unknown as { late?: [string, Uint8Array] };
  if (held.late !== undefined) state.stageRow(...held.late);
  held.late = [outboxKey(state.prefix, target, at), row];`,
    ),
  },
  {
    ...NOTIFICATIONS,
    name: 'outbox-removed-before-delivered',
    what: 'rows are taken away, and then sent: what the target refuses, or a killed leader has not sent, is lost (N2)',
    faults: ['killLeader'],
    patches: patch(
      'actors/notify/lane.ts',
      'const { taken, areLeft } = await this.#send(rows);',
      `const early = rows.map(({ at }) => ({ ...at, isDropped: false }));
    if (!(await this.#group.trim(this.#target, early))) return this.#pause();
    const { taken, areLeft } = await this.#send(rows);`,
    ),
  },
  {
    ...NOTIFICATIONS,
    name: 'refused-keys-overtaken',
    what: 'a later change is sent while an earlier one of its key was not taken (N3)',
    faults: ['killLeader'],
    patches: patch(
      'actors/notify/lane.ts',
      'if (this.#held.has(name)) continue;',
      'if (this.#held.has(name) && rows.length === 0) continue;',
    ),
  },
  {
    ...NOTIFICATIONS,
    name: 'untried-keys-overtaken',
    what: 'keys of a page that were not tried, since the first one failed, are passed over (N3)',
    faults: ['killLeader'],
    patches: [
      ...patch(
        'actors/notify/lane.ts',
        'if (taken.length === 0) return;',
        'if (taken.length === 0) waiting.length = 0;',
      ),
      // The simulator has few keys: more of them are left, and are on the next page again.
      ...patch('actors/notify/lane.ts', 'const AT_ONCE = 8;', 'const AT_ONCE = 2;'),
      ...patch('protocol/limits.ts', 'notificationStep: 64', 'notificationStep: 6'),
    ],
  },
];
