import { describe, expect, it } from 'vitest';
import { readLease } from '../../../../actors/apply/lease.ts';
import type { LeaseRequest } from '../../../../actors/lease/keeper.ts';
import type { RequestOf } from '../../../../protocol/messages/request.ts';
import { LeaseWorld } from '../../../kit/lease-world.ts';

describe('a lease of another tenant', () => {
  /** What one request takes: its answer, and every step that was taken for it. */
  async function stepsOf(world: LeaseWorld, body: LeaseRequest) {
    const rows = { reads: 0 };
    const row = world.replica.state.row.bind(world.replica.state);
    world.replica.state.row = (key) => {
      rows.reads++;
      return row(key);
    };
    const { confirmations: before } = world;
    world.ask(body);
    await world.confirm();
    const proposals = world.replica.proposed.length;
    world.commitAll();
    world.replica.state.row = row;
    const answer = JSON.stringify(world.answer()).replaceAll(/lease [0-9]+/g, 'lease N');
    return { answer, proposals, reads: rows.reads, rounds: world.confirmations - before };
  }

  it('K5 is answered as none, after the same steps, and nothing is done to it', async () => {
    const world = new LeaseWorld();
    const granted = { type: 'LeaseGrant', epoch: 1, lease: 7, ttlMs: 60_000 } as const;
    world.ask({ ...granted, tenant: 'acme' });
    await world.confirm();
    world.commitAll();
    world.answer();
    type Ask = RequestOf<'LeaseCheck' | 'LeaseRevoke'>;
    const asks: ((lease: number) => Ask)[] = [
      (lease) => ({ type: 'LeaseCheck', epoch: 1, lease, purpose: 'look' }),
      (lease) => ({ type: 'LeaseCheck', epoch: 1, lease, purpose: 'renew' }),
      (lease) => ({ type: 'LeaseCheck', epoch: 1, lease, purpose: 'attach' }),
      (lease) => ({ type: 'LeaseRevoke', epoch: 1, lease }),
    ];
    for (const tenant of ['other', 'default', null]) {
      for (const ask of asks) {
        const [theirs, nobodys] = [
          await stepsOf(world, { ...ask(7), tenant }),
          await stepsOf(world, { ...ask(8), tenant }),
        ];
        expect(theirs).toEqual(nobodys);
        expect(theirs).toMatchObject({ proposals: 0, rounds: 1 });
        expect(theirs.answer).toContain('lease_not_found');
        expect(theirs.reads).toBeGreaterThan(0);
      }
      world.ask({ type: 'LeaseList', after: 0, limit: 10, tenant });
      await world.confirm();
      expect(world.answer()).toMatchObject({ type: 'Leases', leases: [], more: false });
      world.ask({ ...granted, ttlMs: 60_000, tenant });
      await world.confirm();
      world.commitAll();
      expect(world.answer()).toMatchObject({ type: 'Rejected', code: 'conflict' });
    }
    expect(readLease(world.replica.state, 7)).toMatchObject({ tenant: 'acme', endRevision: 0 });
    world.ask({ type: 'LeaseList', after: 0, limit: 10, tenant: 'acme' });
    await world.confirm();
    expect(world.answer()).toMatchObject({ leases: [{ lease: 7 }] });
    // While it ends, others are not kept waiting for what becomes of it.
    world.ask({ type: 'LeaseRevoke', epoch: 1, lease: 7, tenant: 'acme' });
    world.ask({ type: 'LeaseCheck', epoch: 1, lease: 7, purpose: 'look', tenant: 'other' });
    await world.confirm();
    expect(world.answer()).toMatchObject({ code: 'lease_not_found' });
    world.commitAll();
    expect(world.answer()).toMatchObject({ type: 'Done' });
  });
});
