import type { RequestOf } from '../../protocol/messages/request.ts';
import { META_GROUP } from '../../protocol/types.ts';
import { hasDataRow } from '../apply/object-store.ts';
import { type Reply, rejected } from './context.ts';
import { answerFromView } from './from-view.ts';
import type { ReadParts } from './reads.ts';

/**
 * Which of this data the group has a row of, as of a closed revision that is in the answer: so it is true however far
 * behind this replica is, and whoever asks draws no more from it than its revision allows.
 */
export function handleDataLook(
  { context }: ReadParts,
  { ids }: RequestOf<'DataLook'>,
  reply: Reply,
): void {
  if (context.group === META_GROUP) {
    return reply(rejected('invalid_argument', 'the meta group has no objects'));
  }
  const { closed, clock } = context.clock;
  answerFromView(context, reply, async (view) => {
    const named = ids.filter((id) => hasDataRow(view, id));
    return { type: 'DataSeen', named, closed, epoch: view.epoch, clock };
  });
}
