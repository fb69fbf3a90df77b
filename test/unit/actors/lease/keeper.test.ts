import { describe, expect, it } from 'vitest';
import { readLease } from '../../../../actors/apply/lease.ts';
import { promiseEnd } from '../../../../protocol/lease.ts';
import { REVISIONS_PER_MS, revisionAtWallMs } from '../../../../protocol/revision.ts';
import type { TxnOp } from '../../../../protocol/txn.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { settle } from '../../../kit/hand-clock.ts';
import { LeaseWorld } from '../../../kit/lease-world.ts';

describe('a grant', () => {
  it('is refused where there is no room for what clients write', async () => {
    const world = new LeaseWorld();
    await world.grant(7);
    world.replica.behind = true;
    await world.grant(8);
    expect(world.answer()).toMatchObject({ type: 'Rejected', code: 'overloaded', definite: true });
    world.replica.behind = false;
    const { health } = world.replica.ports.storage;
    Object.assign(health, { refusesWrites: () => true, trouble: () => 'full' });
    await world.grant(9);
    expect(world.answer()).toMatchObject({ code: 'storage_full', definite: true });
    expect([8, 9].map((lease) => readLease(world.replica.state, lease))).toEqual([null, null]);
    // What is there lives on, and can end.
    world.check('renew');
    await world.confirm();
    expect(world.answer()).toMatchObject({ type: 'Lease' });
    await world.pass(3_000);
    expect(world.ends()).toEqual([7]);
  });
});

describe('the time of a lease', () => {
  it('is proposed to be over when nobody renews it, once', async () => {
    const world = new LeaseWorld();
    await world.grant();
    expect(world.answer()).toMatchObject({ type: 'Lease', lease: { lease: 7, ttlMs: 1_000 } });
    await world.pass(950);
    expect(world.ends()).toEqual([]);
    await world.pass(2_000);
    expect(world.ends()).toEqual([7]);
    world.commitAll();
    expect(world.keeper.ended()).toMatchObject([{ lease: 7, why: 'expired' }]);
    world.check('look');
    await world.confirm();
    expect(world.answer()).toMatchObject({ type: 'Rejected', code: 'lease_not_found' });
  });

  it('K2 begins anew with a renewal, which counts only when leadership is confirmed', async () => {
    const world = new LeaseWorld();
    await world.grant();
    await world.pass(800);
    world.check('renew');
    expect(world.answers).toHaveLength(1);
    await world.confirm();
    expect(world.answer()).toMatchObject({ lease: { remainingMs: 1_000 } });
    await world.pass(950);
    expect(world.ends()).toEqual([]);
    world.check('renew');
    world.replica.leads = false;
    await world.confirm();
    expect(world.answer()).toMatchObject({ code: 'not_leader' });
  });

  it('B20 is whole again under a new leader, which extends and never shortens', async () => {
    const world = new LeaseWorld();
    await world.grant();
    await world.pass(900);
    world.takeOver();
    await world.pass(50);
    await world.confirm();
    await world.pass(900);
    expect(world.ends()).toEqual([]);
    await world.pass(200);
    expect(world.ends()).toEqual([7]);
  });

  it('K1 nothing is answered before the leases of earlier leaders are known', async () => {
    const world = new LeaseWorld();
    await world.grant();
    world.answer();
    world.takeOver();
    world.check('look');
    world.check('look', 8);
    expect(world.answers).toEqual([]);
    await world.confirm();
    await world.confirm();
    expect(world.answers.map((body) => body.type)).toEqual(['Lease', 'Rejected']);
  });

  it('an untrusted clock ends nothing: the end would need a revision', async () => {
    const world = new LeaseWorld();
    await world.grant();
    world.replica.trusted = false;
    await world.pass(3_000);
    expect(world.ends()).toEqual([]);
  });

  it('a follower ends nothing', async () => {
    const world = new LeaseWorld();
    await world.grant();
    world.replica.leads = false;
    await world.pass(5_000);
    expect(world.ends()).toEqual([]);
    expect(world.keeper.ended()).toEqual([]);
  });
});

