import type { ReplyBody } from '../../protocol/messages/request.ts';
import type { GroupView } from '../apply/group-state.ts';
import { type ReplicaContext, type Reply, rejected } from './context.ts';

/** Answers with what `look` finds in the applied state as it is now; the view is open until then. */
export function answerFromView(
  context: ReplicaContext,
  reply: Reply,
  look: (view: GroupView) => Promise<ReplyBody>,
): void {
  const view = context.state.view();
  look(view)
    .catch((error: unknown) => unreadable(context, error))
    .then(reply)
    .finally(() => view.close());
}

/** A state that cannot be read ends the process; whoever has asked hears of it, if there is time. */
export function unreadable(context: ReplicaContext, error: unknown): ReplyBody {
  context.ports.fatal('the applied state could not be read', error);
  return rejected('unavailable', 'the applied state could not be read');
}
