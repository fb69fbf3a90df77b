import { FAIR_WEATHER } from '../network.ts';
import { BASE, patch } from './base.ts';
import type { Mutant } from './mutant.ts';

/** Transactions over groups, whose coordinators die. */
const TXN = {
  ...BASE,
  faults: ['crashCoordinator', 'killLeader', 'isolateLeader'],
  busy: 'transactions',
  seedsMax: 10,
} as const;

/**
 * Snapshots of groups whose clocks do not hear of each other. Now and then a message is overtaken by all else: a gate is
 * closed for as long as the last group is not asked.
 */
const SNAPSHOTS = {
  ...BASE,
  seconds: 20,
  faults: ['transferLeader'],
  busy: 'snapshots',
  weather: { ...FAIR_WEATHER, reorder: 0.2, reorderMsMax: 80 },
} as const;

/** Of transactions, and of snapshots beside them (B21, B22). */
export const TXN_MUTANTS: readonly Mutant[] = [
  {
    ...TXN,
    name: 'cut-page-taken-for-whole',
    what: 'the merged feed goes past a revision of which a group has given a part only (B19)',
    patches: [
      ...patch('protocol/limits.ts', 'feedPageEventsMax: 1000', 'feedPageEventsMax: 1'),
      ...patch(
        'actors/feed/merge.ts',
        'for (const { after } of this.#lanes.values()) {',
        'for (const { closed } of this.#lanes.values()) {\n      const after = positionAfter(closed);',
      ),
    ],
  },
  {
    ...TXN,
    name: 'decision-not-replicated',
    what: 'participants learn of a commit that is in no log: some commit it, others abort it (F24)',
    patches: patch(
      'actors/txn/coordinator.ts',
      '      context.clock.raise(fate.commitRevision);\n      context.propose(\n',
      '      context.clock.raise(fate.commitRevision);\n' +
        "      if (fate.commitRevision > 0) return this.#on(live, { type: 'decided', fate, outcome: null });\n" +
        '      context.propose(\n',
    ),
  },
  {
    ...TXN,
    name: 'commit-told-early',
    what: 'participants learn of a commit with the home part before it is in the log (F24)',
    patches: patch(
      'actors/txn/coordinator.ts',
      '      const part = parts.get(context.group) as TxnPart;\n',
      '      const part = parts.get(context.group) as TxnPart;\n' +
        '      const told = { commitRevision: revision, succeeded: failedCompare === null };\n' +
        '      this.#messenger.commit(id, told, [...attempt.holding]);\n',
    ),
  },
  {
    ...TXN,
    name: 'commit-passes-locks',
    what: 'the home group does its part although others hold the locks (B21)',
    patches: patch(
      'actors/apply/txn-commit.ts',
      'if (!locks.isEmpty && !isAdmitted(',
      'if (locks.isEmpty && !isAdmitted(',
    ),
  },
  {
    ...TXN,
    name: 'commit-below-prepared',
    what: 'the home group commits below what others have prepared at (B21, B22)',
    faults: ['clockJump', 'clockDrift', 'killLeader'],
    patches: patch('actors/txn/coordinator.ts', 'context.clock.raise(above);', ''),
  },
  {
    ...TXN,
    name: 'prepared-not-locked',
    what: 'what is prepared is not locked until its end: others read and write between (B21)',
    patches: patch(
      'actors/apply/txn-table.ts',
      'this.locks.add(prepared.footprint);',
      'if (prepared.revision === 0) this.locks.add(prepared.footprint);',
    ),
  },
  {
    ...TXN,
    name: 'ends-mixed-up',
    what: 'transactions whose ends a participant learns of together all end as the first of them (B21)',
    patches: patch(
      'actors/apply/txn.ts',
      'const { id, fate, removed } = ends[i] as (typeof ends)[number];',
      'const { id, removed } = ends[i] as (typeof ends)[number];\n' +
        '    const { fate } = ends[0] as (typeof ends)[number];',
    ),
  },
  {
    ...TXN,
    name: 'votes-without-lock',
    what: 'a participant votes yes although others hold the locks (B21)',
    patches: patch(
      'actors/apply/txn.ts',
      "if (!isAdmitted(state, footprint, revision)) return txnOutcome({ type: 'conflict' });",
      'isAdmitted(state, footprint, revision);',
    ),
  },
  {
    ...TXN,
    name: 'closed-ignores-prepared',
    what: 'revisions are closed that a prepared transaction may still commit at (B19, B22)',
    patches: patch(
      'actors/replica/clock.ts',
      'const closed = Math.min(this.#settled, openFrom - 1);',
      'const closed = Math.min(this.#settled, Math.abs(openFrom) * 2);',
    ),
  },
  {
    ...SNAPSHOTS,
    name: 'writes-pass-gate',
    what: 'revisions are assigned while a snapshot is taken: it shows a write and not one that was over before (B22)',
    patches: patch(
      'actors/replica/writes.ts',
      'if (parts.closer.gate.isClosed) return',
      'if (parts.closer.gate.isClosed && parts.context.group === 0) return',
    ),
  },
  {
    ...SNAPSHOTS,
    name: 'expiry-passes-gate',
    what: 'a key is seen as expired while a snapshot is taken that shows it, and what was written later (B22)',
    seedsMax: 10,
    patches: [
      ...patch(
        'actors/replica/chores.ts',
        'return this.#mayPropose() && !this.#context.clock.isHeld;',
        'return this.#mayPropose();',
      ),
      ...patch(
        'actors/replica/reads.ts',
        'if (closer.gate.isClosed) {',
        'if (closer.gate.isClosed && context.group === 0) {',
      ),
    ],
  },
  {
    ...SNAPSHOTS,
    name: 'votes-without-end',
    what: 'a transaction commits at a revision at which a key that it read has expired (B21)',
    patches: patch(
      'actors/txn/attempt.ts',
      'if (wallMsOfRevision(commitRevision) >= validUntilMs) return',
      'if (wallMsOfRevision(commitRevision) >= validUntilMs * 2) return',
    ),
  },
  {
    ...SNAPSHOTS,
    name: 'ends-pass-locks',
    busy: 'ends',
    // Delays about as long as such a key lives.
    weather: { ...FAIR_WEATHER, reorder: 0.1, reorderMsMax: 60 },
    // Seeds 13, 14, 28, 29, 35 and 42 of 1..45.
    seedsMax: 40,
    what: 'a transaction sees the end of a key that one still to come in time has read alive (B21)',
    patches: patch(
      'actors/apply/unseen-ends.ts',
      'hasExpired(head, revision) && !hasExpired(head, state.txns.lowest)',
      'hasExpired(head, revision) && hasExpired(head, 0)',
    ),
  },
  {
    ...TXN,
    name: 'ranges-not-locked',
    what: 'what is written into a range that a prepared transaction has read is not held up (B21)',
    patches: patch(
      'actors/apply/txn-locks.ts',
      'for (const range of ranges) this.#ranges.push(range);',
      'for (const range of ranges.slice(ranges.length)) this.#ranges.push(range);',
    ),
  },
  {
    ...TXN,
    name: 'reads-pass-locks',
    what: 'a key is read as it was before a transaction that may be public already (B21)',
    // A participant that is read, and cannot hear the home group.
    faults: ['clog', 'partialPartition', 'crashCoordinator'],
    busy: 'listReads',
    patches: patch(
      'actors/replica/reads.ts',
      'return txns.size === 0 || keys.every(',
      'return txns.size < 1e9 || keys.every(',
    ),
  },
];
