import { describe, expect, it } from 'vitest';
import { Chores } from '../../../../actors/replica/chores.ts';
import { initialShardMap, parseShardMap, vshardsOf } from '../../../../actors/router/shard-map.ts';
import { revisionAtWallMs } from '../../../../protocol/revision.ts';
import { ABORTED, type TxnOp } from '../../../../protocol/txn.ts';
import { type GroupId, META_GROUP } from '../../../../protocol/types.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';
import { settle } from '../../../kit/hand-clock.ts';

const NO_LEASES = { isDue: () => false, tick: () => {} };

/** Ticks every 50 ms for a while. */
async function tick(replica: FakeReplica, chores: Chores, ms: number): Promise<void> {
  const { clock } = replica.ports;
  for (const endMs = clock.nowMs + ms; clock.nowMs < endMs; clock.nowMs += 50) {
    // A replica takes no turn for a tick that is not due: such a tick must do nothing.
    const isDue = chores.isDue(clock.nowMs);
    const count = replica.proposed.length + replica.commands.length;
    chores.tick(clock.nowMs);
    await settle();
    if (!isDue) expect(replica.proposed.length + replica.commands.length).toBe(count);
  }
}

function write(replica: FakeReplica, key: string, ttlMs: number | null): number {
  const revision = replica.clock.assign(1, replica.ports.clock.wallMs());
  const ops = [put(key, '1', ttlMs === null ? {} : { ttlMs })];
  const rest = { epoch: 1, idempotency: null, traceparent: null };
  replica.apply({ type: 'write', revision, ops, ...rest });
  return revision;
}

/** By a prepared transaction, until what is returned is called. */
function lock(replica: FakeReplica, op: TxnOp, assigned: number | null = null): () => void {
  const id = { home: 2, term: 1, start: replica.clock.assign(1, replica.ports.clock.wallMs()) };
  const revision = assigned ?? replica.clock.assign(1, replica.ports.clock.wallMs());
  const body = { compares: [], then: [op], otherwise: null };
  const part = { body, comparesAt: [], thenAt: [0], otherwiseAt: [] };
  replica.apply({ type: 'txnPrepare', revision, epoch: 1, id, part, indexEpoch: 0 });
  return () => {
    replica.apply({ type: 'txnResolve', ends: [{ id, fate: ABORTED, removed: [] }] });
  };
}

const types = (replica: FakeReplica) => replica.proposed.map(({ command }) => command.type);

describe('the first leader of a new group', () => {
  it('writes down what it owns, once', async () => {
    const replica = new FakeReplica(2 as GroupId);
    const chores = new Chores(replica, [NO_LEASES]);
    await tick(replica, chores, 300);
    const vshards = vshardsOf(initialShardMap(2), 2 as GroupId);
    expect(replica.proposed.map(({ command }) => command)).toEqual([
      { type: 'own', epoch: 1, vshards },
    ]);
    replica.commit();
    await tick(replica, chores, 300);
    expect(replica.proposed).toEqual([]);
    expect(replica.state.owned).toEqual(vshards);
    expect(replica.ports.telemetry.lines).toHaveLength(1);
  });

  it('tries again when the entry was refused', async () => {
    const replica = new FakeReplica(2 as GroupId);
    const chores = new Chores(replica, [NO_LEASES]);
    await tick(replica, chores, 100);
    replica.end({ type: 'refused', reason: 'not_leader' });
    await tick(replica, chores, 100);
    expect(types(replica)).toEqual(['own']);
  });

  it('of the meta group writes down the map, only where there is none, and says so once', async () => {
    const replica = new FakeReplica(META_GROUP);
    const chores = new Chores(replica, [NO_LEASES]);
    await tick(replica, chores, 100);
    const [asked] = replica.proposed;
    expect(asked?.command).toMatchObject({ type: 'metaPut', name: 'shard-map', ifRevision: 0 });
    const json = asked?.command.type === 'metaPut' ? asked.command.json : '';
    expect(parseShardMap(json)).toEqual(initialShardMap(2));
    replica.commit();
    await tick(replica, chores, 1000);
    expect(replica.proposed).toEqual([]);
    expect(replica.ports.telemetry.lines).toHaveLength(1);
  });

  it('does nothing where it does not lead', async () => {
    const replica = new FakeReplica(2 as GroupId);
    replica.leads = false;
    await tick(replica, new Chores(replica, [NO_LEASES]), 300);
    expect(replica.proposed).toEqual([]);
  });
});

