import { describe, expect, it } from 'vitest';
import { outboxTotals, readOutbox } from '../../../../actors/apply/outbox.ts';
import { stateHash } from '../../../../actors/apply/state-hash.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import {
  NOTIFIED_EVENTS,
  type Notification,
  type NotificationRule,
  type Requester,
} from '../../../../protocol/notifications.ts';
import { type BucketRule, NO_CONDITION, type ObjectOp } from '../../../../protocol/object-ops.ts';
import { NO_HEAD } from '../../../../protocol/objects.ts';
import { outboxTotalsKey } from '../../../../storage/kv/object-keys.ts';
import { encodeCounts } from '../../../../storage/kv/rows.ts';
import { AppliedGroup } from '../../../kit/applied-group.ts';
import { objectRef, RULE } from '../../../kit/object-history.ts';

const ALL: NotificationRule = {
  ...{ id: 'all', target: 'webhook:a', events: [...NOTIFIED_EVENTS], prefix: '', suffix: '' },
};

/** A group with a bucket that tells of everything, or as `notifications` say. */
class Told {
  readonly group = new AppliedGroup();

  constructor(rule: Partial<BucketRule> = {}, notifications: NotificationRule[] = [ALL]) {
    this.group.apply({ type: 'bucket', rule: { ...RULE, ...rule, notifications } });
  }

  do(op: ObjectOp, by: Requester | null = null) {
    const revision = this.group.nextRevision();
    const rest = { epoch: 1, bucket: 1, founders: null, idempotency: null, traceparent: null };
    return this.group.apply({ type: 'object', revision, ...rest, op, by }).object;
  }

  put(key: string, more: { ttlMs?: number; etag?: string } = {}, by: Requester | null = null) {
    const { ttlMs = null, etag = `e-${key}` } = more;
    const rest = { size: 0, checksum: null, head: NO_HEAD, data: null, condition: NO_CONDITION };
    return this.do({ type: 'put', ref: objectRef(key), etag, ttlMs, ...rest }, by);
  }

  remove(key: string, versionId: string | null = null) {
    const rest = { condition: NO_CONDITION, bypass: false };
    return this.do({ type: 'delete', ref: objectRef(key), versionId, ...rest });
  }

  async waiting(target = 'webhook:a'): Promise<Notification[]> {
    const rows = await this.rows(target);
    return rows.map(({ notification }) => notification);
  }

  rows(target = 'webhook:a') {
    return this.read((view) => readOutbox(view, target, null, 100));
  }

  totals() {
    return this.read(outboxTotals);
  }

  async read<T>(look: (view: ReturnType<AppliedGroup['state']['view']>) => Promise<T>): Promise<T> {
    const view = this.group.state.view();
    try {
      return await look(view);
    } finally {
      await view.close();
    }
  }
}

const via = (way: Requester['via']): Requester => ({
  ...{ via: way, principal: 'p', address: '10.0.0.1', requestId: 'r' },
});

const brief = (all: readonly Notification[]) =>
  all.map(({ event, ref, versionId, etag }) => [event, ref.key, versionId, etag]);

