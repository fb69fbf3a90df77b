import { describe, expect, test } from 'vitest';
import type { Applied } from '../../../../actors/apply/apply.ts';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { dataRowCodec, decodeRow } from '../../../../actors/apply/object-codec.ts';
import { readObject, readRule } from '../../../../actors/apply/object-read.ts';
import { stateHash } from '../../../../actors/apply/state-hash.ts';
import { encodeConfig } from '../../../../protocol/membership.ts';
import {
  type BucketRule,
  type NewData,
  NO_CONDITION,
  type ObjectOp,
  type ObjectOpOf,
} from '../../../../protocol/object-ops.ts';
import { decodeRecord, NO_HEAD } from '../../../../protocol/objects.ts';
import type { ReplicaId } from '../../../../protocol/types.ts';
import { vshardOf } from '../../../../protocol/vshard.ts';
import { AppliedGroup } from '../../../kit/applied-group.ts';
import { objectRef, RULE, VOTERS } from '../../../kit/object-history.ts';

const DAY_MS = 24 * 3600 * 1000;
let drawn = 0;

function inline(group: AppliedGroup, text: string): NewData {
  const bytes = Buffer.from(text);
  return { id: idAt(group.wallMs), bytes: bytes.length, chunkBytes: 0, holders: [], inline: bytes };
}

function chunks(group: AppliedGroup, holders: readonly string[]): NewData {
  const held = holders as ReplicaId[];
  return {
    id: idAt(group.wallMs),
    bytes: 9_000_000,
    chunkBytes: 1 << 20,
    holders: held,
    inline: null,
  };
}

function idAt(wallMs: number): Buffer {
  const id = Buffer.alloc(16);
  id.writeUIntBE(wallMs, 0, 6);
  id.writeUInt32BE(++drawn, 12);
  return id;
}

function put(key: string, data: NewData | null, more: Partial<ObjectOpOf<'put'>> = {}): ObjectOp {
  return {
    ...{ type: 'put', ref: objectRef(key), size: data?.bytes ?? 0, etag: `e-${key}` },
    ...{ checksum: null, head: NO_HEAD, data, ttlMs: null, condition: NO_CONDITION },
    ...more,
  };
}

function remove(key: string, versionId: string | null = null): ObjectOp {
  return { type: 'delete', ref: objectRef(key), versionId, condition: NO_CONDITION, bypass: false };
}

interface Asked {
  readonly bucket?: number;
  readonly epoch?: number;
  readonly request?: { key: string; hash: number };
}

function ask(group: AppliedGroup, op: ObjectOp, asked: Asked = {}): Applied {
  const idempotency = asked.request && {
    key: asked.request.key,
    requestHash: new Uint8Array(32).fill(asked.request.hash),
  };
  return group.apply({
    ...{ type: 'object', revision: group.nextRevision(), epoch: asked.epoch ?? 1 },
    ...{ bucket: asked.bucket ?? 1, founders: VOTERS, op },
    ...{ idempotency: idempotency ?? null, traceparent: null },
  });
}

function bucketGroup(rule: Partial<BucketRule> = {}): AppliedGroup {
  const group = new AppliedGroup();
  group.apply({ type: 'bucket', rule: { ...RULE, ...rule } });
  return group;
}

