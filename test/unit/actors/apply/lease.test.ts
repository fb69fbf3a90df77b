import { describe, expect, it } from 'vitest';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { GroupState } from '../../../../actors/apply/group-state.ts';
import { nextDetach, readAttached, readLease, readLeases } from '../../../../actors/apply/lease.ts';
import { readLatest } from '../../../../actors/apply/read.ts';
import { loadSnapshot, snapshotRows } from '../../../../actors/apply/snapshot-rows.ts';
import { stateHash } from '../../../../actors/apply/state-hash.ts';
import { utf8 } from '../../../../protocol/bytes.ts';
import type { LeaseEnd, WriteOp } from '../../../../protocol/commands.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { Compare, TxnBody, TxnOp } from '../../../../protocol/txn.ts';
import { AppliedGroup, del, GROUP, put, ref } from '../../../kit/applied-group.ts';

/** A put under a promise that reaches so far beyond its own revision. */
function attached(group: AppliedGroup, key: string, lease: number, ahead = 0): WriteOp {
  const op = put(key, 'v');
  if (op.type !== 'put') throw new Error('no put');
  return { ...op, attach: { lease, until: group.nextRevision() + ahead } };
}

function grant(group: AppliedGroup, lease: number, ttlMs = 10_000) {
  const revision = group.nextRevision();
  return group.apply({ type: 'leaseGrant', revision, epoch: group.state.epoch, lease, ttlMs });
}

function end(group: AppliedGroup, leases: number[], why: LeaseEnd = 'expired') {
  const revision = group.nextRevision();
  const ended = leases.map((lease) => ({ lease, why }));
  return group.apply({ type: 'leaseEnd', revision, leases: ended });
}

async function detach(group: AppliedGroup, lease: number, why: LeaseEnd = 'expired') {
  const view = group.state.view();
  const { keys } = await nextDetach(view, [{ lease, why }]);
  await view.close();
  return group.apply({ type: 'detach', revision: group.nextRevision(), keys });
}

async function keysOf(group: AppliedGroup, lease: number, tenant = 't1'): Promise<string[]> {
  const view = group.state.view();
  const { keys } = await readAttached(view, lease, 100, tenant);
  await view.close();
  return keys.map(({ key }) => key);
}

