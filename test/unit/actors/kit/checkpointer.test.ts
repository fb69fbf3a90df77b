import { describe, expect, it } from 'vitest';
import { type Checkpointed, Checkpointer } from '../../../../actors/kit/checkpointer.ts';
import { PostOffice } from '../../../../actors/kit/post-office.ts';
import { TurnLoop } from '../../../../actors/kit/turn-loop.ts';
import { decide } from '../../../../actors/raft/decide.ts';
import type { DurableRaftEvent } from '../../../../actors/raft/events.ts';
import { EMPTY_CONFIG, type LogPoint } from '../../../../actors/raft/log.ts';
import { birthOf, checkpointEvents, recoverState } from '../../../../actors/raft/recover.ts';
import type { RaftState } from '../../../../actors/raft/state.ts';
import { decodeEvent, encodeEvent } from '../../../../actors/raft/wal-codec.ts';
import type { ReplicaId } from '../../../../protocol/types.ts';
import { DiskError } from '../../../../storage/disk/port.ts';
import type { Wal, WalRecord } from '../../../../storage/ports.ts';
import { FakePorts } from '../../../kit/fake-ports.ts';
import { settle } from '../../../kit/hand-clock.ts';
import { MemoryState } from '../../../kit/memory-state.ts';
import { command } from '../../../kit/raft-given.ts';
import { RecordedOutbox } from '../../../kit/recorded-outbox.ts';

const self = 'n1:00000001' as ReplicaId;
const CONFIG = { ...EMPTY_CONFIG, voters: [self] };
const LARGE = 'x'.repeat(300_000);

/** What a crash at one moment leaves. */
interface Remains {
  readonly moment: string;
  readonly records: readonly WalRecord[];
  readonly applied: ReadonlyMap<number, number>;
}

/** A WAL in memory: a crash keeps what was synced and not dropped. */
class MemoryWal implements Wal {
  #kept: { readonly at: number; readonly record: WalRecord }[] = [];
  #end = 0;
  #synced = 0;
  onMoment: (moment: string) => void = () => {};
  failing = false;

  append(records: readonly WalRecord[]): number {
    for (const record of records) this.#kept.push({ at: this.#end++, record });
    this.onMoment('appended');
    return this.#end;
  }

  sync(done: (error: Error | null) => void): void {
    this.#synced = this.#end;
    this.onMoment('synced');
    done(null);
  }

  position(): number {
    return this.#end;
  }

  sizeBytes(): number {
    return this.#kept.length;
  }

  async dropBefore(position: number): Promise<void> {
    if (this.failing) throw new Error('EIO');
    this.#kept = this.#kept.filter(({ at }) => at >= position);
    this.onMoment('dropped');
  }

  async close(): Promise<void> {}

  durable(): WalRecord[] {
    return this.#kept.filter(({ at }) => at < this.#synced).map(({ record }) => record);
  }
}

/** A replica reduced to its log: a core, its records, and how far its engine is. */
class LogOnly implements Checkpointed {
  readonly stream: number;
  readonly raft: RaftState;
  readonly #outbox: RecordedOutbox;
  #taken = 0;

