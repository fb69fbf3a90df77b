import { describe, expect, it } from 'vitest';
import { PostOffice } from '../../../../actors/kit/post-office.ts';
import { TurnLoop, type TurnMember } from '../../../../actors/kit/turn-loop.ts';
import type { GroupId, NodeId, ReplicaId } from '../../../../protocol/types.ts';
import type { Wal, WalRecord } from '../../../../storage/ports.ts';
import { FakePorts } from '../../../kit/fake-ports.ts';

/** A WAL whose syncs the test ends. */
class HeldWal implements Wal {
  readonly #trace: string[];
  isQuick = false;
  #done: ((error: Error | null) => void) | null = null;

  constructor(trace: string[]) {
    this.#trace = trace;
  }

  append(records: readonly WalRecord[]): number {
    this.#trace.push(`append ${records.map(({ stream }) => stream).join(' ')}`);
    return 0;
  }

  sync(done: (error: Error | null) => void, mayBlock: boolean): void {
    if (this.#done !== null) throw new Error('one sync at a time');
    this.#trace.push('sync begins');
    this.#done = done;
    if (mayBlock && this.isQuick) this.end(null);
  }

  end(error: Error | null): void {
    const done = this.#done;
    this.#done = null;
    this.#trace.push(error === null ? 'synced' : 'sync fails');
    done?.(error);
  }

  position(): number {
    return 0;
  }

  sizeBytes(): number {
    return 0;
  }

  async dropBefore(): Promise<void> {}

  async close(): Promise<void> {}
}

/** Writes down each step; posts one message before and one after the sync when it has records. */
class Member implements TurnMember {
  readonly #stream: number;
  readonly #world: World;
  records = 0;
  again = 0;
  more = 0;
  /** What has come in since the last step. */
  input = 0;
  isAwaitedNow = false;
  isMute = false;
  onAfterSync: () => void = () => {};
  onStep: () => void = () => {};

  constructor(world: World, stream: number, records: number) {
    this.#world = world;
    this.#stream = stream;
    this.records = records;
  }

  step(): void {
    this.#world.trace.push(`step ${this.#stream}`);
    this.input = 0;
    this.onStep();
  }

