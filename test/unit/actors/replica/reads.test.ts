import { describe, expect, it } from 'vitest';
import { Closer } from '../../../../actors/replica/closer.ts';
import { LockWaits } from '../../../../actors/replica/lock-waits.ts';
import {
  handleRange,
  handleRead,
  handleReadClock,
  ReadRounds,
} from '../../../../actors/replica/reads.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { ReplyBody, RequestOf } from '../../../../protocol/messages/request.ts';
import { REVISIONS_PER_MS, revisionAtWallMs } from '../../../../protocol/revision.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';
import { settle } from '../../../kit/hand-clock.ts';

class World {
  readonly replica = FakeReplica.owning();
  readonly rounds = new ReadRounds(this.replica);
  readonly closer = new Closer(this.replica, () => {});
  readonly waits = new LockWaits(this.replica);
  readonly answers: ReplyBody[] = [];
  readonly reply = (body: ReplyBody) => void this.answers.push(body);

  get now(): number {
    return revisionAtWallMs(this.replica.ports.clock.wallMs());
  }

  write(key: string, value: string, ttlMs: number | null = null): number {
    const revision = this.replica.clock.assign(1, this.replica.ports.clock.wallMs());
    const ops = [put(key, value, ttlMs === null ? {} : { ttlMs })];
    const rest = { epoch: 1, idempotency: null, traceparent: null };
    this.replica.apply({ type: 'write', revision, ops, ...rest });
    return revision;
  }

  read(keys: string[], more: Partial<RequestOf<'Read'>> = {}): void {
    const request = {
      ...{ type: 'Read' as const, epoch: 1, keys: keys.map((key) => ref(key)) },
      ...{ revision: null, stale: false, ...more },
    };
    const { replica: context, rounds, closer, waits } = this;
    handleRead({ context, rounds, closer, waits }, request, 60_000, this.reply);
  }

  readClock(snapshot: string | null = null): void {
    const { replica: context, rounds, closer, waits } = this;
    const request = { type: 'ReadClock' as const, snapshot };
    handleReadClock({ context, rounds, closer, waits }, request, this.reply);
  }

  range(revision: number, more: Partial<RequestOf<'Range'>> = {}): void {
    const request = {
      ...{ type: 'Range' as const, epoch: 1, tenant: 't1', space: 'kv', revision, start: '' },
      ...{ end: null, reverse: false, limit: 10, values: true, stale: false, ...more },
    };
    handleRange(this.replica, this.closer, request, this.reply);
  }

  /** Confirms the round that gathered, as the core would. */
  confirm(readIndex = this.replica.state.appliedIndex): void {
    this.rounds.flush();
    for (const command of this.replica.commands.splice(0)) {
      if (command.type === 'ReadIndex') this.rounds.confirmed(command.readId, readIndex);
    }
    this.rounds.applied(this.replica.state.appliedIndex);
    for (const command of this.replica.commands.splice(0)) {
      if (command.type === 'Tick') this.closer.batchDecided(this.replica.lastLogIndex());
    }
  }

  values(): unknown[] {
    return this.answers.splice(0).map((body) => {
      if (body.type === 'Rejected') return body.code;
      if (body.type !== 'Items' && body.type !== 'Page') return body;
      return body.items.map((item) => item && Buffer.from(item.value).toString());
    });
  }
}

