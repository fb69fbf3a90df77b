import { describe, expect, it } from 'vitest';
import { BackgroundPace } from '../../../../actors/kit/pace.ts';
import { Closer } from '../../../../actors/replica/closer.ts';
import { LockWaits } from '../../../../actors/replica/lock-waits.ts';
import { ReadRounds } from '../../../../actors/replica/reads.ts';
import { handleRequest, type RequestParts } from '../../../../actors/replica/requests.ts';
import { WriteSpans } from '../../../../actors/replica/write-spans.ts';
import type { ReplyBody, RequestBody } from '../../../../protocol/messages/request.ts';
import { ABORTED, type TxnOp } from '../../../../protocol/txn.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';
import { definitionOf } from '../../../kit/index-history.ts';

const ID = { home: 2, term: 1, start: 0 };

/** A leader's requests, with the parts that they need. */
class World {
  readonly replica = FakeReplica.owning();
  readonly rounds = new ReadRounds(this.replica);
  readonly closer = new Closer(this.replica, () => {});
  readonly waits = new LockWaits(this.replica);
  readonly pace = new BackgroundPace(this.replica.ports.clock, () => false);
  readonly answers: ReplyBody[] = [];

  ask(body: RequestBody, deadlineMs = 1_000): void {
    const { replica: context, rounds, closer, waits, pace } = this;
    const parts = { context, rounds, closer, waits, pace, spans: new WriteSpans(context) };
    const request = { body, deadlineMs, clock: 0, traceparent: null };
    handleRequest(parts as unknown as RequestParts, request, (reply) => this.answers.push(reply));
  }

  /** Confirms the round that gathered, as the core would. */
  confirm(readId: number): void {
    this.rounds.flush();
    this.rounds.confirmed(readId, this.replica.state.appliedIndex);
    this.rounds.applied(this.replica.state.appliedIndex);
  }

  /** A transaction of another group has prepared a write of the key. */
  lock(key: string): void {
    const revision = this.replica.clock.assign(1, this.replica.ports.clock.wallMs());
    const { condition: _, ...op } = put(key, 'new') as Extract<ReturnType<typeof put>, TxnOp>;
    const body = { compares: [], then: [op], otherwise: null };
    const part = { body, comparesAt: [], thenAt: [0], otherwiseAt: [] };
    const id = { ...ID, start: revision };
    this.replica.apply({ type: 'txnPrepare', indexEpoch: 0, revision, epoch: 1, id, part });
    expect(this.replica.state.txns.size).toBe(1);
  }

  unlock(): void {
    const [prepared] = [...this.replica.state.txns.all()];
    if (prepared === undefined) throw new Error('nothing is prepared');
    const ends = [{ id: prepared.id, fate: ABORTED, removed: [] }];
    this.replica.apply({ type: 'txnResolve', ends });
    this.waits.release();
  }

  pass(ms: number): Promise<void> {
    return this.replica.ports.clock.pass(ms);
  }
}

const READ: RequestBody = {
  ...{ type: 'Read', epoch: 1, keys: [ref('k')], revision: null, stale: false },
};
const WRITE: RequestBody = { type: 'Write', epoch: 1, ops: [put('k', '1')], idempotency: null };

describe('a request that meets a lock', () => {
  it('waits, and says so while somebody still listens: no decision, and no conflict', async () => {
    const world = new World();
    world.lock('k');
    world.ask(READ);
    world.ask(WRITE);
    world.confirm(1);
    await world.pass(890);
    expect(world.answers).toEqual([]);
    await world.pass(20);
    expect(world.answers).toMatchObject([
      { type: 'Waited', code: 'conflict' },
      { type: 'Waited', code: 'unavailable' },
    ]);
    world.ask(READ, 50);
    world.confirm(2);
    await world.pass(46);
    expect(world.answers).toHaveLength(3);
  });

  it('is served when the lock is gone', async () => {
    const world = new World();
    world.lock('k');
    world.ask(READ);
    world.confirm(1);
    await world.pass(500);
    world.unlock();
    expect(world.answers).toMatchObject([{ type: 'Items', items: [null] }]);
    await world.pass(1_000);
    expect(world.answers).toHaveLength(1);
  });
});

