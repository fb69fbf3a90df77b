import type { RequestOf } from '../../protocol/messages/request.ts';
import { USAGE_PAGE_MAX } from '../../protocol/usage.ts';
import { readUsage } from '../apply/usage-read.ts';
import { notLeader, type Reply } from './context.ts';
import { answerFromView } from './from-view.ts';
import type { ReadParts } from './reads.ts';

/** What is stored in this group: linearizable, all of the answer as of one applied index. */
export function handleUsageLook(
  { context, rounds }: ReadParts,
  { after, limit }: RequestOf<'UsageLook'>,
  reply: Reply,
): void {
  if (!context.isLeader()) return reply(notLeader(context));
  const serve = (): void =>
    answerFromView(context, reply, async (view) => {
      const page = await readUsage(view, after, Math.min(limit, USAGE_PAGE_MAX));
      return { type: 'UsageFound', ...page, clock: context.clock.clock };
    });
  rounds.join(serve, () => reply(notLeader(context)));
}