  constructor(stream: number, entries: number) {
    this.stream = stream;
    this.raft = recoverState({ self, seed: stream }, [birthOf(CONFIG)], pointZero()).state;
    this.#outbox = new RecordedOutbox(this.raft);
    this.#outbox.durable.push(birthOf(CONFIG));
    this.#outbox.emit({ type: 'TermAdvanced', term: 3 });
    this.#outbox.emit({ type: 'VoteCast', candidateId: self });
    for (let i = 1; i <= entries; i++) {
      const appended = [command(i, 3, `${stream}/${i} ${LARGE}`)];
      this.#outbox.emit({ type: 'EntriesAppended', prevLogIndex: i - 1, entries: appended });
    }
    this.#outbox.emit({ type: 'CommitAdvanced', commitIndex: entries });
    const applied = entries - 1;
    decide(this.raft, { type: 'Applied', appliedIndex: applied, flushedIndex: 0 }, 0, this.#outbox);
  }

  appliedIndex(): number {
    return this.raft.appliedIndex;
  }

  onFlushed(flushedIndex: number): void {
    const { appliedIndex } = this.raft;
    decide(this.raft, { type: 'Applied', appliedIndex, flushedIndex }, 0, this.#outbox);
    decide(this.raft, { type: 'Compact' }, 0, this.#outbox);
  }

  checkpoint(): Uint8Array[] {
    return checkpointEvents(this.raft).map(encodeEvent);
  }

  takeRecords(into: WalRecord[]): void {
    const { durable } = this.#outbox;
    for (; this.#taken < durable.length; this.#taken++) {
      into.push({ stream: this.stream, payload: encodeEvent(durable[this.#taken] as never) });
    }
  }

  step(): void {}
  releaseBeforeSync(): void {}
  afterSync(): void {}
  hear(): void {}

  hasMore(): boolean {
    return false;
  }

  hasInput(): boolean {
    return false;
  }

  isAwaited(): boolean {
    return false;
  }

  hasWork(): boolean {
    return false;
  }
}

function pointZero(): LogPoint {
  return { index: 0, term: 0, config: EMPTY_CONFIG, clockBound: 0 };
}

class World {
  readonly ports = new FakePorts();
  readonly wal = new MemoryWal();
  readonly state = new MemoryState();
  readonly replicas = [new LogOnly(1, 8), new LogOnly(2, 2)];
  readonly loop: TurnLoop;
  readonly checkpointer: Checkpointer;
  readonly remains: Remains[] = [];
  /** What the engine has on disk of each group. */
  flushed = new Map([
    [1, 0],
    [2, 0],
  ]);

  constructor() {
    const post = new PostOffice(this.ports, self, 'c1', 7);
    const { clock, telemetry } = this.ports;
    const fatal = (reason: string, error: unknown) => this.ports.fatal(reason, error);
    this.loop = new TurnLoop(clock, this.wal, post, telemetry, fatal);
    const all = () => this.replicas;
    this.checkpointer = new Checkpointer(this.loop, this.wal, this.state, all, fatal);
    for (const replica of this.replicas) this.loop.add(replica);
    this.loop.add(this.checkpointer);
    clock.runSoon();
    this.state.flush = async () => {
      this.note('flush begins');
      this.flushed = new Map(this.replicas.map((r) => [r.stream, r.appliedIndex()]));
      this.note('flushed');
    };
    this.wal.onMoment = (moment) => this.note(moment);
  }

  note(moment: string): void {
    this.remains.push({ moment, records: this.wal.durable(), applied: new Map(this.flushed) });
  }

  async finish(run: Promise<void>): Promise<void> {
    let done = false;
    run.then(() => {
      done = true;
    });
    while (!done) {
      this.ports.clock.runSoon();
      await settle();
    }
  }
}

/** The log as a crash leaves it, replayed. */
function replay(remains: Remains, stream: number, live: RaftState): RaftState {
  const events: DurableRaftEvent[] = remains.records
    .filter((record) => record.stream === stream)
    .map(({ payload }) => decodeEvent(payload));
  const index = remains.applied.get(stream) ?? 0;
  const term = index === 0 ? 0 : 3;
  const applied = { ...pointZero(), index, term, config: live.log.config };
  const { state, repair } = recoverState({ self, seed: 0 }, events, applied);
  expect(repair).toEqual([]);
  return state;
}

function hex(raft: RaftState, index: number): string {
  return Buffer.from(raft.log.entryAt(index)?.bytes ?? '').toString('hex');
}

describe('a checkpoint', () => {
  it('leaves a log that replays to the same state, wherever a crash cuts it', async () => {
    const world = new World();
    await world.finish(world.checkpointer.run());
    const moments = world.remains.map(({ moment }) => moment);
    expect(moments).toEqual(['flush begins', 'flushed', 'appended', 'synced', 'dropped']);
    for (const remains of world.remains) {
      for (const { raft, stream } of world.replicas) {
        const replayed = replay(remains, stream, raft);
        expect([replayed.currentTerm, replayed.votedFor]).toEqual([3, self]);
        expect(replayed.log.lastIndex).toBe(raft.log.lastIndex);
        expect(replayed.log.config).toEqual(CONFIG);
        expect(replayed.appliedIndex).toBe(remains.applied.get(stream));
        for (let i = raft.log.baseIndex + 1; i <= raft.log.lastIndex; i++) {
          expect(hex(replayed, i)).toBe(hex(raft, i));
        }
      }
    }
  });

  it('lets the log forget what the engine holds, but for a tail for slow followers', async () => {
    const world = new World();
    await world.finish(world.checkpointer.run());
    expect(world.replicas.map(({ raft }) => raft.log.baseIndex)).toEqual([6, 0]);
    const [before, after] = [world.remains[0], world.remains.at(-1)];
    expect(before?.records).toHaveLength(3 + 8 + 3 + 2);
    // What a replica still held comes first, so that the checkpoint is the later truth.
    const kept = after?.records.map(({ stream, payload }) => [stream, decodeEvent(payload).type]);
    expect(kept).toEqual([
      [1, 'LogCompacted'],
      [1, 'HardStateSaved'],
      [1, 'EntriesAppended'],
      [2, 'HardStateSaved'],
      [2, 'EntriesAppended'],
    ]);
  });

  it('runs once at a time', async () => {
    const world = new World();
    const run = world.checkpointer.run();
    await world.checkpointer.run();
    await world.finish(run);
    expect(world.remains.filter(({ moment }) => moment === 'flushed')).toHaveLength(1);
    await world.finish(world.checkpointer.run());
    expect(world.remains.filter(({ moment }) => moment === 'flushed')).toHaveLength(2);
  });

  it('F15 that a stop ends while it waits for room is no failure', async () => {
    const world = new World();
    world.state.flush = async () => {
      throw new DiskError('ECANCELED', 'the state was closed before there was room for it');
    };
    await world.finish(world.checkpointer.run());
    expect(world.ports.fatals).toEqual([]);
    expect(world.remains).toEqual([]);
  });

  it('ends the process when it cannot be written', async () => {
    const world = new World();
    world.wal.failing = true;
    await world.finish(world.checkpointer.run());
    expect(world.ports.fatals).toEqual([
      { reason: 'a checkpoint could not be written', error: new Error('EIO') },
    ]);
  });
});