describe('a lease in its home group', () => {
  it('lives from its grant until an entry ends it, whatever the time', () => {
    const group = new AppliedGroup();
    const { results } = grant(group, 7, 1_000);
    expect(results).toEqual([{ type: 'put', ...once(results[0]) }]);
    group.wallMs += 3_600_000;
    expect(readLease(group.state, 7)).toMatchObject({ ttlMs: 1_000, endRevision: 0 });
    const ended = end(group, [7, 8]);
    expect(ended.results).toEqual([
      { type: 'deleted', deleted: true, revision: ended.clock },
      { type: 'deleted', deleted: false, revision: 0 },
    ]);
    expect(readLease(group.state, 7)).toMatchObject({ endRevision: ended.clock, why: 'expired' });
  });

  it('L1 never lives again: a grant, another end and a repeated end change nothing', () => {
    const group = new AppliedGroup();
    grant(group, 7);
    const { clock } = end(group, [7], 'revoked');
    expect(grant(group, 7).results).toEqual([{ type: 'lease_stale', revision: 0 }]);
    expect(end(group, [7]).results).toEqual([{ type: 'deleted', deleted: false, revision: clock }]);
    expect(readLease(group.state, 7)).toMatchObject({ endRevision: clock, why: 'revoked' });
  });

  it('granted again by the same request is the same lease; another length is refused', () => {
    const group = new AppliedGroup();
    const { results } = grant(group, 7, 5_000);
    expect(grant(group, 7, 5_000).results).toEqual(results);
    expect(grant(group, 7, 6_000).results).toMatchObject([{ type: 'precondition_failed' }]);
  });

  it('is of the tenant that it was granted to, and to another its id is taken', () => {
    const group = new AppliedGroup();
    const ask = (lease: number, tenant?: string) =>
      group.apply({
        ...{ type: 'leaseGrant', revision: group.nextRevision(), epoch: group.state.epoch },
        ...{ lease, ttlMs: 5_000, ...(tenant === undefined ? {} : { tenant }) },
      }).results;
    const granted = ask(7, 'acme');
    expect(readLease(group.state, 7)).toMatchObject({ tenant: 'acme', endRevision: 0 });
    expect(ask(7, 'acme')).toEqual(granted);
    for (const other of ['other', undefined]) {
      expect(ask(7, other)).toMatchObject([{ type: 'precondition_failed' }]);
    }
    // An entry from before there were tenants says none: it is of the cluster's own.
    ask(8);
    expect(readLease(group.state, 8)).toMatchObject({ tenant: 'default' });
    end(group, [7], 'revoked');
    expect(ask(7, 'other')).toMatchObject([{ type: 'precondition_failed' }]);
    expect(ask(7, 'acme')).toEqual([{ type: 'lease_stale', revision: 0 }]);
    expect(readLease(group.state, 7)).toMatchObject({ tenant: 'acme', why: 'revoked' });
  });

  it('is forgotten only after its end', () => {
    const group = new AppliedGroup();
    grant(group, 7);
    group.apply({ type: 'leaseForget', leases: [7] });
    expect(readLease(group.state, 7)).not.toBeNull();
    end(group, [7]);
    group.apply({ type: 'leaseForget', leases: [7, 9] });
    expect(readLease(group.state, 7)).toBeNull();
    expect(group.rowsOf('l')).toEqual([]);
  });

  it('L1 never lives again when it is forgotten either, for as long as requests are remembered', async () => {
    const group = new AppliedGroup();
    grant(group, 7);
    end(group, [7]);
    group.apply({ type: 'leaseForget', leases: [7] });
    expect(grant(group, 7).results).toEqual([{ type: 'lease_stale', revision: 0 }]);
    expect(readLease(group.state, 7)).toBeNull();
    group.wallMs += LIMITS.idempotencyWindowMs + 1_000;
    grant(group, 8);
    expect(await gcStep(group.state, 100)).toBeGreaterThan(0);
    expect([...group.rowsOf('i'), ...group.rowsOf('j')]).toEqual([]);
    expect(grant(group, 7).results).toMatchObject([{ type: 'put' }]);
  });

  it('is granted only where its id is at home', () => {
    const group = new AppliedGroup();
    group.apply({ type: 'own', epoch: 2, vshards: [] });
    expect(grant(group, 7).results).toEqual([{ type: 'wrong_shard', epoch: 2 }]);
  });

  it('is listed by id', async () => {
    const group = new AppliedGroup();
    for (const lease of [300, 5, 0x1f_ffff_ffff_ffff]) grant(group, lease);
    const view = group.state.view();
    const ids = async (after: number, limit: number) =>
      (await readLeases(view, after, limit)).map(({ lease }) => lease);
    expect(await ids(0, 10)).toEqual([5, 300, 0x1f_ffff_ffff_ffff]);
    expect(await ids(5, 1)).toEqual([300]);
    await view.close();
  });
});