  takeRecords(into: WalRecord[]): void {
    for (; this.records > 0; this.records--) {
      into.push({ stream: this.#stream, payload: new Uint8Array(1) });
    }
  }

  releaseBeforeSync(): void {
    this.#world.trace.push(`before ${this.#stream}`);
    if (!this.isMute) this.#world.mail(1000 + this.#stream);
  }

  afterSync(): void {
    this.#world.trace.push(`after ${this.#stream}`);
    if (!this.isMute) this.#world.mail(2000 + this.#stream);
    this.onAfterSync();
  }

  hear(): void {
    this.#world.trace.push(`hear ${this.#stream}`);
    this.#world.mail(3000 + this.#stream);
  }

  hasWork(): boolean {
    return this.again-- > 0;
  }

  hasMore(): boolean {
    return this.more-- > 0;
  }

  hasInput(): boolean {
    return this.input > 0;
  }

  isAwaited(): boolean {
    return this.isAwaitedNow;
  }
}

class World {
  readonly trace: string[] = [];
  readonly ports = new FakePorts();
  readonly wal = new HeldWal(this.trace);
  readonly post: PostOffice;
  readonly loop: TurnLoop;

  constructor() {
    this.post = new PostOffice(this.ports, 'n1:00000001' as ReplicaId, 'c1', 7);
    this.loop = new TurnLoop(
      this.ports.clock,
      this.wal,
      this.post,
      this.ports.telemetry,
      (reason, error) => this.ports.fatal(reason, error),
    );
    const send = this.ports.bus.send.bind(this.ports.bus);
    this.ports.bus.send = (to, lane, payload) => {
      this.trace.push('posted');
      return send(to, lane, payload);
    };
  }

  mail(revision: number): void {
    const message = { type: 'ClosedRevision' as const, revision, index: 1 };
    const routed = { group: 1 as GroupId, to: 'n2:00000002' as ReplicaId, message };
    this.post.post('n2' as NodeId, 'raft', routed, 96);
    this.loop.mail();
  }

  member(stream: number, records: number): Member {
    const member = new Member(this, stream, records);
    this.loop.add(member);
    return member;
  }

  run(): string[] {
    this.ports.clock.runSoon();
    return this.trace.splice(0);
  }
}

describe('the turn', () => {
  it('appends and syncs once for all members, between the two releases', () => {
    const world = new World();
    world.member(1, 2);
    world.member(2, 1);
    world.member(3, 0);
    expect(world.run()).toEqual([
      ...['step 1', 'step 2', 'step 3', 'before 1', 'before 2', 'before 3'],
      ...['append 1 1 2', 'posted', 'sync begins'],
    ]);
    world.wal.end(null);
    expect(world.run()).toEqual(['synced', 'after 1', 'after 2', 'after 3', 'posted']);
    const sent = world.ports.bus.messages().map((m) => 'revision' in m && m.revision);
    expect(sent).toEqual([1001, 1002, 1003, 2001, 2002, 2003]);
    expect(world.ports.telemetry.total('wal_syncs')).toBe(1);
    expect(world.ports.telemetry.total('wal_records')).toBe(3);
  });

  it('lets a sync be done in the call when nothing has to leave meanwhile, with the same order', () => {
    const world = new World();
    world.wal.isQuick = true;
    const one = Object.assign(world.member(1, 1), { isMute: true });
    const wanted = ['step 1', 'before 1', 'append 1', 'sync begins'];
    expect(world.run()).toEqual([...wanted, 'synced', 'after 1']);
    world.loop.wake(Object.assign(one, { isMute: false, records: 1 }));
    expect(world.run()).toEqual(wanted.toSpliced(3, 0, 'posted'));
  });

  it('does not touch the WAL when there is nothing to write', () => {
    const world = new World();
    world.member(1, 0);
    expect(world.run()).toEqual(['step 1', 'before 1', 'after 1', 'posted']);
  });

  it('posts what members say with their turn, and what others say soon', () => {
    const world = new World();
    world.member(1, 1);
    let asked = 0;
    const { clock } = world.ports;
    const soon = clock.soon.bind(clock);
    clock.soon = (run) => {
      asked++;
      soon(run);
    };
    world.run();
    world.wal.end(null);
    world.run();
    expect(asked).toBe(0);
    world.mail(5);
    world.mail(6);
    expect(world.run()).toEqual(['posted']);
    expect(asked).toBe(1);
  });

  it('leaves work that arrives during a sync to the next turn, in which all of it gathers', () => {
    const world = new World();
    const one = world.member(1, 1);
    world.run();
    const two = world.member(2, 1);
    one.records = 3;
    world.loop.wake(one);
    world.loop.wake(two);
    expect(world.run()).toEqual([]);
    world.wal.end(null);
    expect(world.run()).toEqual([
      ...['synced', 'after 1', 'posted', 'step 2', 'step 1', 'before 2', 'before 1'],
      ...['append 2 1 1 1', 'posted', 'sync begins'],
    ]);
  });

  it('gives another turn to a member that has work left, without being woken', () => {
    const world = new World();
    const one = world.member(1, 0);
    one.again = 1;
    expect(world.run().filter((line) => line === 'step 1')).toHaveLength(2);
  });

  it('hears acknowledgements while a sync is in flight, and sends what follows from them', () => {
    const world = new World();
    const one = world.member(1, 1);
    world.run();
    one.more = 1;
    world.loop.hear(one);
    world.loop.hear(one);
    expect(world.run()).toEqual(['hear 1', 'posted', 'hear 1', 'posted']);
    world.wal.end(null);
    expect(world.run()).toEqual(['synced', 'after 1', 'posted']);
    const sent = world.ports.bus.messages().map((m) => 'revision' in m && m.revision);
    expect(sent).toEqual([1001, 3001, 3001, 2001]);
  });

  it('begins the next sync before what the last one allows is applied', () => {
    const world = new World();
    const one = world.member(1, 1);
    world.run();
    one.more = 1;
    one.records = 1;
    world.loop.wake(one);
    world.wal.end(null);
    expect(world.run()).toEqual([
      ...['synced', 'after 1', 'posted', 'step 1', 'before 1', 'append 1', 'posted', 'sync begins'],
      ...['hear 1', 'posted'],
    ]);
  });

  it('takes those that a step asks something of into the same turn, and its sync', () => {
    const world = new World();
    const [one, two] = [world.member(1, 0), world.member(2, 0)];
    world.run();
    one.onStep = () => {
      two.input++;
      two.records = 1;
      world.loop.wake(two);
    };
    world.loop.wake(two);
    world.loop.wake(one);
    expect(world.run()).toEqual([
      ...['step 2', 'step 1', 'step 2', 'before 2', 'before 1'],
      ...['append 2', 'posted', 'sync begins'],
    ]);
    world.wal.end(null);
    expect(world.run()).toEqual(['synced', 'after 2', 'after 1', 'posted']);
  });

  it('ends a turn in which members go on asking each other, and goes on in the next', () => {
    const world = new World();
    const [one, two] = [world.member(1, 0), world.member(2, 0)];
    world.run();
    let left = 9;
    const ask = (other: Member) => (): void => {
      if (left-- === 0) return;
      other.input++;
      world.loop.wake(other);
    };
    one.onStep = ask(two);
    two.onStep = ask(one);
    world.loop.wake(one);
    const turn = ['step 1', 'step 2', 'step 1', 'step 2'];
    const end = ['before 1', 'before 2', 'after 1', 'after 2', 'posted'];
    const rest = ['step 1', 'step 2', 'before 1', 'before 2', 'after 1', 'after 2', 'posted'];
    expect(world.run()).toEqual([...turn, ...end, ...turn, ...end, ...rest]);
  });

  it('leaves a member that woke itself and has nothing to do to the next turn', () => {
    const world = new World();
    const one = world.member(1, 1);
    world.run();
    world.wal.end(null);
    world.run();
    one.onStep = () => {
      one.onStep = () => {};
      world.loop.wake(one);
    };
    one.records = 1;
    world.loop.wake(one);
    expect(world.run()).toEqual(['step 1', 'before 1', 'append 1', 'posted', 'sync begins']);
    world.wal.end(null);
    expect(world.run()).toEqual([
      ...['synced', 'after 1', 'posted', 'step 1', 'before 1', 'after 1', 'posted'],
    ]);
  });

  it('hears a member that others wait for before the next sync begins', () => {
    const world = new World();
    const one = world.member(1, 1);
    world.run();
    one.isAwaitedNow = true;
    one.records = 1;
    world.loop.wake(one);
    world.wal.end(null);
    expect(world.run()).toEqual([
      ...['synced', 'after 1', 'hear 1', 'posted', 'step 1', 'before 1'],
      ...['append 1', 'posted', 'sync begins'],
    ]);
  });

  it('hears nothing for a member that has left or after it was stopped', () => {
    const world = new World();
    const one = world.member(1, 0);
    world.run();
    world.loop.hear(one);
    world.loop.remove(one);
    expect(world.run()).toEqual([]);
    const two = world.member(2, 0);
    world.run();
    world.loop.hear(two);
    world.loop.stop();
    expect(world.run()).toEqual([]);
  });

  it('wakes only those who were woken', () => {
    const world = new World();
    world.member(1, 0);
    const two = world.member(2, 0);
    world.run();
    world.loop.wake(two);
    expect(world.run()).toEqual(['step 2', 'before 2', 'after 2', 'posted']);
  });

  it('ends the process after a failed sync: nobody goes on and nothing more is sent (T5)', () => {
    const world = new World();
    const one = world.member(1, 1);
    world.run();
    world.mail(7);
    world.loop.mail();
    world.wal.end(new Error('EIO'));
    world.loop.wake(one);
    world.loop.mail();
    expect(world.run()).toEqual(['sync fails']);
    expect(world.ports.fatals).toEqual([
      { reason: 'the write-ahead log could not be synced', error: new Error('EIO') },
    ]);
  });

  it('lets mail that was posted outside of a turn go soon, all of it at once', () => {
    const world = new World();
    world.mail(1);
    world.loop.mail();
    world.mail(2);
    world.loop.mail();
    expect(world.trace).toEqual([]);
    expect(world.run()).toEqual(['posted']);
  });

  it('does nothing for a member that has left, not even after its sync', () => {
    const world = new World();
    const one = world.member(1, 1);
    world.run();
    world.loop.remove(one);
    world.wal.end(null);
    expect(world.run()).toEqual(['synced']);
  });

  it('takes no turn after it was stopped', () => {
    const world = new World();
    const one = world.member(1, 1);
    world.run();
    world.loop.stop();
    world.wal.end(null);
    world.loop.wake(one);
    expect(world.run()).toEqual(['synced']);
    expect(world.ports.fatals).toEqual([]);
  });
});
