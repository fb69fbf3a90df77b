import { describe, expect, it } from 'vitest';
import { EMPTY_CONFIG } from '../../../../actors/raft/log.ts';
import type { Chunk } from '../../../../actors/replica/outbox.ts';
import { SnapshotWork } from '../../../../actors/replica/snapshots.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { SnapshotMeta } from '../../../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../../../protocol/types.ts';
import { BASE, writeAt as write } from '../../../kit/applied-log.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';

/** Snapshot work of one replica; the host's side is written down. */
class Snapshots {
  readonly replica: FakeReplica;
  readonly trace: string[] = [];
  readonly chunks: { readonly chunk: Chunk; readonly data: Uint8Array }[] = [];
  readonly work: SnapshotWork;

  constructor(replica = FakeReplica.owning()) {
    this.replica = replica;
    this.work = new SnapshotWork(replica, {
      sendChunk: (chunk, data) => this.chunks.push({ chunk, data }),
      pauseApply: (paused) => this.trace.push(paused ? 'pause' : 'go on'),
      replaceState: (state) => {
        this.trace.push('replace');
        replica.state = state;
      },
    });
    const command = replica.command.bind(replica);
    replica.command = (one) => {
      this.trace.push(one.type);
      command(one);
    };
  }

  /** All work that is under way, its disk included. */
  async quiet(): Promise<void> {
    for (let i = 0; i < 20; i++) await this.replica.ports.clock.pass(1);
  }

  async made(): Promise<SnapshotMeta> {
    this.work.make();
    this.work.make();
    await this.quiet();
    const [made] = this.replica.commands.splice(0);
    if (made?.type !== 'SnapshotReady') throw new Error('no snapshot was made');
    return made.meta;
  }

  async all(meta: SnapshotMeta): Promise<Uint8Array> {
    const to = 'n2:00000002' as ReplicaId;
    this.work.send({ to, meta, offset: 0, term: 1, nonce: 1 }, LIMITS.snapshotChunkBytes);
    await this.quiet();
    return this.chunks.splice(0)[0]?.data as Uint8Array;
  }
}

describe('snapshot work', () => {
  it('carries a state to another replica, and tells the core in one step with the switch', async () => {
    const source = new Snapshots();
    source.replica.apply(write(BASE, 'a'));
    const meta = await source.made();
    expect(meta).toMatchObject({ lastIncludedIndex: 2, lastIncludedTerm: 1 });
    const data = await source.all(meta);
    expect(data).toHaveLength(meta.totalBytes);

    const target = new Snapshots(new FakeReplica());
    target.work.store(meta, 0, data);
    await target.quiet();
    expect(target.replica.commands.splice(0)).toEqual([
      { type: 'ChunkStored', snapshotId: meta.snapshotId, nextOffset: meta.totalBytes },
    ]);
    target.trace.length = 0;
    target.work.install(meta);
    target.work.install(meta);
    await target.quiet();
    // Nothing may come between the new state and the core's word for it.
    expect(target.trace).toEqual(['pause', 'replace', 'SnapshotInstalled', 'go on']);
    expect(target.replica.state.appliedIndex).toBe(2);
    expect(target.replica.state.keyCount).toBe(1);
    const { snapshots } = target.replica.ports.storage;
    await expect(snapshots.openRows(target.replica.group, meta.snapshotId)).rejects.toThrow();
  });

  it('keeps what another leader sends while its own is being sealed: leadership was lost', async () => {
    const source = new Snapshots();
    source.replica.apply(write(BASE, 'a'));
    const meta = await source.made();
    const data = await source.all(meta);

    const target = new Snapshots();
    const { snapshots } = target.replica.ports.storage;
    const create = snapshots.create.bind(snapshots);
    let goOn = (): void => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    snapshots.create = async (...made) => {
      await held;
      return create(...made);
    };
    target.work.make();
    target.work.store(meta, 0, data.subarray(0, 10));
    await target.quiet();
    goOn();
    await target.quiet();
    expect(target.trace.splice(0)).toEqual(['ChunkStored', 'SnapshotReady']);
    target.replica.commands.length = 0;
    target.work.store(meta, 10, data.subarray(10));
    await target.quiet();
    expect(target.replica.commands).toEqual([
      { type: 'ChunkStored', snapshotId: meta.snapshotId, nextOffset: meta.totalBytes },
    ]);
  });

  it('answers a failure of each kind as a command, and goes on', async () => {
    const host = new Snapshots();
    const { replica, work, trace } = host;
    const meta: SnapshotMeta = {
      ...{ snapshotId: 'ab', lastIncludedIndex: 5, lastIncludedTerm: 1, clockBound: 0 },
      ...{ config: EMPTY_CONFIG, totalBytes: 100 },
    };
    const { snapshots } = replica.ports.storage;
    const broken = () => Promise.reject(new Error('EIO'));
    Object.assign(snapshots, {
      create: broken,
      readChunk: broken,
      writeChunk: broken,
      openRows: broken,
    });
    work.make();
    work.send(
      { to: 'n2:00000002' as ReplicaId, meta, offset: 0, term: 1, nonce: 1 },
      LIMITS.snapshotChunkBytes,
    );
    work.store(meta, 0, new Uint8Array(10));
    work.install(meta);
    await host.quiet();
    expect(replica.commands.map((one) => 'snapshotId' in one && one.snapshotId).sort()).toEqual([
      '',
      'ab',
      'ab',
      'ab',
    ]);
    expect(trace.filter((step) => step === 'SnapshotFailed')).toHaveLength(4);
    expect(trace.filter((step) => step !== 'SnapshotFailed')).toEqual(['pause', 'go on']);
    const { telemetry } = replica.ports;
    expect(telemetry.total('raft_snapshots', { action: 'failed' })).toBe(4);
    expect(replica.store.viewsOpen).toBe(0);
  });

  it('of which a file stays behind is still done', async () => {
    const source = new Snapshots();
    const meta = await source.made();
    const data = await source.all(meta);
    const target = new Snapshots(new FakeReplica());
    target.work.store(meta, 0, data);
    await target.quiet();
    target.replica.ports.storage.snapshots.remove = () => Promise.reject(new Error('EIO'));
    target.work.install(meta);
    await target.quiet();
    expect(target.replica.commands.map(({ type }) => type)).toEqual([
      'ChunkStored',
      'SnapshotInstalled',
    ]);
    expect(target.replica.ports.telemetry.lines.map(({ message }) => message)).toEqual([
      'a snapshot was not removed',
    ]);
  });
});