describe('keys that are attached', () => {
  it('L2 know their lease, and are found by it until they are written or removed', async () => {
    const group = new AppliedGroup();
    group.write([attached(group, 'a', 7), attached(group, 'b', 7, 1), attached(group, 'c', 8, 2)]);
    expect(readLatest(group.state, ref('a'), null)).toMatchObject({ lease: 7 });
    expect(await keysOf(group, 7)).toEqual(['a', 'b']);
    // To another tenant nothing is attached to it, and that is all there is.
    for (const other of ['t2', 'default']) expect(await keysOf(group, 7, other)).toEqual([]);
    const view = group.state.view();
    expect(await readAttached(view, 7, 1, 't2')).toEqual({ keys: [], isAll: true });
    expect(await readAttached(view, 7, 1, 't1')).toMatchObject({ isAll: false });
    await view.close();
    group.write([put('a', 'plain')]);
    group.write([attached(group, 'b', 8)]);
    expect(await keysOf(group, 7)).toEqual([]);
    expect(await keysOf(group, 8)).toEqual(['b', 'c']);
    group.write([del('b')]);
    expect(await keysOf(group, 8)).toEqual(['c']);
    expect(group.rowsOf('a')).toHaveLength(1);
  });

  it('go with it: expire events for one that expired, delete for one that was revoked', async () => {
    for (const [why, kind] of [
      ['expired', 'expire'],
      ['revoked', 'delete'],
    ] as const) {
      const group = new AppliedGroup();
      group.write([attached(group, 'a', 7), attached(group, 'b', 7, 1), put('c', 'stays')]);
      const { events } = await detach(group, 7, why);
      expect(events.map((event) => `${event.kind} ${event.ref.key}`)).toEqual([
        `${kind} a`,
        `${kind} b`,
      ]);
      expect(readLatest(group.state, ref('a'), null)).toBeNull();
      expect(readLatest(group.state, ref('c'), null)).not.toBeNull();
      expect(group.rowsOf('a')).toEqual([]);
      expect(group.state.keyCount).toBe(1);
    }
  });

  it('L3 stay when they were written since, attached anew or not', async () => {
    const group = new AppliedGroup();
    group.write([attached(group, 'a', 7), attached(group, 'b', 7, 1)]);
    const view = group.state.view();
    const { keys } = await nextDetach(view, [{ lease: 7, why: 'expired' }]);
    await view.close();
    group.write([put('a', 'mine'), attached(group, 'b', 8, 1)]);
    expect(group.apply({ type: 'detach', revision: group.nextRevision(), keys }).events).toEqual(
      [],
    );
    expect(readLatest(group.state, ref('a'), null)).not.toBeNull();
    expect(await keysOf(group, 8)).toEqual(['b']);
  });

  it('W4 are refused behind the promise, with all of their command, and nothing is remembered', () => {
    const group = new AppliedGroup();
    const request = { key: 'r', hash: 1 };
    const late = attached(group, 'a', 7, -1);
    const { results, events } = group.write([put('x', '1'), late], request);
    const revision = group.state.clock - 1;
    expect(results).toEqual(Array(2).fill({ type: 'lease_stale', revision }));
    expect(events).toEqual([]);
    expect(readLatest(group.state, ref('x'), null)).toBeNull();
    // The very next revision is one too many; the promised one is not.
    const just = group.write([attached(group, 'a', 7, 0)], request);
    expect(just.results).toMatchObject([{ type: 'put' }]);
    expect(just.repeated).toBe(false);
    expect(group.write([attached(group, 'a', 7, -1)], request)).toMatchObject({ repeated: true });
  });

  it('of a lease that is not there are refused alone, and a repeat hears the same', () => {
    const group = new AppliedGroup();
    const request = { key: 'r', hash: 1 };
    const op = put('a', 'v') as Extract<WriteOp, { type: 'put' }>;
    const ops = [put('x', '1'), { ...op, attach: { lease: 7, until: 0 } }];
    const first = group.write(ops, request);
    expect(first.results).toMatchObject([{ type: 'put' }, { type: 'lease_stale', revision: 0 }]);
    expect(group.write(ops, request)).toMatchObject({ results: first.results, repeated: true });
  });

  it('one step takes what fits an entry and says whether that is all', async () => {
    const group = new AppliedGroup();
    for (let i = 0; i < 150; i++) {
      group.write([attached(group, `${i}`.padStart(4_000, 'k'), 7)]);
    }
    group.write([attached(group, 'z', 8)]);
    let steps = 0;
    for (let isAll = false; !isAll; steps++) {
      const view = group.state.view();
      const why = 'expired' as const;
      const next = await nextDetach(view, [
        { lease: 7, why },
        { lease: 8, why },
      ]);
      await view.close();
      isAll = next.isAll;
      group.apply({ type: 'detach', revision: group.nextRevision(), keys: next.keys });
    }
    expect(steps).toBe(3);
    expect(group.state.keyCount).toBe(0);
  });

  it('one step takes away no more bytes than a batch may hold, however large values are', async () => {
    const group = new AppliedGroup();
    const value = 'v'.repeat(700_000);
    for (let i = 0; i < 60; i++) {
      group.write([{ ...attached(group, `k${i}`, 7), value: utf8(value) } as WriteOp]);
    }
    expect(await keysOf(group, 7)).toHaveLength(60);
    let steps = 0;
    for (; group.state.keyCount > 0; steps++) {
      const { events } = await detach(group, 7);
      const bytes = events.reduce((sum, { prev }) => sum + (prev?.value.length ?? 0), 0);
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThanOrEqual(LIMITS.memtableBytesMax / 2);
    }
    expect(steps).toBe(3);
  });
});

describe('leases and replicas', () => {
  it('are in snapshots and in the hash that replicas must agree on', async () => {
    const group = new AppliedGroup();
    grant(group, 7);
    group.write([attached(group, 'a', 7)]);
    const before = await stateHash(group.state);
    const other = new AppliedGroup();
    const view = group.state.view();
    await loadSnapshot(other.store, GROUP, snapshotRows(view));
    await view.close();
    const loaded = GroupState.open(other.store, GROUP);
    expect(await stateHash(loaded)).toBe(before);
    expect(readLease(loaded, 7)).toEqual(readLease(group.state, 7));
    end(group, [7]);
    expect(await stateHash(group.state)).not.toBe(before);
  });
});