describe('an operation on an object', () => {
  test('is refused where its vshard is not owned, before anything else', () => {
    const group = bucketGroup();
    const vshards = [...Array(256).keys()].filter((v) => v !== vshardOf(objectRef('a')));
    group.apply({ type: 'own', epoch: 2, vshards });
    const { object } = ask(group, put('a', null), { epoch: 2, bucket: 9 });
    expect(object).toEqual({ type: 'wrong_shard', epoch: 2 });
  });

  test('O2: names a bucket by an id that the group must have, and is not remembered without', () => {
    const group = new AppliedGroup();
    const request = { key: 'r', hash: 1 };
    const op = put('a', inline(group, 'x'));
    expect(ask(group, op, { request }).object).toEqual({ type: 'bucket_unknown', epoch: 0 });
    group.apply({ type: 'bucket', rule: RULE });
    expect(ask(group, op, { bucket: 2, request }).object).toEqual({
      type: 'bucket_unknown',
      epoch: 1,
    });
    expect(ask(group, op, { request })).toMatchObject({ object: { type: 'put' }, repeated: false });
    const again = ask(group, op, { request });
    expect(again).toMatchObject({ object: { type: 'put', size: 1 }, repeated: true, events: [] });
    expect(ask(group, op, { request: { key: 'r', hash: 2 } })).toMatchObject({
      ...{ rejection: 'idempotency_mismatch', object: null },
    });
  });

  test('O2: a late rule changes nothing, and versions cannot be forgotten', async () => {
    const group = bucketGroup({ versioning: 'enabled', epoch: 5 });
    group.apply({ type: 'bucket', rule: { ...RULE, epoch: 4, versioning: 'suspended' } });
    group.apply({ type: 'bucket', rule: { ...RULE, epoch: 6, versioning: 'off' } });
    const view = group.state.view();
    expect(readRule(view, RULE.tenant, RULE.name)).toMatchObject({
      epoch: 6,
      versioning: 'suspended',
    });
    await view.close();
  });

  test('W5: waits for a prepared transaction that has its key', () => {
    const group = bucketGroup();
    const ref = objectRef('a');
    const body = { compares: [], then: [{ type: 'get' as const, ref }], otherwise: null };
    const id = { home: 2, term: 1, start: group.nextRevision() };
    const part = { body, comparesAt: [], thenAt: [0], otherwiseAt: [] };
    const revision = group.nextRevision();
    group.apply({ type: 'txnPrepare', revision, epoch: 1, id, part, indexEpoch: 0 });
    expect(ask(group, put('a', null))).toMatchObject({ rejection: 'locked', object: null });
    expect(ask(group, put('b', null)).object).toMatchObject({ type: 'put' });
  });

  test('O3: of two that want the key to be absent one wins', () => {
    const group = bucketGroup();
    const absent = { condition: { match: null, noneMatch: ['*'] } };
    expect(ask(group, put('lock', inline(group, '1'), absent)).object).toMatchObject({
      type: 'put',
    });
    const second = ask(group, put('lock', inline(group, '2'), absent));
    expect(second.object).toEqual({ type: 'precondition_failed', etag: 'e-lock' });
    expect(second.events).toEqual([]);
  });

  test('a bucket that is being deleted takes nothing new, and lets go', () => {
    const group = bucketGroup({ versioning: 'enabled' });
    const first = ask(group, put('a', inline(group, '1'))).object;
    group.apply({
      type: 'bucket',
      rule: { ...RULE, versioning: 'enabled', epoch: 2, state: 'deleting' },
    });
    expect(ask(group, put('b', null)).object).toEqual({ type: 'no_such_bucket' });
    expect(ask(group, remove('a')).object).toEqual({ type: 'no_such_bucket' });
    const versionId = first?.type === 'put' ? first.versionId : null;
    expect(ask(group, remove('a', versionId)).object).toMatchObject({ type: 'deleted' });
    expect(group.rowsOf('c')).toEqual([]);
  });
});

describe('versions', () => {
  test('O1: deleting the marker, or the current version, brings the one below back as it was put', () => {
    const group = bucketGroup({ versioning: 'enabled' });
    const one = ask(group, put('a', inline(group, '1'), { etag: 'e1' })).object;
    const two = ask(group, put('a', inline(group, '2'), { etag: 'e2' })).object;
    const marker = ask(group, remove('a'));
    expect(marker.object).toMatchObject({ type: 'deleted', marker: true });
    expect(marker.events.map(({ kind }) => kind)).toEqual(['delete']);
    if (one?.type !== 'put' || two?.type !== 'put' || marker.object?.type !== 'deleted')
      throw new Error();
    const back = ask(group, remove('a', marker.object.versionId));
    expect(back.object).toMatchObject({ type: 'deleted', marker: true });
    expect(recordOf(back)).toMatchObject({ etag: 'e2', putAt: two.revision });
    const below = ask(group, remove('a', two.versionId));
    expect(recordOf(below)).toMatchObject({ etag: 'e1', putAt: one.revision });
    const last = ask(group, remove('a', one.versionId));
    expect(last.events.map(({ kind }) => kind)).toEqual(['delete']);
    expect([...group.rowsOf('n'), ...group.rowsOf('N'), ...group.rowsOf('c')]).toEqual([]);
  });

  test('suspended: the null version is replaced, others stay', () => {
    const group = bucketGroup();
    ask(group, put('a', inline(group, 'null 1')));
    group.apply({ type: 'bucket', rule: { ...RULE, epoch: 2, versioning: 'enabled' } });
    ask(group, put('a', inline(group, 'v')));
    group.apply({ type: 'bucket', rule: { ...RULE, epoch: 3, versioning: 'suspended' } });
    expect(group.rowsOf('n')).toHaveLength(1);
    const put2 = ask(group, put('a', inline(group, 'null 2')));
    expect(put2.object).toMatchObject({ type: 'put', versionId: 'null' });
    expect(group.rowsOf('n')).toHaveLength(1);
    expect(ask(group, remove('a')).object).toMatchObject({ versionId: 'null', marker: true });
    expect(group.rowsOf('n')).toHaveLength(2);
    expect(liveData(group)).toBe(1);
  });

  function recordOf({ events }: Applied) {
    expect(events.map(({ kind }) => kind)).toEqual(['put']);
    return decodeRecord(events[0]?.item?.value as Uint8Array);
  }
});

