import type { Command } from '../../protocol/commands.ts';
import type { GroupIndexStatus } from '../../protocol/indexes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyBody, RequestOf } from '../../protocol/messages/request.ts';
import { META_GROUP } from '../../protocol/types.ts';
import type { GroupView } from '../apply/group-state.ts';
import { type GroupIndex, indexById } from '../apply/index-codec.ts';
import { nextFill } from '../apply/index-fill.ts';
import { type IndexPage, queryIndex } from '../apply/index-query.ts';
import { searchText } from '../apply/text-search.ts';
import { WorkMeter } from '../apply/work-meter.ts';
import type { BackgroundPace } from '../kit/pace.ts';
import type { Closer } from './closer.ts';
import { notApplied, notLeader, type ReplicaContext, type Reply, rejected } from './context.ts';
import { answerFromView, unreadable } from './from-view.ts';
import { compacted, type ReadRounds, refusedPromise } from './reads.ts';
import { diskRefusal } from './writes.ts';

/** Enters the catalog's definitions in the group's log; those it has already need no entry. */
export function handleIndexSet(
  context: ReplicaContext,
  body: RequestOf<'IndexSet'>,
  reply: Reply,
): void {
  if (context.group === META_GROUP) {
    return reply(rejected('invalid_argument', 'the meta group keeps no indexes'));
  }
  if (!context.isLeader() || context.state.epoch === 0) return reply(notLeader(context));
  if (body.epoch <= context.state.indexes.epoch) return reply(statusOf(context));
  const { epoch, indexes } = body;
  propose(context, { type: 'indexes', epoch, indexes }, reply);
}

/** Takes a step of a backfill here, when it is its turn among all that this node does in the background. */
export function handleIndexStep(
  context: ReplicaContext,
  pace: BackgroundPace,
  body: RequestOf<'IndexStep'>,
  reply: Reply,
): void {
  if (!context.isLeader()) return reply(notLeader(context));
  pace.enter(context.group, (ended) =>
    stepOf(context, body, (answer) => {
      ended();
      reply(answer);
    }),
  );
}

/** Reads the next keys of a backfill, and logs them as one step. */
function stepOf(context: ReplicaContext, body: RequestOf<'IndexStep'>, reply: Reply): void {
  if (!context.isLeader()) return reply(notLeader(context));
  const index = indexById(context.state.indexes, body.id);
  if (index === null || index.cursor === null) return reply(statusOf(context));
  const view = context.state.view();
  nextFill(view, index)
    .then(
      (step) => {
        if (step === null) reply(statusOf(context));
        else if (!context.isLeader()) reply(notLeader(context));
        else propose(context, step, reply);
      },
      (error: unknown) => reply(unreadable(context, error)),
    )
    .finally(() => view.close());
}

function propose(context: ReplicaContext, command: Command, reply: Reply): void {
  const refusal = diskRefusal(context.ports.storage.health);
  if (refusal !== null) return reply(refusal);
  context.propose(command, (outcome) => {
    reply(outcome.type === 'applied' ? statusOf(context) : notApplied(context, outcome));
  });
}

/** After leadership is confirmed: a leader that has been replaced may not know of an index. */
export function handleIndexStatus(context: ReplicaContext, rounds: ReadRounds, reply: Reply): void {
  if (!context.isLeader()) return reply(notLeader(context));
  rounds.join(
    () => reply(statusOf(context)),
    () => reply(notLeader(context)),
  );
}

function statusOf({ state }: ReplicaContext): ReplyBody {
  const indexes = state.indexes.list.map(
    ({ definition, cursor, keys, since, definedAt }): GroupIndexStatus => {
      // U4: what was prepared before it was defined had to claim nothing.
      const isBound = definition.unique !== true || state.txns.lowest > definedAt;
      return { id: definition.id, isBuilt: cursor === null && isBound, keys, since };
    },
  );
  return { type: 'Indexes', epoch: state.indexes.epoch, indexes, keys: state.keyCount };
}

type IndexRead = RequestOf<'IndexQuery'> | RequestOf<'IndexSearch'>;

/**
 * This group's part of a page of an index, or of a search, at a closed revision. Gives way to others while
 * it computes, and ends at `endMs` (monotonic), when nobody waits for it any more.
 */
export function handleIndexRead(
  context: ReplicaContext,
  closer: Closer,
  request: IndexRead,
  endMs: number,
  reply: Reply,
): void {
  closer.close(request.revision, (settled) => {
    if (settled === 'ok') pageAt(context, request, endMs, reply);
    else reply(refusedPromise(context, request.revision));
  });
}

function pageAt(context: ReplicaContext, request: IndexRead, endMs: number, reply: Reply): void {
  const { state, ports } = context;
  const { revision } = request;
  const index = indexById(state.indexes, request.id);
  if (index === null) return reply(rejected('not_found', 'this group keeps no such index'));
  if (index.cursor !== null) {
    return reply(rejected('index_building', `group ${context.group} is still building it`));
  }
  // Before it was built it says nothing about the past.
  const oldest = Math.max(state.floor, index.since);
  if (revision < oldest) return reply(compacted(oldest));
  const isOver = (): boolean => ports.clock.monotonicMs() >= endMs;
  const meter = new WorkMeter((run) => ports.clock.soon(run), isOver);
  answerFromView(context, reply, async (view) => {
    const page = await readPage(view, index, request, meter);
    if (page === 'compacted') return compacted(view.floor);
    if (page === 'over') return rejected('deadline_exceeded', 'the page took too long');
    const { hits, reached, rows } = page;
    return { type: 'IndexPage', hits, reached, rows, clock: revision };
  });
}

function readPage(
  view: GroupView,
  index: GroupIndex,
  request: IndexRead,
  meter: WorkMeter,
): Promise<IndexPage | 'compacted' | 'over'> {
  const limit = Math.min(Math.max(1, request.limit), LIMITS.pageItemsMax);
  const bounds = { limit, bytesMax: LIMITS.pageBytesMax };
  return request.type === 'IndexQuery'
    ? queryIndex(view, index, { ...request, ...bounds }, meter)
    : searchText(view, index, { ...request, ...bounds }, meter);
}