describe('the outbox of a group', () => {
  it('N1 has a row for each change that a rule is for, in order, in the batch of the change', async () => {
    const told = new Told();
    told.put('a');
    told.put('a', { etag: 'copied' }, via('copy'));
    told.put('b', {}, via('post'));
    const amend = { type: 'amend', ref: objectRef('a'), versionId: null } as const;
    const rest = { condition: NO_CONDITION, bypass: false };
    told.do({ ...amend, ...rest, change: { type: 'tags', tags: [{ name: 'k', value: 'v' }] } });
    told.do({ ...amend, ...rest, change: { type: 'tags', tags: [] } }, via('untag'));
    told.do({ ...amend, ...rest, change: { type: 'acl', acl: 'public-read' } });
    told.remove('a');
    expect(brief(await told.waiting())).toEqual([
      ['ObjectCreated:Put', 'a', null, 'e-a'],
      ['ObjectCreated:Copy', 'a', null, 'copied'],
      ['ObjectCreated:Post', 'b', null, 'e-b'],
      ['ObjectTagging:Put', 'a', null, 'copied'],
      ['ObjectTagging:Delete', 'a', null, 'copied'],
      ['ObjectAcl:Put', 'a', null, 'copied'],
      ['ObjectRemoved:Delete', 'a', null, null],
    ]);
    const revisions = (await told.waiting()).map(({ revision }) => revision);
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
    expect((await told.waiting())[1]?.by).toEqual(via('copy'));
    // As many as there are changes: the rows came with them.
    expect((await told.totals()).get('webhook:a')).toMatchObject({
      waiting: 7,
      sent: 0,
      dropped: 0,
    });
  });

  it('says nothing of what was refused, was not there, or was done before', async () => {
    const told = new Told();
    told.remove('never');
    const absent = { match: null, noneMatch: ['*'] };
    const rest = { size: 0, checksum: null, head: NO_HEAD, data: null, ttlMs: null };
    const op: ObjectOp = {
      ...{ type: 'put', ref: objectRef('a'), etag: 'e', ...rest, condition: absent },
    };
    told.do(op);
    expect(told.do(op)?.type).toBe('precondition_failed');
    const lock = { type: 'legalHold', legalHold: true } as const;
    const amend = { type: 'amend', ref: objectRef('a'), versionId: null, change: lock } as const;
    expect(told.do({ ...amend, condition: NO_CONDITION, bypass: false })?.type).toBe(
      'lock_refused',
    );
    expect((await told.waiting()).length).toBe(1);
  });

  it('tells markers from deletions, and lifecycle rules from clients', async () => {
    const told = new Told({ versioning: 'enabled' });
    const one = told.put('a');
    const two = told.put('a');
    const versions = [one, two].map((put) => (put?.type === 'put' ? (put.versionId ?? '') : ''));
    const marker = told.remove('a');
    const markerId = marker?.type === 'deleted' ? (marker.versionId ?? '') : '';
    told.remove('a', markerId);
    const [oneAt, twoAt] = [one, two].map((put) => (put?.type === 'put' ? put.revision : 0));
    const expire = { type: 'expire', ref: objectRef('a'), newerNoncurrent: 0, dueMs: 0 } as const;
    // What came back when its marker went is a new row.
    const back = (await told.waiting()).at(-1)?.revision ?? 0;
    told.do({ ...expire, versionId: versions[0]!, seen: oneAt!, newer: twoAt! });
    const made = told.do({ ...expire, versionId: versions[1]!, seen: back, newer: 0 });
    expect(made).toMatchObject({ type: 'deleted', marker: true });
    const madeId = made?.type === 'deleted' ? (made.versionId ?? '') : '';
    told.remove('a', versions[1]!);
    const seen = made?.type === 'deleted' ? made.revision : 0;
    expect(told.do({ ...expire, versionId: madeId, seen, newer: 0 })?.type).toBe('deleted');
    expect(brief(await told.waiting()).slice(2)).toEqual([
      ['ObjectRemoved:DeleteMarkerCreated', 'a', markerId, null],
      ['ObjectRemoved:Delete', 'a', markerId, null],
      ['LifecycleExpiration:Delete', 'a', versions[0], null],
      ['LifecycleExpiration:DeleteMarkerCreated', 'a', madeId, null],
      ['ObjectRemoved:Delete', 'a', versions[1], null],
      ['LifecycleExpiration:Delete', 'a', madeId, null],
    ]);
  });

  it('tells of the end of a time to live', async () => {
    const told = new Told();
    const put = told.put('a', { ttlMs: 1_000 });
    const seen = put?.type === 'put' ? put.revision : 0;
    told.group.wallMs += 2_000;
    const keys = [{ ref: objectRef('a'), revision: seen }];
    told.group.apply({ type: 'expire', revision: told.group.nextRevision(), keys });
    expect(brief(await told.waiting()).at(-1)).toEqual([
      'LifecycleExpiration:Delete',
      'a',
      null,
      null,
    ]);
  });

  it('asks prefix, suffix and event of a rule, and gives each target rows of its own', async () => {
    const rules: NotificationRule[] = [
      { ...ALL, id: 'in', target: 'nats:s3.in', prefix: 'in/', suffix: '.jpg' },
      { ...ALL, id: 'gone', events: ['ObjectRemoved:Delete'] },
    ];
    const told = new Told({}, rules);
    for (const key of ['in/a.jpg', 'in/a.png', 'out/a.jpg']) {
      told.put(key);
      told.remove(key);
    }
    expect(brief(await told.waiting('nats:s3.in')).map(([event, key]) => [event, key])).toEqual([
      ['ObjectCreated:Put', 'in/a.jpg'],
      ['ObjectRemoved:Delete', 'in/a.jpg'],
    ]);
    expect((await told.waiting()).map(({ ref }) => ref.key)).toEqual([
      'in/a.jpg',
      'in/a.png',
      'out/a.jpg',
    ]);
  });

  it('N2 N4 gives up rows that an entry names, once, and counts them', async () => {
    const told = new Told();
    for (const key of ['a', 'b', 'c']) told.put(key);
    const [a, b] = (await told.rows()).map(({ at }) => at);
    const rows = [
      { ...a!, isDropped: false },
      { ...b!, isDropped: true },
    ];
    for (let i = 0; i < 2; i++) told.group.apply({ type: 'outboxTrim', target: 'webhook:a', rows });
    expect((await told.waiting()).map(({ ref }) => ref.key)).toEqual(['c']);
    const bytes = told.group.rowsOf('O')[0]?.[1].length;
    expect((await told.totals()).get('webhook:a')).toEqual({
      ...{ waiting: 1, waitingBytes: bytes, sent: 1, dropped: 1 },
    });
  });

  it('drops what finds no room, counts it, and does the change all the same', async () => {
    const told = new Told();
    const { state } = told.group;
    state.stageRow(
      outboxTotalsKey(state.prefix, 'webhook:a'),
      encodeCounts([LIMITS.notificationsWaitingMax - 1, 0, 0, 0]),
    );
    told.put('a');
    const before = await stateHash(state);
    expect(told.put('b')?.type).toBe('put');
    expect((await told.waiting()).map(({ ref }) => ref.key)).toEqual(['a']);
    expect((await told.totals()).get('webhook:a')).toMatchObject({ dropped: 1 });
    expect(await stateHash(state)).not.toBe(before);
  });

  it('one target may not take the room of the group, nor all of them more than there is', async () => {
    const told = new Told({}, [ALL, { ...ALL, id: 'other', target: 'webhook:b' }]);
    const { state } = told.group;
    const full = LIMITS.notificationTargetWaitingBytesMax;
    state.stageRow(outboxTotalsKey(state.prefix, 'webhook:a'), encodeCounts([1, full, 0, 0]));
    told.put('a');
    expect((await told.waiting('webhook:a')).length).toBe(0);
    expect((await told.waiting('webhook:b')).length).toBe(1);
    const all = LIMITS.notificationWaitingBytesMax;
    state.stageRow(outboxTotalsKey(state.prefix, ''), encodeCounts([1, all, 0, 0]));
    told.put('b');
    expect((await told.waiting('webhook:b')).length).toBe(1);
    expect((await told.totals()).get('webhook:b')).toMatchObject({ waiting: 1, dropped: 1 });
  });
});