describe('object lock', () => {
  const locked = { versioning: 'enabled', objectLock: true } as const;

  test('O5: the default retention is counted from the put, and governance gives way to a bypass only', () => {
    const group = bucketGroup({ ...locked, retention: { mode: 'governance', periodMs: 60_000 } });
    const done = ask(group, put('a', inline(group, '1'))).object;
    if (done?.type !== 'put') throw new Error();
    const destroy = remove('a', done.versionId);
    const refused = ask(group, destroy).object;
    expect(refused).toEqual({
      ...{ type: 'object_locked', legalHold: false },
      retention: { mode: 'governance', untilMs: group.wallMs + 60_000 },
    });
    expect(ask(group, remove('a')).object).toMatchObject({ marker: true });
    group.wallMs += 60_000;
    expect(ask(group, destroy).object).toMatchObject({ type: 'deleted' });
    const other = ask(group, put('b', inline(group, '1'))).object;
    const versionId = other?.type === 'put' ? other.versionId : null;
    const bypassed = ask(group, {
      ...(remove('b', versionId) as ObjectOpOf<'delete'>),
      bypass: true,
    });
    expect(bypassed.object).toMatchObject({ type: 'deleted', versionId });
  });

  test('O5: governance becomes compliance with a bypass only, and compliance nothing else', () => {
    const group = bucketGroup(locked);
    const untilMs = group.wallMs + 10_000;
    const head = { ...NO_HEAD, retention: { mode: 'governance' as const, untilMs } };
    const done = ask(group, put('a', inline(group, '1'), { head })).object;
    const versionId = done?.type === 'put' ? done.versionId : null;
    const become = (mode: 'governance' | 'compliance', later: number, bypass: boolean) =>
      ask(group, {
        ...{ type: 'amend', ref: objectRef('a'), versionId, condition: NO_CONDITION, bypass },
        change: { type: 'retention', retention: { mode, untilMs: untilMs + later } },
      }).object?.type;
    expect(become('governance', 1, false)).toBe('amended');
    expect(become('compliance', 2, false)).toBe('object_locked');
    expect(become('compliance', 2, true)).toBe('amended');
    expect(become('governance', 3, true)).toBe('object_locked');
    expect(become('compliance', 3, false)).toBe('amended');
  });

  test('O5: compliance is never shortened, a legal hold holds without an end', () => {
    const group = bucketGroup(locked);
    const untilMs = group.wallMs + 10_000;
    const head = { ...NO_HEAD, retention: { mode: 'compliance' as const, untilMs } };
    const done = ask(group, put('a', inline(group, '1'), { head })).object;
    const versionId = done?.type === 'put' ? done.versionId : null;
    const amend = (change: ObjectOpOf<'amend'>['change']) =>
      ask(group, {
        ...{ type: 'amend', ref: objectRef('a'), versionId, change },
        ...{ condition: NO_CONDITION, bypass: true },
      }).object;
    const shorter = { mode: 'compliance' as const, untilMs: untilMs - 1 };
    expect(amend({ type: 'retention', retention: shorter })).toMatchObject({
      type: 'object_locked',
    });
    expect(amend({ type: 'retention', retention: null })).toMatchObject({ type: 'object_locked' });
    expect(amend({ type: 'legalHold', legalHold: true })).toMatchObject({
      type: 'amended',
      versionId,
    });
    group.wallMs = untilMs;
    expect(ask(group, remove('a', versionId)).object).toMatchObject({ legalHold: true });
    expect(amend({ type: 'legalHold', legalHold: false })).toMatchObject({ type: 'amended' });
    expect(ask(group, remove('a', versionId)).object).toMatchObject({ type: 'deleted', versionId });
  });

  test('O5: what can be locked cannot expire', () => {
    const group = bucketGroup(locked);
    expect(ask(group, put('a', null, { ttlMs: 5 })).object).toEqual({ type: 'ttl_refused' });
    const plain = bucketGroup();
    const head = { ...NO_HEAD, legalHold: true };
    expect(ask(plain, put('a', null, { head })).object).toEqual({
      ...{ type: 'lock_refused', why: 'no_object_lock' },
    });
  });
});