describe('the close of a snapshot', () => {
  /** The gate that a snapshot has closed. */
  function closed(world: World): number {
    world.ask({ type: 'ReadClock', snapshot: 'n1.7.1' });
    world.confirm(1);
    const [told] = world.answers.splice(0);
    if (told?.type !== 'Clock' || told.gate === null) throw new Error('it is open');
    return told.gate;
  }

  it('opens the gate at once, and says that it was closed when leadership is confirmed', () => {
    const world = new World();
    const gate = closed(world);
    world.ask({ type: 'Close', revision: 0, gate });
    expect(world.closer.gate.isClosed).toBe(false);
    expect(world.answers).toEqual([]);
    world.confirm(2);
    expect(world.answers).toMatchObject([{ type: 'Closed', wasClosed: true }]);
  });

  it('counts on no gate of a leader that may have been replaced', () => {
    const world = new World();
    const gate = closed(world);
    world.ask({ type: 'Close', revision: 0, gate });
    world.rounds.flush();
    world.rounds.refused(2);
    expect(world.answers).toMatchObject([{ type: 'Closed', wasClosed: false }]);
  });

  it('answers at once when no gate was closed under that name', () => {
    const world = new World();
    closed(world);
    world.ask({ type: 'Close', revision: 0, gate: 12 });
    world.ask({ type: 'Close', revision: 0, gate: null });
    expect(world.answers).toMatchObject([{ wasClosed: false }, { wasClosed: false }]);
    expect(world.closer.gate.isClosed).toBe(true);
  });
});

describe('a step of a backfill', () => {
  const STEP: RequestBody = { type: 'IndexStep', id: 1 };

  /** A group of 300 keys with an index over them. */
  function building(): World {
    const world = new World();
    const { replica } = world;
    for (let i = 0; i < 300; i++) {
      const revision = replica.clock.assign(1, replica.ports.clock.wallMs());
      const ops = [put(`k${String(i).padStart(3, '0')}`, '{"n":1}')];
      replica.apply({
        ...{ type: 'write', revision, epoch: 1, ops, idempotency: null, traceparent: null },
      });
    }
    const definition = definitionOf(1, [['/n', 'number']], { prefix: 'k' });
    replica.apply({ type: 'indexes', epoch: 1, indexes: [definition] });
    return world;
  }

  /** Asks for a step and lets it take 5 ms; whether it was taken at once. */
  async function step(world: World): Promise<boolean> {
    world.ask(STEP);
    await world.pass(0);
    if (world.replica.proposed.length === 0) return false;
    await world.pass(5);
    world.replica.commit();
    return true;
  }

  it('follows the one before at once while no client is there', async () => {
    const world = building();
    expect(await step(world)).toBe(true);
    world.ask({ type: 'IndexStatus' });
    expect(await step(world)).toBe(true);
    expect(await step(world)).toBe(true);
    const built = world.answers.at(-1);
    expect(built).toMatchObject({ type: 'Indexes', indexes: [{ isBuilt: true, keys: 300 }] });
  });

  it.each([READ, WRITE])(
    'waits for a rest after the one before beside a client: $type',
    async (asked) => {
      const world = building();
      world.ask(asked);
      world.replica.proposed.length = 0;
      expect(await step(world)).toBe(true);
      expect(await step(world)).toBe(false);
      await world.pass(59);
      expect(world.replica.proposed).toHaveLength(0);
      await world.pass(1);
      expect(world.replica.proposed).toHaveLength(1);
      expect(world.replica.commit().index).toBeGreaterThan(0);
      expect(world.answers.at(-1)).toMatchObject({ indexes: [{ isBuilt: false, keys: 256 }] });
    },
  );
});
