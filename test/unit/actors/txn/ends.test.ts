import { describe, expect, it } from 'vitest';
import { readLatest } from '../../../../actors/apply/read.ts';
import { readDecision } from '../../../../actors/apply/txn.ts';
import { QuotaRoom } from '../../../../actors/quota/room.ts';
import { Closer } from '../../../../actors/replica/closer.ts';
import { LockWaits } from '../../../../actors/replica/lock-waits.ts';
import { ReadRounds } from '../../../../actors/replica/reads.ts';
import { Participant } from '../../../../actors/txn/participant.ts';
import { lastRevision } from '../../../../protocol/commands.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { ReplyBody } from '../../../../protocol/messages/request.ts';
import { ABORTED, type TxnEnd, type TxnId, type TxnOp } from '../../../../protocol/txn.ts';
import { ref } from '../../../kit/applied-group.ts';
import { OTHER, World } from '../../../kit/coordinator-world.ts';
import { rejected } from '../../../kit/fake-reach.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';
import { settle } from '../../../kit/hand-clock.ts';

function putOf(key: string): TxnOp {
  return { type: 'put', ref: ref(key), value: Buffer.from(key), contentType: null, ttlMs: null };
}

/** A participant that has prepared transactions of another home group. */
class Prepared {
  readonly replica = FakeReplica.owning();
  readonly rounds = new ReadRounds(this.replica);
  readonly participant = new Participant(
    this.replica,
    this.rounds,
    new Closer(this.replica, () => {}),
    new LockWaits(this.replica),
    new QuotaRoom(this.replica, () => null),
  );
  readonly replies: ReplyBody[] = [];

  prepare(then: TxnOp[]): TxnId {
    const { clock, ports } = this.replica;
    const next = () => clock.assign(1, ports.clock.wallMs());
    const id = { home: 7, term: 1, start: next() };
    const body = { compares: [], then, otherwise: null };
    const part = { body, comparesAt: [], thenAt: then.map((_, i) => i), otherwiseAt: [] };
    const rest = { revision: next(), epoch: 1, id, part, indexEpoch: 0 };
    this.replica.apply({ type: 'txnPrepare', ...rest });
    return id;
  }

  /** Commits, each at a revision of its own above all that is prepared; later ones lower. */
  committed(ids: readonly TxnId[]): TxnEnd[] {
    const highest = this.replica.clock.clock + ids.length;
    return ids.map((id, i) => ({ id, fate: { commitRevision: highest - i, succeeded: true } }));
  }

  resolve(ends: TxnEnd[]): void {
    this.participant.resolve({ type: 'TxnResolve', ends }, (body) => this.replies.push(body));
  }

  /** Of each proposed entry, how many ends it has. */
  get sizes(): number[] {
    return this.replica.proposed.map(({ command }) =>
      command.type === 'txnResolve' ? command.ends.length : 0,
    );
  }

  get locked(): number {
    return this.replica.state.txns.size;
  }
}