describe('data', () => {
  test('O7: chunks need a quorum of the voters of the entry, of both halves of a joint configuration', () => {
    const group = bucketGroup();
    const few = chunks(group, ['n1:aa', 'n9:zz']);
    expect(ask(group, put('a', few)).object).toEqual({ type: 'copies_missing', voters: VOTERS });
    expect(ask(group, put('a', chunks(group, ['n1:aa', 'n3:cc']))).object).toMatchObject({
      type: 'put',
    });
    const voters = ['n2:bb', 'n3:cc', 'n4:dd'] as ReplicaId[];
    group.configure(encodeConfig({ voters, votersOld: VOTERS, learners: [] }));
    const all = [...new Set([...voters, ...VOTERS])];
    for (const holders of [
      ['n1:aa', 'n2:bb'],
      ['n3:cc', 'n4:dd'],
    ]) {
      const { object } = ask(group, put('b', chunks(group, holders)));
      expect(object).toEqual({ type: 'copies_missing', voters: all });
    }
    expect(ask(group, put('b', chunks(group, ['n2:bb', 'n3:cc']))).object).toMatchObject({
      type: 'put',
    });
  });

  test('O7: an old id, and one ahead of the time, are not named', () => {
    const group = bucketGroup();
    const old = inline(group, 'x');
    group.wallMs += DAY_MS - 1;
    expect(ask(group, put('a', old)).object).toMatchObject({ type: 'put' });
    const older = { ...inline(group, 'y'), id: idAt(group.wallMs - DAY_MS) };
    expect(ask(group, put('b', older)).object).toEqual({ type: 'data_stale' });
    const ahead = { ...inline(group, 'y'), id: idAt(group.wallMs + DAY_MS) };
    expect(ask(group, put('b', ahead)).object).toEqual({ type: 'data_stale' });
  });

  test('O6, O8: one name at a time; ended data stays until the floor has passed its end', async () => {
    const group = bucketGroup();
    const data = inline(group, 'bytes');
    ask(group, put('a', data));
    expect(ask(group, put('b', data)).object).toEqual({ type: 'data_taken' });
    expect(ask(group, put('a', data)).object).toEqual({ type: 'data_taken' });
    const { clock: ended } = ask(group, remove('a'));
    const row = decodeRow(dataRowCodec, group.rowsOf('D')[0]?.[1] as Uint8Array);
    expect(row).toMatchObject({ endedAt: ended, bytes: 5 });
    group.compact(ended);
    while ((await gcStep(group.state, 10)) > 0);
    expect(group.rowsOf('I')).toHaveLength(1);
    const view = group.state.view();
    expect(await readObject(view, objectRef('a'), ended)).toEqual({ type: 'none', marker: null });
    await view.close();
    ask(group, remove('a'));
    group.wallMs += 1;
    ask(group, remove('a'));
    group.compact(ended + 1);
    const before = await stateHash(group.state);
    while ((await gcStep(group.state, 10)) > 0);
    expect(await stateHash(group.state)).toBe(before);
    expect([...group.rowsOf('D'), ...group.rowsOf('I'), ...group.rowsOf('E')]).toEqual([]);
  });

  test('O8: data that is named anew after its end is kept', async () => {
    const group = bucketGroup();
    const data = inline(group, 'bytes');
    ask(group, put('a', data));
    const { clock: ended } = ask(group, remove('a'));
    expect(ask(group, put('b', data)).object).toMatchObject({ type: 'put' });
    group.compact(ended + 1);
    while ((await gcStep(group.state, 10)) > 0);
    expect(liveData(group)).toBe(1);
    expect(group.rowsOf('I')).toHaveLength(1);
    expect(group.rowsOf('E')).toEqual([]);
  });

  test('O4: what expires ends its data, by the leader or by what takes its place', () => {
    const group = bucketGroup();
    const { revision: seen } = ask(group, put('a', inline(group, '1'), { ttlMs: 5 })).object as {
      revision: number;
    };
    ask(group, put('b', inline(group, '2'), { ttlMs: 5 }));
    group.wallMs += 5;
    const keys = [{ ref: objectRef('a'), revision: seen }];
    const expired = group.apply({ type: 'expire', revision: group.nextRevision(), keys });
    expect(expired.events.map(({ kind }) => kind)).toEqual(['expire']);
    expect(liveData(group)).toBe(1);
    const absent = { condition: { match: null, noneMatch: ['*'] } };
    expect(ask(group, put('b', inline(group, '3'), absent)).object).toMatchObject({ type: 'put' });
    expect(liveData(group)).toBe(1);
    expect(group.state.keyCount).toBe(1);
  });
});

function liveData(group: AppliedGroup): number {
  return group.rowsOf('D').filter(([, row]) => decodeRow(dataRowCodec, row).endedAt === 0).length;
}
