import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyOf, RequestOf } from '../../protocol/messages/request.ts';
import { META_GROUP } from '../../protocol/types.ts';
import { listMetaRows, readMeta } from '../apply/meta-state.ts';
import { notLeader, type ReplicaContext, type Reply, rejected } from './context.ts';
import { answerFromView } from './from-view.ts';
import type { ReadParts } from './reads.ts';

/** Reads of meta rows by name, and by pages; both linearizable. */

const LISTED_MAX = 1024;

/** What has changed since the asker looked: so a cache is as good as the rows themselves. */
export function handleMetaCheck(
  { context, rounds }: ReadParts,
  request: RequestOf<'MetaCheck'>,
  reply: Reply,
): void {
  if (!canAnswer(context, reply)) return;
  rounds.join(
    () => reply(checked(context, request)),
    () => reply(notLeader(context)),
  );
}

function checked(
  context: ReplicaContext,
  { rows }: RequestOf<'MetaCheck'>,
): ReplyOf<'MetaChecked'> {
  const changed: ReplyOf<'MetaChecked'>['changed'] = [];
  const unknown: string[] = [];
  let bytes = 0;
  for (const { name, revision } of rows) {
    const row = readMeta(context.state, name) ?? { name, json: '', revision: 0 };
    if (row.revision === revision) continue;
    bytes += Buffer.byteLength(row.json);
    if (changed.length > 0 && bytes > LIMITS.pageBytesMax) unknown.push(name);
    else changed.push(row);
  }
  return { type: 'MetaChecked', changed, unknown, clock: context.clock.clock };
}

export function handleMetaList(
  { context, rounds }: ReadParts,
  { prefix, after, limit }: RequestOf<'MetaList'>,
  reply: Reply,
): void {
  if (!canAnswer(context, reply)) return;
  const rowsMax = Math.min(Math.max(1, limit), LISTED_MAX);
  const serve = (): void =>
    answerFromView(context, reply, async (view) => {
      const page = await listMetaRows(view, prefix, after, rowsMax, LIMITS.pageBytesMax);
      return { type: 'MetaListed', ...page, clock: context.clock.clock };
    });
  rounds.join(serve, () => reply(notLeader(context)));
}

function canAnswer(context: ReplicaContext, reply: Reply): boolean {
  if (context.group !== META_GROUP) {
    reply(rejected('invalid_argument', 'only the meta group has meta rows'));
    return false;
  }
  if (context.isLeader()) return true;
  reply(notLeader(context));
  return false;
}