describe('a revoke', () => {
  it('that is asked for again is done; of a lease that has expired there is nothing to revoke', async () => {
    const world = new LeaseWorld();
    await world.grant(7);
    const revoke = async (lease: number) => {
      world.ask({ type: 'LeaseRevoke', epoch: 1, lease });
      await world.confirm();
      world.commitAll();
      return world.answer();
    };
    const done = await revoke(7);
    expect(done).toMatchObject({ type: 'Done', revision: expect.any(Number) });
    expect(await revoke(7)).toEqual(done);
    await world.grant(8, 1_000);
    await world.pass(1_200);
    world.commitAll();
    expect(readLease(world.replica.state, 8)).toMatchObject({ why: 'expired' });
    expect(await revoke(8)).toMatchObject({ type: 'Rejected', code: 'lease_not_found' });
  });
});

describe('while the end of a lease is on its way', () => {
  it('K3 nothing is said of it; then what has become of it', async () => {
    const world = new LeaseWorld();
    await world.grant();
    world.answer();
    await world.pass(1_200);
    for (const purpose of ['look', 'renew', 'attach'] as const) world.check(purpose);
    world.ask({ type: 'LeaseRevoke', epoch: 1, lease: 7 });
    await world.confirm();
    expect(world.answers).toEqual([]);
    world.replica.end({ type: 'refused', reason: 'overloaded' });
    await world.confirm();
    world.commitAll();
    await world.confirm();
    expect(world.answers.map((body) => body.type).sort()).toContain('Done');
    expect(readLease(world.replica.state, 7)).toMatchObject({ why: 'revoked' });
  });

  it('a proposal nobody knows the end of: all is loaded again', async () => {
    const world = new LeaseWorld();
    await world.grant();
    await world.pass(1_200);
    world.replica.end({ type: 'unknown' });
    await world.pass(50);
    await world.confirm();
    await world.pass(900);
    expect(world.ends()).toEqual([]);
    await world.pass(300);
    expect(world.ends()).toEqual([7]);
  });
});

describe('promises', () => {
  it('K4 wait for a committed bound, and the end of the lease comes above them', async () => {
    const world = new LeaseWorld();
    await world.grant(7, 60_000);
    world.answer();
    world.clock.nowMs += 10;
    world.check('attach');
    await world.confirm();
    expect(world.answers).toEqual([]);
    const asked = revisionAtWallMs(world.clock.wallMs());
    world.commitAll();
    expect(world.answer()).toMatchObject({ type: 'Lease', until: promiseEnd(asked) });
    expect(world.replica.clock.committedBound).toBeGreaterThanOrEqual(asked);
    world.ask({ type: 'LeaseRevoke', epoch: 1, lease: 7 });
    world.commitAll();
    const { endRevision = 0 } = readLease(world.replica.state, 7) ?? {};
    expect(endRevision).toBeGreaterThan(asked);
  });

  it('are not given for a lease that is not there or has ended', async () => {
    const world = new LeaseWorld();
    await world.grant();
    world.ask({ type: 'LeaseRevoke', epoch: 1, lease: 7 });
    world.commitAll();
    world.answer();
    for (const lease of [7, 8]) world.check('attach', lease);
    await world.confirm();
    world.commitAll();
    expect(world.answers.map((body) => (body as { code?: string }).code)).toEqual([
      'lease_not_found',
      'lease_not_found',
    ]);
  });

  it('are refused where the lease is not at home', async () => {
    const world = new LeaseWorld();
    await world.grant();
    world.replica.apply({ type: 'own', epoch: 2, vshards: [] });
    world.check('attach');
    await world.confirm();
    expect(world.answer()).toMatchObject({ code: 'wrong_shard', hint: 2 });
  });
});