function once(result: unknown): object {
  const { revision } = result as { revision: number };
  return { revision, createRevision: revision, version: 1 };
}

describe('a transaction of one entry', () => {
  const attach = (key: string, until: number): TxnOp => {
    const rest = { value: Buffer.from('v'), contentType: null, ttlMs: null };
    return { type: 'put', ref: ref(key), ...rest, attach: { lease: 7, until } };
  };
  const exists = (key: string, wanted: boolean): Compare => ({
    ...{ ref: ref(key), relation: '=', target: { type: 'exists', exists: wanted } },
  });
  const apply = (group: AppliedGroup, body: Partial<TxnBody>, key: string | null = null) => {
    const revision = group.nextRevision();
    const whole = { compares: [], then: [], otherwise: null, ...body };
    const idempotency = key === null ? null : { key, requestHash: new Uint8Array(32) };
    const request = { idempotency, traceparent: null };
    const { epoch } = group.state;
    return group.apply({ type: 'txn', revision, epoch, body: whole, ...request }).txn;
  };

  it('T5 attaches up to its promise, and beyond it does nothing at all', async () => {
    const group = new AppliedGroup();
    const until = group.nextRevision();
    expect(apply(group, { then: [attach('a', until), attach('b', until + 9)] })).toMatchObject({
      ...{ type: 'done', outcome: { succeeded: true, revision: until } },
    });
    expect(await keysOf(group, 7)).toEqual(['a', 'b']);
    const late = apply(group, { then: [attach('c', until + 99), attach('d', until)] });
    expect(late).toEqual({ type: 'leaseStale', revision: group.state.clock });
    const gone = apply(group, { then: [attach('c', until), attach('d', 0)] });
    expect(gone).toMatchObject({ type: 'done', outcome: { refused: { type: 'leaseGone' } } });
    expect(await keysOf(group, 7)).toEqual(['a', 'b']);
    expect(readLatest(group.state, ref('c'), null)).toBeNull();
  });

  it('T5 looks only at the branch that is done, and remembers that a lease was not there', () => {
    const group = new AppliedGroup();
    const ahead = group.nextRevision() + 1_000;
    const body = {
      ...{ compares: [exists('a', true)], then: [attach('a', 0)] },
      otherwise: [attach('b', ahead)],
    };
    expect(apply(group, body)).toMatchObject({ type: 'done', outcome: { succeeded: false } });
    group.write([put('a', 'there')]);
    const late = { ...body, then: [attach('a', 1)] };
    expect(apply(group, late, 'k')).toEqual({ type: 'leaseStale', revision: group.state.clock });
    const gone = { type: 'done', outcome: { succeeded: false, refused: { type: 'leaseGone' } } };
    expect(apply(group, body, 'k')).toMatchObject(gone);
    const again = { ...body, then: [attach('a', ahead)] };
    expect(apply(group, again, 'k')).toMatchObject(gone);
    expect(apply(group, again, 'k2')).toMatchObject({ type: 'done', outcome: { succeeded: true } });
    // Done before: the same answer, whatever has become of the lease.
    expect(apply(group, body, 'k2')).toMatchObject({ type: 'done', outcome: { succeeded: true } });
  });

  it('T2 what is prepared and compares an attached key keeps it from being removed until its end', async () => {
    const group = new AppliedGroup();
    group.write([attached(group, 'a', 7)]);
    const id = { home: GROUP, term: 1, start: group.nextRevision() };
    const body = { compares: [exists('a', true)], then: [], otherwise: null };
    const part = { body, comparesAt: [0], thenAt: [], otherwiseAt: [] };
    const revision = group.nextRevision();
    const { epoch } = group.state;
    group.apply({ type: 'txnPrepare', revision, epoch, id, part, indexEpoch: 0 });
    expect((await detach(group, 7)).events).toEqual([]);
    expect(await keysOf(group, 7)).toEqual(['a']);
    const fate = { commitRevision: 0, succeeded: false };
    group.apply({ type: 'txnResolve', ends: [{ id, fate, removed: [] }] });
    expect((await detach(group, 7)).events).toHaveLength(1);
    expect(await keysOf(group, 7)).toEqual([]);
  });
});
