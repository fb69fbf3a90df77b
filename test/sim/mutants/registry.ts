import { BASE, patch } from './base.ts';
import { withEarlyAck } from './early-ack.ts';
import { IDENTITY_MUTANTS } from './identity-mutants.ts';
import { LEASE_MUTANTS } from './lease-mutants.ts';
import type { Mutant } from './mutant.ts';
import { NOTIFY_MUTANTS } from './notify-mutants.ts';
import { OBJECT_MUTANTS } from './object-mutants.ts';
import { QUOTA_MUTANTS } from './quota-mutants.ts';
import { TXN_MUTANTS } from './txn-mutants.ts';
import { UNIQUE_MUTANTS } from './unique.ts';
import { USAGE_MUTANTS } from './usage-mutants.ts';

/** One per line of defence: elections, log, commit, reads, apply, clocks, feed, answers, indexes. */
const MUTANTS_OF_GROUPS: readonly Mutant[] = [
  {
    ...BASE,
    name: 'ack-before-sync',
    what: 'the WAL says synced before it is: acknowledged writes are lost in a power cut (B14)',
    faults: ['powerCutAll', 'crashAfterCommit', 'slowSync'],
    filterPorts: withEarlyAck,
  },
  {
    ...BASE,
    name: 'forgotten-votes',
    what: 'VoteCast does not reach the WAL: a restarted voter votes again (B13)',
    faults: ['crashAfterVote', 'killLeader', 'isolateLeader', 'pauseLeader'],
    patches: patch(
      'actors/replica/outbox.ts',
      'if (isDurable(event)) this.records',
      "if (isDurable(event) && event.type !== 'VoteCast') this.records",
    ),
  },
  {
    ...BASE,
    name: 'any-log-wins',
    what: 'votes go to candidates with shorter logs (B6, paper 5.4.1)',
    faults: ['laggardAfterLeader'],
    busy: 'writes',
    patches: patch(
      'actors/raft/request-vote.ts',
      'if (candidate.lastLogTerm !== s.log.lastTerm) return',
      'if (s.self !== null) return true;\n  if (candidate.lastLogTerm !== s.log.lastTerm) return',
    ),
  },
  {
    ...BASE,
    name: 'reads-without-confirmation',
    what: 'a leader serves reads without asking whether it still leads (B1)',
    faults: ['isolateLeader'],
    busy: 'reads',
    seedsMax: 10,
    patches: patch(
      'actors/raft/read-index.ts',
      'const { nonce } = leader.reads;',
      'const { nonce } = leader.reads;\n  if (nonce >= 0) return true;',
    ),
  },
  {
    ...BASE,
    name: 'conflicts-kept',
    what: 'a follower keeps entries that its leader contradicts (paper 5.3, rule 3)',
    faults: ['isolateLeader', 'cutLeaderAfterAppend', 'killLeader', 'partition'],
    patches: patch(
      'actors/raft/append-entries.ts',
      'if (held === term) continue;',
      'if (held !== undefined) continue;',
    ),
  },
  {
    ...BASE,
    name: 'applied-index-lags',
    what: 'the applied index is not in the batch of its rows: entries apply twice (B17)',
    faults: ['killAny', 'killLeader', 'powerCutOne'],
    patches: patch(
      'actors/apply/group-state.ts',
      "this.stage(metaKey(this.prefix, 'applied'), encodeApplied(this));",
      "if (this.appliedIndex % 3 === 0) this.stage(metaKey(this.prefix, 'applied'), encodeApplied(this));",
    ),
  },
  {
    ...BASE,
    name: 'requests-forgotten',
    what: 'rows of idempotent requests are not kept: a repeated request applies twice (B9)',
    faults: ['isolateLeader', 'killLeader'],
    patches: patch(
      'actors/apply/idempotency.ts',
      'state.stageRow(idempotencyKey(state.prefix, name), row);',
      'void row;',
    ),
  },
  {
    ...BASE,
    name: 'closed-too-early',
    what: 'a revision is closed while entries at or below it are on their way (B19)',
    faults: ['isolateLeader', 'killLeader', 'slowSync'],
    patches: patch(
      'actors/replica/closer.ts',
      'waiting.index <= state.appliedIndex;',
      'waiting.index >= 0;',
    ),
  },
  {
    ...BASE,
    name: 'feed-skips',
    what: 'the change feed leaves an event out now and then (B19)',
    faults: ['killLeader'],
    patches: patch(
      'actors/replica/feed.ts',
      'this.#ring.push(event);\n      } else if',
      'if (event.sequence % 20 !== 7) this.#ring.push(event);\n      } else if',
    ),
  },
  {
    ...BASE,
    name: 'writes-retried',
    what: 'the router repeats a write that may have been applied (B9, B27)',
    faults: ['isolateLeader', 'pauseLeader', 'killLeader', 'oneWayCut', 'slowSync'],
    patches: patch(
      'actors/router/options.ts',
      'repeatable: ctx.idempotency !== null,',
      'repeatable: true,',
    ),
  },
  {
    ...BASE,
    name: 'definite-lies',
    what: 'a write whose answer is lost is reported as certainly not done (B10)',
    faults: ['isolateLeader', 'pauseLeader', 'oneWayCut'],
    patches: patch(
      'actors/router/calls.ts',
      "    'outcome_unknown',\n    `group",
      "    'unavailable',\n    `group",
    ),
  },
  {
    ...BASE,
    name: 'any-life-answers',
    seconds: 60,
    what: 'a request that was meant for an earlier process is executed: a write applies twice (F6, B9)',
    faults: ['lateRepeats', 'killLeader', 'killAny'],
    busy: 'writes',
    seedsMax: 10,
    patches: patch(
      'actors/node-routing.ts',
      'if (request.life !== this.#parts.life) {',
      'if (request.life < 0) {',
    ),
  },
  {
    ...BASE,
    name: 'repeats-executed',
    what: 'a request that comes again is executed again (F6, B9)',
    faults: ['lateRepeats'],
    busy: 'writes',
    patches: patch(
      'actors/node-routing.ts',
      'if (isWrite(request.body) && this.#recent.isRepeat(',
      'if (false && this.#recent.isRepeat(',
    ),
  },
  {
    ...BASE,
    name: 'failed-writes-forgotten',
    what: 'a write that the disk refused counts as written (F16, F17)',
    faults: ['writeError', 'killAny', 'powerCutAll'],
    busy: 'writes',
    seedsMax: 10,
    patches: patch(
      'storage/wal/wal.ts',
      'this.#options.health.stalled(error);',
      'if (bytes.length > 0) return this.#finishSync(null);\n    this.#options.health.stalled(error);',
    ),
  },
  {
    ...BASE,
    name: 'entry-outside-the-batch',
    what: 'an index entry is written with the next change, not in the batch of its value',
    faults: ['killLeader'],
    busy: 'indexes',
    patches: patch(
      'actors/apply/index-rows.ts',
      'state.stage(entryKey(prefix, id, fresh, key), NOTHING);',
      'const held = state as unknown as { late?: string };\n      if (held.late !== undefined) state.stage(held.late, NOTHING);\n      held.late = entryKey(prefix, id, fresh, key);',
    ),
  },
  {
    ...BASE,
    name: 'entry-left-behind',
    what: 'an entry is not removed when its value is overwritten',
    faults: ['killLeader'],
    busy: 'indexes',
    patches: patch(
      'actors/apply/index-rows.ts',
      'state.stage(entryKey(prefix, id, old as string, key), null);',
      '',
    ),
  },
  {
    ...BASE,
    name: 'past-entry-forgotten',
    what: 'an entry that ends leaves no past entry: a query at a past revision misses it',
    faults: ['killLeader'],
    busy: 'indexes',
    patches: patch(
      'actors/apply/index-rows.ts',
      'state.stage(pastEntryKey(prefix, id, old as string, key, revision), NOTHING);',
      '',
    ),
  },
  {
    ...BASE,
    name: 'backfill-skips',
    seconds: 60,
    what: 'a step of a backfill leaves out a key',
    faults: ['killLeader', 'transferLeader'],
    busy: 'indexes',
    patches: patch(
      'actors/apply/index-commands.ts',
      'for (let i = 0; i < command.keys.length; i++) {',
      'for (let i = 1; i < command.keys.length; i++) {',
    ),
  },
  {
    ...BASE,
    name: 'definitions-outside-the-log',
    what: "a leader takes new indexes over at once, not where its group's log has them: replicas differ (B28)",
    faults: ['killLeader'],
    busy: 'indexes',
    patches: patch(
      'actors/replica/index-requests.ts',
      "propose(context, { type: 'indexes', epoch, indexes }, reply);",
      `const held = context.state;
  const list = indexes.map((definition): GroupIndex => {
    const none = { nextDocument: 1, openFrom: 1, openCount: 0, openBytes: 0 };
    const empty = { ...none, nextSegment: 1, oldestSegment: 1, documents: 0, dead: 0 };
    const text = definition.kind === 'text' ? empty : null;
    const known = indexById(held.indexes, definition.id);
    const start = { cursor: definition.prefix, keys: 0, since: 0, text };
    return known ?? { definition, definedAt: held.clock, ...start };
  });
  held.replaceIndexes({ epoch, list, unique: [] });
  reply(statusOf(context));`,
    ),
  },
];

export const MUTANTS: readonly Mutant[] = [
  ...MUTANTS_OF_GROUPS,
  ...IDENTITY_MUTANTS,
  ...LEASE_MUTANTS,
  ...NOTIFY_MUTANTS,
  ...OBJECT_MUTANTS,
  ...TXN_MUTANTS,
  ...UNIQUE_MUTANTS,
  ...USAGE_MUTANTS,
  ...QUOTA_MUTANTS,
];

export const MUTANT_NAMES: readonly string[] = MUTANTS.map((mutant) => mutant.name);

/** Throws when there is none of that name. */
export function findMutant(name: string): Mutant {
  const found = MUTANTS.find((mutant) => mutant.name === name);
  if (found === undefined)
    throw new Error(`no mutant ${name}; there are ${MUTANT_NAMES.join(', ')}`);
  return found;
}