describe('the sweep of a group', () => {
  it('removes nothing before all that was promised is there to be seen', async () => {
    const world = new LeaseWorld();
    const { replica, closer } = world;
    const revision = replica.clock.assign(1, world.clock.wallMs());
    const op = put('a', 'v') as Extract<ReturnType<typeof put>, { type: 'put' }>;
    const ops = [{ ...op, attach: { lease: 7, until: promiseEnd(revision) } }];
    const rest = { epoch: 1, idempotency: null, traceparent: null };
    replica.propose({ type: 'write', revision, ops, ...rest }, () => {});
    const sweep = { type: 'LeaseSweep' as const, leases: [{ lease: 7, why: 'expired' as const }] };
    world.sweep({ ...sweep, close: promiseEnd(revision) });
    closer.batchDecided(replica.lastLogIndex());
    await settle();
    expect(world.answers).toEqual([]);
    world.commitAll();
    await settle();
    world.commitAll();
    expect(world.answer()).toMatchObject({ type: 'Swept', removed: 1, isAll: true });
    // Whoever still attaches under such a promise is above what was closed.
    expect(replica.clock.clock).toBeGreaterThanOrEqual(promiseEnd(revision));
  });

  const SWEEP = {
    ...{ type: 'LeaseSweep' as const, close: 0 },
    leases: [{ lease: 7, why: 'revoked' as const }],
  };

  function prepareOf(world: LeaseWorld, branch: 'then' | 'otherwise', untilMs: number) {
    const { replica } = world;
    const revision = replica.clock.assign(1, world.clock.wallMs());
    const until = revision + untilMs * REVISIONS_PER_MS;
    const rest = { contentType: null, ttlMs: null, attach: { lease: 7, until } };
    const op: TxnOp = { type: 'put', ref: ref('a'), value: Buffer.from('v'), ...rest };
    const empty = { compares: [], then: [], otherwise: [] };
    const part = {
      body: { ...empty, [branch]: [op] },
      thenAt: [0],
      otherwiseAt: [0],
      comparesAt: [],
    };
    const id = { home: 2 as GroupId, term: 1, start: revision };
    replica.apply({ type: 'txnPrepare', revision, epoch: 1, id, part, indexEpoch: 0 });
    return { id, revision };
  }

  it.each(['then', 'otherwise'] as const)(
    'is not all while a transaction is prepared that attaches in its branch %s',
    async (branch) => {
      const world = new LeaseWorld();
      const { id, revision } = prepareOf(world, branch, 1);
      world.sweep(SWEEP);
      await world.confirm();
      expect(world.answer()).toMatchObject({ type: 'Swept', removed: 0, isAll: false });
      world.sweep({ ...SWEEP, leases: [{ lease: 8, why: 'revoked' }] });
      await world.confirm();
      expect(world.answer()).toMatchObject({ removed: 0, isAll: true });
      const fate = { commitRevision: revision, succeeded: branch === 'then' };
      world.replica.apply({ type: 'txnResolve', ends: [{ id, fate, removed: [] }] });
      world.sweep(SWEEP);
      await world.confirm();
      world.commitAll();
      expect(world.answer()).toMatchObject({ removed: 1, isAll: true });
    },
  );

  it('does not wait for what cannot commit any more, its promise being over', async () => {
    const world = new LeaseWorld();
    prepareOf(world, 'then', -1);
    world.sweep(SWEEP);
    await world.confirm();
    expect(world.answer()).toMatchObject({ removed: 0, isAll: true });
  });

  it('B1 says nothing before leadership is confirmed: others may have attached keys since', async () => {
    const world = new LeaseWorld();
    world.sweep(SWEEP);
    await settle();
    expect(world.answers).toEqual([]);
    world.replica.leads = false;
    world.rounds.flush();
    expect(world.answer()).toMatchObject({ type: 'Rejected', code: 'not_leader' });
  });
});
