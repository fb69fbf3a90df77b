import fc from 'fast-check';
import { type Committed, committed } from '../../actors/apply/apply.ts';
import type { Command, Condition, WriteOp } from '../../protocol/commands.ts';
import { encodeCommand, revisionCount } from '../../protocol/commands.ts';
import { type EntryKind, makeEntry } from '../../protocol/entry.ts';
import { nextRevision, REVISION_EPOCH_MS, REVISIONS_PER_MS } from '../../protocol/revision.ts';
import { type KeyRef, VSHARD_COUNT, vshardOf } from '../../protocol/vshard.ts';
import { KvModel, type ModelOutcome } from './kv-model.ts';

/** Random logs of one group: what a leader could have proposed, with the model's answer to each entry. */

export const ALL_VSHARDS: number[] = Array.from({ length: VSHARD_COUNT }, (_, v) => v);

/** Keys that stress the order: NUL and 0xff inside, prefixes of each other, two tenants, two spaces. */
export const REFS: readonly KeyRef[] = ['a', 'a\x00', 'a\x00b', 'ab', 'b', '\xff']
  .map((key): KeyRef => ({ tenant: 't1', space: 'kv', key }))
  .concat({ tenant: 't1', space: 'kv2', key: 'a' }, { tenant: 't2', space: 'kv', key: 'a' });

type DrawnOp = {
  readonly key: number;
  readonly put: boolean;
  readonly value: number;
  readonly type: string | null;
  readonly ttlMs: number | null;
  readonly condition: 'none' | 'exists' | 'absent' | 'current' | 'other';
};

const drawnOp: fc.Arbitrary<DrawnOp> = fc.record({
  key: fc.nat(REFS.length - 1),
  put: fc.oneof(fc.constant(true), fc.boolean()),
  value: fc.nat(255),
  type: fc.constantFrom(null, 'text/plain'),
  ttlMs: fc.constantFrom(null, null, null, 0, 1, 20, 5_000, 4_000_000),
  condition: fc.constantFrom(
    'none',
    'none',
    'none',
    'none',
    'none',
    'exists',
    'absent',
    'current',
    'other',
  ),
});

const drawnStep = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constant('write' as const),
      ops: fc.array(drawnOp, { minLength: 1, maxLength: 4 }),
      request: fc.constantFrom(null, null, null, null, 'r1', 'r\xff'),
      hash: fc.constantFrom(1, 1, 2),
      retry: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('expire' as const), stale: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('compact' as const), back: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reserve' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('noop' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('own' as const), without: fc.nat(REFS.length * 2) }),
  },
);
type DrawnStep = typeof drawnStep extends fc.Arbitrary<infer T> ? T : never;

/** A step and how long after the one before it, ms. */
const paused = fc.tuple(drawnStep, fc.constantFrom(0, 0, 0, 0, 0, 1, 1, 2, 30, 6_000, 3_700_000));

export interface History {
  readonly model: KvModel;
  readonly entries: readonly Committed[];
  readonly outcomes: readonly ModelOutcome[];
  /** The model's floor after each entry. */
  readonly floors: readonly number[];
}

export function histories(stepsMax: number): fc.Arbitrary<History> {
  return fc
    .array(paused, { minLength: 1, maxLength: stepsMax, size: 'max' })
    .map((steps) => buildHistory(steps));
}

/** Entry `index` of a log, decoded as a follower would decode it. */
export function logEntry(index: number, term: number, command: Command | null): Committed {
  const kind: EntryKind = command === null ? 'noop' : 'command';
  const clockBound = command === null ? 0 : boundOf(command);
  const payload = command === null ? new Uint8Array(0) : encodeCommand(command);
  return committed(makeEntry({ index, term, kind, clockBound }, payload));
}

function boundOf(command: Command): number {
  if (command.type === 'reserve') return command.bound;
  return 'revision' in command ? command.revision + Math.max(0, revisionCount(command) - 1) : 0;
}

function buildHistory(steps: readonly [DrawnStep, number][]): History {
  const model = new KvModel();
  const entries: Committed[] = [];
  const outcomes: ModelOutcome[] = [];
  const floors: number[] = [];
  let wallMs = REVISION_EPOCH_MS + 1_000_000;
  const add = (command: Command | null): void => {
    entries.push(logEntry(entries.length + 1, 1 + Math.floor(entries.length / 7), command));
    const nothing: ModelOutcome = { results: [], repeated: false, rejection: null, events: [] };
    outcomes.push(command === null ? nothing : model.apply(command));
    floors.push(model.floor);
  };
  add({ type: 'own', epoch: 1, vshards: ALL_VSHARDS });
  let last: Command | null = null;
  for (const [step, pauseMs] of steps) {
    wallMs += pauseMs;
    const command = commandOf(step, model, wallMs, last);
    if (command !== null && command.type === 'write' && command.idempotency !== null)
      last = command;
    add(command);
  }
  return { model, entries, outcomes, floors };
}

function commandOf(
  step: DrawnStep,
  model: KvModel,
  wallMs: number,
  last: Command | null,
): Command | null {
  const revision = nextRevision(model.clock, wallMs);
  switch (step.type) {
    case 'noop':
      return null;
    case 'reserve':
      return { type: 'reserve', bound: revision + 500 * REVISIONS_PER_MS };
    case 'compact': {
      const events = model.events;
      const event = events[Math.max(0, events.length - 1 - step.back)];
      return { type: 'compact', floor: (event?.revision ?? 0) + (step.back % 2) };
    }
    case 'own': {
      const ref = REFS[step.without];
      const without = ref === undefined ? -1 : vshardOf(ref);
      const vshards = ALL_VSHARDS.filter((vshard) => vshard !== without);
      return { type: 'own', epoch: model.epoch + (step.without % 2), vshards };
    }
    case 'expire': {
      const keys = model.due(wallMs).slice(0, 5);
      const wrong = step.stale ? 1 : 0;
      return {
        type: 'expire',
        revision,
        keys: keys.map((item, i) => ({
          ref: item.ref,
          revision: item.revision - (i === 0 ? wrong : 0),
        })),
      };
    }
    case 'write': {
      // A retry repeats the last keyed request at a new revision, as a client would.
      if (step.retry && last !== null && last.type === 'write') {
        return { ...last, revision, epoch: model.epoch };
      }
      const idempotency =
        step.request === null
          ? null
          : { key: step.request, requestHash: new Uint8Array(32).fill(step.hash) };
      const ops = step.ops.map((op) => opOf(op, model));
      return { type: 'write', revision, epoch: model.epoch, ops, idempotency, traceparent: null };
    }
  }
}

function opOf(drawn: DrawnOp, model: KvModel): WriteOp {
  const ref = REFS[drawn.key] as KeyRef;
  const condition = conditionOf(drawn, model.readAt(ref, model.clock)?.revision ?? 0);
  if (!drawn.put) return { type: 'delete', ref, condition };
  const value = new Uint8Array(drawn.value % 7).fill(drawn.value);
  return { type: 'put', ref, value, contentType: drawn.type, ttlMs: drawn.ttlMs, condition };
}

function conditionOf(drawn: DrawnOp, current: number): Condition | null {
  switch (drawn.condition) {
    case 'none':
      return null;
    case 'current':
      return { type: 'revision', revision: current };
    case 'other':
      return { type: 'revision', revision: drawn.value };
    default:
      return { type: drawn.condition };
  }
}