describe('linearizable reads', () => {
  it('of one turn share one round, and are served when it is confirmed', () => {
    const world = new World();
    world.write('a', '1');
    world.read(['a']);
    world.read(['b']);
    expect(world.replica.commands).toEqual([]);
    world.rounds.flush();
    expect(world.replica.commands).toEqual([{ type: 'ReadIndex', readId: 1 }]);
    expect(world.answers).toEqual([]);
    world.rounds.confirmed(1, 2);
    world.rounds.applied(2);
    expect(world.values()).toEqual([['1'], [null]]);
    world.rounds.confirmed(1, 2);
    world.rounds.applied(9);
    expect(world.answers).toEqual([]);
  });

  it('wait until everything that was committed then is applied', () => {
    const world = new World();
    world.write('a', '1');
    world.read(['a']);
    world.confirm(world.replica.state.appliedIndex + 1);
    expect(world.answers).toEqual([]);
    world.write('a', '2');
    world.rounds.applied(world.replica.state.appliedIndex);
    expect(world.values()).toEqual([['2']]);
  });

  it('that come while a round is out are in the next one', () => {
    const world = new World();
    world.read(['a']);
    world.rounds.flush();
    world.read(['b']);
    world.rounds.flush();
    expect(world.replica.commands).toEqual([
      { type: 'ReadIndex', readId: 1 },
      { type: 'ReadIndex', readId: 2 },
    ]);
    world.rounds.confirmed(1, 0);
    world.rounds.applied(1);
    expect(world.answers).toHaveLength(1);
  });

  it('are refused where nobody leads, or when leadership could not be confirmed', () => {
    const world = new World();
    world.read(['a']);
    world.rounds.flush();
    world.rounds.refused(1);
    world.read(['a']);
    world.replica.leads = false;
    world.rounds.flush();
    world.read(['a']);
    world.readClock();
    expect(world.values()).toEqual(['not_leader', 'not_leader', 'not_leader', 'not_leader']);
  });

  it('are bounded in rounds that wait', () => {
    const world = new World();
    for (let i = 0; i < 1_025; i++) {
      world.read(['a']);
      world.rounds.flush();
    }
    expect(world.values()).toEqual(['not_leader']);
  });

  it('answer as many items as fit a message, at least one', () => {
    const world = new World();
    const large = 'x'.repeat(LIMITS.pageBytesMax * 0.75);
    world.write('a', large);
    world.write('b', large);
    world.read(['a', 'b']);
    world.confirm();
    expect(world.answers).toMatchObject([{ type: 'Items', items: [{ ref: ref('a') }] }]);
  });

  it('tell a clock that no earlier answer was above', () => {
    const world = new World();
    const revision = world.write('a', '1');
    world.readClock();
    world.confirm();
    expect(world.answers).toEqual([{ type: 'Clock', clock: revision, gate: null }]);
  });
});

describe('a read of a key that can expire', () => {
  it('is a read at this moment under a reserved bound', () => {
    const world = new World();
    world.write('a', '1', 50);
    world.replica.ports.clock.nowMs += 1;
    world.read(['a']);
    world.confirm();
    expect(world.answers).toEqual([]);
    expect(world.replica.proposed).toHaveLength(1);
    world.replica.commit();
    expect(world.values()).toEqual([['1']]);
    world.replica.ports.clock.nowMs += 49;
    world.read(['a']);
    world.confirm();
    expect(world.values()).toEqual([[null]]);
    expect(world.replica.clock.committedBound).toBeGreaterThan(world.replica.clock.clock);
  });

  it('B21 does not show its end while a transaction that has read it may commit before that', () => {
    const world = new World();
    const { replica } = world;
    world.write('a', '1', 50);
    const revision = replica.clock.assign(1, replica.ports.clock.wallMs());
    const body = { compares: [], then: [{ type: 'get' as const, ref: ref('a') }], otherwise: null };
    const part = { body, thenAt: [0], otherwiseAt: [], comparesAt: [] };
    const id = { home: 2, term: 1, start: revision };
    replica.apply({ type: 'txnPrepare', revision, epoch: 1, id, part, indexEpoch: 0 });
    const look = () => {
      world.read(['a']);
      world.confirm();
      while (replica.proposed.length > 0) replica.commit();
      world.closer.advanced();
      return world.values();
    };
    expect(look()).toEqual([['1']]);
    replica.ports.clock.nowMs += 50;
    expect(look()).toEqual([]);
    const fate = { commitRevision: revision, succeeded: true };
    replica.apply({ type: 'txnResolve', ends: [{ id, fate, removed: [] }] });
    world.closer.advanced();
    expect(world.values()).toEqual([[null]]);
  });

  it('F19 does not let a clock that is not trusted push the group’s revisions ahead', () => {
    const world = new World();
    const revision = world.write('a', '1', 50);
    world.replica.ports.clock.wallStartMs += 3_600_000;
    world.replica.trusted = false;
    world.read(['a']);
    world.confirm();
    world.read(['a'], { stale: true });
    expect(world.values()).toEqual(['not_leader', [null]]);
    expect(world.replica.clock.clock).toBe(revision);
  });
});

