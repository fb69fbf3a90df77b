import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { outboxTotals, readOutbox } from '../../../actors/apply/outbox.ts';
import type { Command } from '../../../protocol/commands.ts';
import { makeEntry } from '../../../protocol/entry.ts';
import { NOTIFIED_EVENTS, type NotificationRule } from '../../../protocol/notifications.ts';
import { type BucketRule, NO_CONDITION, type ObjectOp } from '../../../protocol/object-ops.ts';
import { NO_HEAD } from '../../../protocol/objects.ts';
import { randomInt, seededRandom } from '../../../protocol/random.ts';
import type { GroupId } from '../../../protocol/types.ts';
import { AppliedGroup } from '../../kit/applied-group.ts';
import { objectRef, RULE } from '../../kit/object-history.ts';
import { notificationsTrue } from '../../sim/invariants/notifications-true.ts';
import { StoreModel } from '../../sim/model.ts';
import { type Arrival, MOODY, STEADY } from '../../sim/targets.ts';

const GROUP = 1 as GroupId;
const RULES: NotificationRule[] = [
  { id: 'all', target: STEADY, events: [...NOTIFIED_EVENTS], prefix: '', suffix: '' },
  {
    ...{ id: 'puts', target: MOODY, prefix: 'a', suffix: '1' },
    events: NOTIFIED_EVENTS.filter((event) => event.startsWith('ObjectCreated:')),
  },
];

/** A group of the product, and the simulator's model of the same log. */
class Both {
  readonly group = new AppliedGroup();
  readonly model = new StoreModel();
  readonly notifications = this.model.objects.notifications;
  #epoch = 0;
  #etag = 0;

  constructor() {
    this.rule({});
  }

  rule(change: Partial<BucketRule>): void {
    const epoch = ++this.#epoch;
    this.apply({ type: 'bucket', rule: { ...RULE, epoch, notifications: RULES, ...change } });
  }

  apply(command: Command) {
    const applied = this.group.apply(command);
    const index = this.group.state.appliedIndex;
    const entry = makeEntry({ index, term: 1, kind: 'command', clockBound: 0 }, new Uint8Array(0));
    this.model.apply(GROUP, { entry, command, committedInTerm: 1 });
    return applied;
  }

  do(op: ObjectOp) {
    const revision = this.group.nextRevision();
    const rest = { epoch: 1, bucket: 1, founders: null, idempotency: null, traceparent: null };
    return this.apply({ type: 'object', revision, ...rest, op, by: null }).object;
  }

  put(key: string) {
    const fields = { size: 0, etag: `e${this.#etag++}`, checksum: null, head: NO_HEAD };
    const rest = { data: null, ttlMs: null, condition: NO_CONDITION };
    return this.do({ type: 'put', ref: objectRef(key), ...fields, ...rest });
  }

  delete(key: string, versionId: string | null = null) {
    const rest = { versionId, condition: NO_CONDITION, bypass: false };
    return this.do({ type: 'delete', ref: objectRef(key), ...rest });
  }

  tag(key: string, versionId: string | null = null) {
    const change = { type: 'tags' as const, tags: [{ name: 'n', value: 'v' }] };
    const rest = { versionId, condition: NO_CONDITION, bypass: false, change };
    return this.do({ type: 'amend', ref: objectRef(key), ...rest });
  }

  async outbox(target: string) {
    const view = this.group.state.view();
    try {
      const rows = await readOutbox(view, target, null, 1000);
      return { rows, totals: (await outboxTotals(view)).get(target) };
    } finally {
      await view.close();
    }
  }

  /** What targets get if all goes well, each of what they are told. */
  arrivals(): Arrival[] {
    return this.notifications.all.map(({ target, notification }) => ({ target, notification }));
  }

  check(arrivals: readonly Arrival[]): void {
    notificationsTrue.run({ model: this.model, arrivals } as never);
  }
}

describe('the model of notifications', () => {
  it.each([1, 2, 3, 4])('has what the outbox of a group has, seed %i', async (seed) => {
    const random = seededRandom(seed, 'notifications');
    const both = new Both();
    const versions: string[] = [];
    for (let i = 0; i < 300; i++) {
      const key = `${'ab'[randomInt(random, 0, 1)]}${randomInt(random, 0, 2)}`;
      const versionId = random.next() < 0.4 ? (versions.pop() ?? null) : null;
      const draw = random.next();
      if (draw < 0.05) both.rule({ versioning: random.next() < 0.5 ? 'enabled' : 'suspended' });
      else if (draw < 0.08) both.rule({ notifications: null });
      else if (draw < 0.5) {
        const put = both.put(key);
        if (put?.type === 'put' && put.versionId !== null) versions.push(put.versionId);
      } else if (draw < 0.7) both.delete(key, versionId);
      else if (draw < 0.85) both.tag(key, versionId);
      else {
        const { rows } = await both.outbox(STEADY);
        const some = rows.slice(0, rows.length / 4).map(({ at }) => ({ ...at, isDropped: false }));
        both.apply({ type: 'outboxTrim', target: STEADY, rows: some });
      }
    }
    for (const target of [STEADY, MOODY]) {
      const { rows, totals } = await both.outbox(target);
      const wanted = both.notifications.waiting.filter((one) => one.target === target);
      expect(rows.length).toBeGreaterThan(3);
      const [is, was] = [rows, wanted].map((all) => all.map((one) => one.notification));
      expect(isDeepStrictEqual(is, was), JSON.stringify({ is, was })).toBe(true);
      expect(totals).toEqual(both.notifications.totals(GROUP, target));
    }
  });

  it('knows what goes before its target has it', async () => {
    const both = new Both();
    both.put('b');
    both.notifications.hasGot = () => false;
    const { rows } = await both.outbox(STEADY);
    const all = rows.map(({ at }) => ({ ...at, isDropped: false }));
    expect(() => both.apply({ type: 'outboxTrim', target: STEADY, rows: all })).toThrow(
      /went before its target had it/,
    );
  });
});

describe('notifications are told', () => {
  it('at least once, in the order of each key', () => {
    const both = new Both();
    for (const key of ['a1', 'b', 'a1', 'b']) both.put(key);
    const all = both.arrivals();
    expect(all.length).toBe(6);
    both.check(all);
    both.check([...all, ...all]);
    // Only of one key and target there is an order.
    both.check([...all].sort((x, y) => (x.target < y.target ? -1 : x.target > y.target ? 1 : 0)));
  });

  it('or the run fails', () => {
    const both = new Both();
    both.put('b');
    both.put('b');
    const [one, two] = both.arrivals() as [Arrival, Arrival];
    expect(() => both.check([two, one])).toThrow(/was told first after that/);
    expect(() => both.check([one])).toThrow(/was never told, it counts as waiting/);
    const other = { ...two, notification: { ...two.notification, revision: 7 } };
    expect(() => both.check([one, two, other])).toThrow(/never happened/);
    const changed = { ...two, notification: { ...two.notification, etag: 'x' } };
    expect(() => both.check([one, changed])).toThrow(/was told as/);
    const last = both.notifications.all[1] as { state: string };
    last.state = 'dropped';
    both.check([one]);
    expect(() => both.check([one, two])).toThrow(/is counted as dropped/);
  });
});
