import type { RequestOf } from '../../protocol/messages/request.ts';
import { META_GROUP } from '../../protocol/types.ts';
import { isRuleLocked, readBucket } from '../apply/buckets.ts';
import { isEmptyBucket } from '../apply/object-read.ts';
import { ruleTriple } from '../apply/txn-locks.ts';
import { notApplied, notLeader, type Reply, rejected, waited } from './context.ts';
import { answerFromView } from './from-view.ts';
import { type ReadParts, refusedPromise, thisMoment } from './reads.ts';
import { diskRefusal } from './writes.ts';

/**
 * Enters a bucket's rule in the group's log; one that it has already, or a newer one, needs no entry. It waits for
 * transactions that are prepared under the old one, until `endMs`.
 */
export function handleBucketSet(
  parts: ReadParts,
  request: RequestOf<'BucketSet'>,
  endMs: number,
  reply: Reply,
): void {
  const { context, waits } = parts;
  const { rule } = request;
  if (context.group === META_GROUP) {
    return reply(rejected('invalid_argument', 'the meta group has no objects'));
  }
  if (!context.isLeader() || context.state.epoch === 0) return reply(notLeader(context));
  const known = readBucket(context.state, rule.tenant, rule.name);
  const done = (): void => reply({ type: 'Done', revision: context.clock.clock });
  if (known !== null && known.rule.epoch >= rule.epoch) return done();
  const refusal = diskRefusal(context.ports.storage.health);
  if (refusal !== null) return reply(refusal);
  const name = ruleTriple(rule.tenant, rule.name);
  const again = () => handleBucketSet(parts, request, endMs, reply);
  const giveUp = () => reply(waited('unavailable', 'a transaction on objects was in the way'));
  if (isRuleLocked(context.state, rule)) return waits.waitForRule(name, endMs, again, giveUp);
  context.propose({ type: 'bucket', rule }, (outcome) => {
    if (outcome.type !== 'applied') return reply(notApplied(context, outcome));
    if (outcome.applied.rejection !== 'locked') return done();
    waits.waitForRule(name, endMs, again, giveUp);
  });
}

/** Whether the bucket is empty here: at a closed revision, so that what has expired by then stays so. */
export function handleBucketLook(
  { context, rounds, closer }: ReadParts,
  { tenant, name }: RequestOf<'BucketLook'>,
  reply: Reply,
): void {
  if (!context.isLeader()) return reply(notLeader(context));
  const look = (): void => {
    const now = thisMoment(context);
    closer.close(now, (settled) => {
      if (settled !== 'ok') return reply(refusedPromise(context, now));
      answerFromView(context, reply, async (view) => {
        const epoch = readBucket(context.state, tenant, name)?.rule.epoch ?? 0;
        const isEmpty = await isEmptyBucket(view, { tenant, space: name }, now);
        return { type: 'BucketState', epoch, isEmpty, clock: now };
      });
    });
    // What is closed is known at the end of a batch: this asks for one, outside of any.
    context.command({ type: 'Tick' });
  };
  rounds.join(look, () => reply(notLeader(context)));
}
