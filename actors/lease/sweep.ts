import { tenantOfLease } from '../../protocol/lease.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestOf } from '../../protocol/messages/request.ts';
import { isAwaited, nextDetach, readAttached } from '../apply/lease.ts';
import type { Closer } from '../replica/closer.ts';
import {
  notLeader,
  type ReplicaContext,
  type Reply,
  rejected,
  trustedWallMs,
} from '../replica/context.ts';
import { answerFromView, unreadable } from '../replica/from-view.ts';
import { type ReadParts, type ReadRounds, refusedPromise } from '../replica/reads.ts';

/** How long a step waits for snapshots that are being taken. */
const GATE_MS_MAX = 1_000;

/**
 * Keys of ended leases in a group that holds some, in steps of one entry. Without `close`: what was attached, or
 * prepared to be, when it was asked for; leadership is confirmed first, so nothing that was acknowledged before is
 * missed. With `close` all that can ever be attached under promises up to it is applied before it is looked for: a put
 * with a later revision of its own is refused (W4), so what is not found then will never be there.
 */
export function handleSweep(
  { context, closer, rounds }: Pick<ReadParts, 'context' | 'closer' | 'rounds'>,
  body: RequestOf<'LeaseSweep'>,
  reply: Reply,
): void {
  if (!context.isLeader()) return reply(notLeader(context));
  if (body.close === 0) {
    const serve = () => sweepStep(context, closer, body, reply);
    return rounds.join(serve, () => reply(notLeader(context)));
  }
  closer.close(body.close, (settled) => {
    if (settled === 'ok') sweepStep(context, closer, body, reply);
    else reply(refusedPromise(context, body.close));
  });
}

function sweepStep(
  context: ReplicaContext,
  closer: Closer,
  body: RequestOf<'LeaseSweep'>,
  reply: Reply,
): void {
  const { clock, ports, state } = context;
  const view = state.view();
  // Of the same moment: what ends after it is not in the view.
  const isOpen = isAwaited(state, body.leases);
  nextDetach(view, body.leases)
    .then(
      (found) => {
        const { keys } = found;
        const isAll = found.isAll && !isOpen;
        if (keys.length === 0) {
          return reply({ type: 'Swept', removed: 0, isAll, clock: clock.clock });
        }
        if (!context.isLeader()) return reply(notLeader(context));
        if (!context.clockTrusted()) {
          return reply(rejected('clock_skew', 'this leader has no trusted clock and hands over'));
        }
        const { gate } = closer;
        if (gate.isClosed) {
          const again = () => sweepStep(context, closer, body, reply);
          const giveUp = () => reply(rejected('unavailable', 'a snapshot was being taken'));
          return gate.wait(ports.clock.monotonicMs() + GATE_MS_MAX, again, giveUp);
        }
        const revision = clock.assign(keys.length, trustedWallMs(context));
        context.propose({ type: 'detach', revision, keys }, (outcome) => {
          if (outcome.type !== 'applied') return reply(notLeader(context));
          const removed = outcome.applied.events.length;
          const swept = { type: 'Swept' as const, removed, clock: outcome.applied.clock };
          if (removed === keys.length) return reply({ ...swept, isAll });
          // Others wrote those that were left alone, or have removed them, or hold them.
          isNothingLeft(context, body).then(
            (isNone) => reply({ ...swept, isAll: isNone }),
            (error: unknown) => reply(unreadable(context, error)),
          );
        });
      },
      (error: unknown) => reply(unreadable(context, error)),
    )
    .finally(() => view.close());
}

async function isNothingLeft(
  { state }: ReplicaContext,
  { leases }: RequestOf<'LeaseSweep'>,
): Promise<boolean> {
  const view = state.view();
  const isOpen = isAwaited(state, leases);
  try {
    const { keys, isAll } = await nextDetach(view, leases);
    return isAll && keys.length === 0 && !isOpen;
  } finally {
    await view.close();
  }
}

/** This group's keys that are attached to a lease, as of now. */
export function handleAttached(
  context: ReplicaContext,
  rounds: ReadRounds,
  body: RequestOf<'Attached'>,
  reply: Reply,
): void {
  if (!context.isLeader()) return reply(notLeader(context));
  const serve = (): void => {
    const limit = Math.min(Math.max(1, body.limit), LIMITS.pageItemsMax);
    answerFromView(context, reply, async (view) => {
      const { keys, isAll } = await readAttached(view, body.lease, limit, tenantOfLease(body));
      return { type: 'AttachedKeys', keys, more: !isAll, clock: context.clock.clock };
    });
  };
  rounds.join(serve, () => reply(notLeader(context)));
}