describe('reads of the past', () => {
  it('are at a closed revision, and agree with what was there', async () => {
    const world = new World();
    const first = world.write('a', '1');
    const second = world.write('a', '2');
    world.read(['a'], { revision: first });
    await settle();
    world.read(['a'], { revision: second });
    await settle();
    expect(world.values()).toEqual([['1'], ['2']]);
    expect(world.replica.store.viewsOpen).toBe(0);
  });

  it('above the clock are the asker’s mistake and raise nothing', () => {
    const world = new World();
    world.read(['a'], { revision: world.now + 1 });
    expect(world.values()).toEqual(['invalid_argument']);
    expect(world.replica.clock.clock).toBe(0);
  });

  it('below the floor are compacted, with the oldest revision that is left', async () => {
    const world = new World();
    const first = world.write('a', '1');
    const second = world.write('a', '2');
    world.replica.apply({ type: 'compact', floor: second });
    world.read(['a'], { revision: first });
    await settle();
    expect(world.answers).toMatchObject([{ code: 'compacted', definite: true, hint: second }]);
  });

  it('are only asked again, never called a mistake, when no promise can be made just now', () => {
    const world = new World();
    world.range(world.now);
    world.replica.end({ type: 'refused', reason: 'not_leader' });
    for (let i = 0; i < 4_096; i++) world.closer.reserve(world.now, () => {});
    world.range(world.now);
    expect(world.values()).toEqual(['overloaded', 'overloaded']);
    world.replica.trusted = false;
    world.range(world.now + 1);
    world.replica.leads = false;
    world.range(world.now + 1);
    expect(world.values()).toEqual(['clock_skew', 'not_leader']);
  });
});

describe('ranges', () => {
  it('are read at a closed revision, in order', async () => {
    const world = new World();
    world.write('b', '2');
    const revision = world.write('a', '1');
    world.write('c', '3');
    world.range(revision);
    await settle();
    world.range(revision, { reverse: true, limit: 1 });
    await settle();
    expect(world.answers).toMatchObject([
      { type: 'Page', more: false, clock: revision },
      { type: 'Page', more: true, clock: revision },
    ]);
    expect(world.values()).toEqual([['1', '2'], ['2']]);
    expect(world.replica.store.viewsOpen).toBe(0);
  });

  it('in the future are the asker’s mistake', () => {
    const world = new World();
    world.range(world.now + (24 * 3_600_000 + 1) * REVISIONS_PER_MS);
    expect(world.values()).toEqual(['invalid_argument']);
  });
});

describe('stale reads', () => {
  it('answer from what is here, also where nobody leads', async () => {
    const world = new World();
    const first = world.write('a', '1');
    world.write('a', '2');
    world.replica.leads = false;
    world.read(['a'], { stale: true });
    world.read(['a'], { stale: true, revision: first });
    world.range(0, { stale: true });
    await settle();
    expect(world.values()).toEqual([['2'], ['1'], ['2']]);
    expect(world.replica.commands).toEqual([]);
  });

  it('say so when this replica is not as far as the revision asked for', () => {
    const world = new World();
    const revision = world.write('a', '1');
    world.read(['a'], { stale: true, revision: revision + 1 });
    world.range(revision + 1, { stale: true });
    expect(world.values()).toEqual(['unavailable', 'unavailable']);
  });
});

describe('a state that cannot be read', () => {
  it('ends the process', async () => {
    const world = new World();
    const revision = world.write('a', '1');
    const view = world.replica.store.view.bind(world.replica.store);
    world.replica.store.view = () => ({
      ...view(),
      get: () => {
        throw new Error('EIO');
      },
    });
    world.read(['a'], { revision });
    await settle();
    expect(world.values()).toEqual(['unavailable']);
    expect(world.replica.ports.fatals).toHaveLength(1);
  });
});