describe('transactions that end together in a participant', () => {
  it('are one entry and one answer, each with its own end', () => {
    const world = new Prepared();
    const { state } = world.replica;
    const [first, aborted, last] = ['a', 'b', 'c'].map((key) => world.prepare([putOf(key)]));
    const [high, low] = world.committed([first as TxnId, last as TxnId]) as [TxnEnd, TxnEnd];
    world.resolve([high, { id: aborted as TxnId, fate: ABORTED }, low]);
    const command = world.replica.proposed[0]?.command ?? null;
    expect(lastRevision(command)).toBe(high.fate.commitRevision);
    expect([world.sizes, world.replies]).toEqual([[3], []]);
    const { events, txn } = world.replica.commit();
    expect(txn).toEqual({ type: 'resolved' });
    expect(world.replies).toMatchObject([{ type: 'Done' }]);
    expect(events.map(({ ref, revision }) => [ref.key, revision])).toEqual([
      ['c', low.fate.commitRevision],
      ['a', high.fate.commitRevision],
    ]);
    expect([world.locked, state.txns.locks.isEmpty]).toEqual([0, true]);
    expect(readLatest(state, ref('a'), null)?.revision).toBe(high.fate.commitRevision);
    expect(readLatest(state, ref('b'), null)).toBeNull();
    expect(readDecision(state, low.id)?.fate).toEqual(low.fate);
    expect(readDecision(state, aborted as TxnId)).toBeNull();
    // What is assigned next comes after all of them.
    expect(world.replica.clock.assign(1, 0)).toBeGreaterThan(high.fate.commitRevision);
  });

  it('change nothing the second time, nor where they were never prepared', () => {
    const world = new Prepared();
    const id = world.prepare([putOf('a')]);
    const [end] = world.committed([id]) as [TxnEnd];
    const unknown = { id: { ...id, start: id.start + 900 }, fate: end.fate };
    const ends = [end, unknown].map((one) => ({ ...one, removed: [] }));
    expect(world.replica.apply({ type: 'txnResolve', ends }).events).toHaveLength(1);
    const before = world.replica.state.sequence;
    expect(world.replica.apply({ type: 'txnResolve', ends }).events).toEqual([]);
    expect(world.replica.state.sequence).toBe(before);
    expect(readDecision(world.replica.state, unknown.id)).toBeNull();
  });

  it('share an entry only while all that they may write is within what one may replace', () => {
    const world = new Prepared();
    const half = LIMITS.txnEndWritesMax / 2;
    const ids = Array.from({ length: 5 }, (_, n) =>
      world.prepare(Array.from({ length: half }, (_, i) => putOf(`${n}/${i}`))),
    );
    const large = Array.from({ length: LIMITS.txnEndWritesMax * 3 }, (_, i) => putOf(`large/${i}`));
    world.resolve(world.committed([...ids, world.prepare(large), world.prepare([putOf('z')])]));
    expect(world.sizes).toEqual([2, 2, 1, 1, 1]);
    while (world.replica.proposed.length > 0) {
      expect(world.replies).toEqual([]);
      world.replica.commit();
    }
    expect(world.replies).toMatchObject([{ type: 'Done' }]);
    expect(world.locked).toBe(0);
  });

  it('do not wait for one that has keys to look for, nor for one that may be in the log', async () => {
    const world = new Prepared();
    const { tenant, space } = ref('');
    const plain = world.prepare([putOf('a')]);
    const ranged = world.prepare([{ type: 'deleteRange', tenant, space, start: 'r/', end: 'r0' }]);
    const late = { ...plain, start: plain.start + 900 };
    world.resolve(world.committed([ranged, late, plain]));
    expect(world.sizes).toEqual([1]);
    world.replica.commit();
    expect([world.locked, world.replies]).toEqual([1, []]);
    for (let i = 0; i < 20; i++) await settle();
    expect(world.sizes).toEqual([1]);
    world.replica.commit();
    expect([world.locked, world.replies]).toEqual([0, []]);
    world.rounds.flush();
    world.rounds.confirmed(1, world.replica.state.appliedIndex);
    world.rounds.applied(world.replica.state.appliedIndex);
    expect(world.replies).toMatchObject([{ type: 'Done' }]);
  });

  it('are refused once, whatever becomes of the other entries', () => {
    const world = new Prepared();
    const many = Array.from({ length: LIMITS.txnEndWritesMax }, (_, i) => putOf(`m/${i}`));
    world.resolve(world.committed([world.prepare(many), world.prepare([putOf('a')])]));
    expect(world.sizes).toEqual([1, 1]);
    world.replica.end({ type: 'refused', reason: 'not_leader' });
    world.replica.commit();
    expect(world.replies).toMatchObject([{ type: 'Rejected', code: 'not_leader' }]);
    expect(world.locked).toBe(1);
  });
});

describe('commits of one moment', () => {
  const fate = { commitRevision: 9, succeeded: true };
  const THIRD = 3 as typeof OTHER;
  const idOf = (start: number): TxnId => ({ home: 1, term: 1, start });

  it('are told in one message to each participant, as many as fit, and forgotten when all know', async () => {
    const world = new World();
    world.reach.leaders.set(THIRD, 'n3' as never);
    world.answer = ({ group }) => (group === OTHER ? { type: 'Done', revision: 9 } : 'silence');
    const count = LIMITS.txnEndsMax + 3;
    for (let i = 1; i <= count; i++) world.messenger.commit(idOf(i), fate, [OTHER]);
    world.messenger.commit(idOf(count + 1), fate, [OTHER, THIRD]);
    expect(world.asked('TxnResolve')).toEqual([]);
    await world.pass(10);
    const sizes = world.asked('TxnResolve').map(({ ends }) => ends.length);
    expect(sizes).toEqual([LIMITS.txnEndsMax, 4, 1]);
    expect(world.messenger.size).toBe(1);
    const known: TxnId[] = [];
    for (;;) {
      world.messenger.forgetKnown();
      const command = world.replica.proposed.shift()?.command;
      if (command?.type !== 'txnForget') break;
      known.push(...command.ids);
    }
    expect(known.map(({ start }) => start)).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  });

  it('are told again together, those that are not known yet', async () => {
    const world = new World();
    world.answer = () => rejected('clock_skew');
    for (let i = 1; i <= 3; i++) world.messenger.commit(idOf(i), fate, [OTHER]);
    await world.pass(50);
    expect(world.told.map(({ id }) => id.start)).toEqual([1, 2, 3]);
    world.answer = () => ({ type: 'Done', revision: 9 });
    await world.pass(200);
    expect(world.told.map(({ id }) => id.start)).toEqual([1, 2, 3, 1, 2, 3]);
    expect([world.messenger.size, world.messenger.hasKnown]).toEqual([0, true]);
  });

  it('are not told by one that leads no more', async () => {
    const world = new World();
    world.messenger.commit(idOf(1), fate, [OTHER]);
    world.messenger.lost();
    await world.pass(50);
    expect(world.told).toEqual([]);
  });
});