describe('expiry', () => {
  it('proposes what is due, with the revisions it saw, one entry at a time', async () => {
    const replica = FakeReplica.owning();
    const chores = new Chores(replica, [NO_LEASES]);
    const revisions = [write(replica, 'a', 100), write(replica, 'b', 100)];
    write(replica, 'c', 5_000);
    await tick(replica, chores, 1000);
    expect(replica.proposed).toHaveLength(1);
    const [asked] = replica.proposed;
    const keys = asked?.command.type === 'expire' ? asked.command.keys : [];
    expect(keys.map(({ ref, revision }) => [ref.key, revision])).toEqual([
      ['a', revisions[0]],
      ['b', revisions[1]],
    ]);
    expect(replica.commit().events.map(({ kind }) => kind)).toEqual(['expire', 'expire']);
    await tick(replica, chores, 1000);
    expect(replica.proposed).toEqual([]);
    expect(replica.store.viewsOpen).toBe(0);
  });

  it('does not fill the log with what a prepared transaction has locked, and removes it afterwards', async () => {
    const replica = FakeReplica.owning();
    const chores = new Chores(replica, [NO_LEASES]);
    write(replica, 'a', 100);
    const release = lock(replica, { type: 'get', ref: ref('a') });
    await tick(replica, chores, 5_000);
    expect(replica.proposed).toEqual([]);
    release();
    await tick(replica, chores, 500);
    expect(replica.commit().events.map(({ kind }) => kind)).toEqual(['expire']);
  });

  it('of what was locked after it was looked for is asked for again, without hurry', async () => {
    const replica = FakeReplica.owning();
    const chores = new Chores(replica, [NO_LEASES]);
    write(replica, 'a', 100);
    const revision = replica.clock.assign(1, replica.ports.clock.wallMs());
    await tick(replica, chores, 500);
    const release = lock(replica, { type: 'get', ref: ref('a') }, revision);
    expect(replica.commit().events).toEqual([]);
    await tick(replica, chores, 500);
    expect(replica.proposed).toEqual([]);
    release();
    await tick(replica, chores, 500);
    expect(replica.commit().events.map(({ kind }) => kind)).toEqual(['expire']);
  });

  it.each([1_100, 9_000])(
    'is not held up by %i keys that are due before and locked',
    async (count) => {
      const replica = FakeReplica.owning();
      const chores = new Chores(replica, [NO_LEASES]);
      for (let i = 0; i < count; i++) write(replica, `a${i}`, 100);
      write(replica, 'b', 200);
      const { tenant, space } = ref('');
      const page = { reverse: false, limit: 1, values: false };
      const release = lock(replica, {
        type: 'range',
        tenant,
        space,
        start: 'a',
        end: 'b',
        ...page,
      });
      await tick(replica, chores, 1_000);
      expect(replica.commit().events.map((event) => event.ref.key)).toEqual(['b']);
      await tick(replica, chores, 1_000);
      expect(replica.proposed).toEqual([]);
      release();
      await tick(replica, chores, 500);
      expect(replica.commit().events).toHaveLength(1_000);
    },
  );

  it('proposes nothing after leadership or the trust in the clock was lost while it looked', async () => {
    for (const lose of [
      (replica: FakeReplica) => {
        replica.leads = false;
      },
      (replica: FakeReplica) => {
        replica.trusted = false;
      },
    ]) {
      const replica = FakeReplica.owning();
      const chores = new Chores(replica, [NO_LEASES]);
      write(replica, 'a', 10);
      replica.ports.clock.nowMs += 1000;
      chores.tick(replica.ports.clock.nowMs);
      lose(replica);
      await settle();
      expect(replica.proposed).toEqual([]);
    }
  });
});

describe('the floor', () => {
  it('rises only when something lies below it', async () => {
    const replica = FakeReplica.owning();
    const chores = new Chores(replica, [NO_LEASES]);
    await tick(replica, chores, 200);
    replica.ports.clock.nowMs += 120_000;
    await tick(replica, chores, 200);
    expect(replica.proposed).toEqual([]);
    const written = write(replica, 'a', null);
    replica.ports.clock.nowMs += 30_000;
    await tick(replica, chores, 200);
    expect(replica.proposed).toEqual([]);
    replica.ports.clock.nowMs += 31_000;
    await tick(replica, chores, 50);
    const floor = revisionAtWallMs(replica.ports.clock.wallMs() - 50 - replica.config.retentionMs);
    expect(replica.proposed.map(({ command }) => command)).toEqual([{ type: 'compact', floor }]);
    replica.commit();
    // A floor never passes the group's clock.
    expect(replica.state.floor).toBe(written);
    replica.ports.clock.nowMs += 31_000;
    await tick(replica, chores, 200);
    expect(replica.proposed).toEqual([]);
    expect(replica.store.viewsOpen).toBe(0);
  });
});

describe('a leader with a bad clock', () => {
  it('proposes nothing and hands over, again every second', async () => {
    const replica = new FakeReplica(2 as GroupId);
    replica.trusted = false;
    await tick(replica, new Chores(replica, [NO_LEASES]), 1_500);
    expect(replica.proposed).toEqual([]);
    expect(replica.commands).toEqual([
      { type: 'TransferLeader', to: null },
      { type: 'TransferLeader', to: null },
    ]);
  });
});

describe('every replica', () => {
  it('removes rows below the floor, whoever leads', async () => {
    const replica = FakeReplica.owning();
    replica.leads = false;
    write(replica, 'a', null);
    const second = write(replica, 'a', null);
    replica.apply({ type: 'compact', floor: second });
    const before = replica.store.rows().length;
    await tick(replica, new Chores(replica, [NO_LEASES]), 200);
    expect(replica.store.rows().length).toBeLessThan(before);
    expect(replica.state.collectedTo).toBe(second);
  });

  it('ends the process when its state cannot be read', async () => {
    const replica = FakeReplica.owning();
    replica.store.view = () => {
      throw new Error('EIO');
    };
    replica.leads = false;
    await tick(replica, new Chores(replica, [NO_LEASES]), 50);
    expect(replica.ports.fatals.map(({ reason }) => reason)).toEqual([
      'old rows could not be removed',
    ]);
  });
});

describe('while a snapshot is being taken', () => {
  it('nothing expires, and afterwards it does', async () => {
    const replica = FakeReplica.owning();
    const chores = new Chores(replica, [NO_LEASES]);
    write(replica, 'k', 1_000);
    replica.clock.isHeld = true;
    await tick(replica, chores, 3_000);
    expect(types(replica)).toEqual([]);
    replica.clock.isHeld = false;
    await tick(replica, chores, 500);
    expect(types(replica)).toEqual(['expire']);
  });
});
