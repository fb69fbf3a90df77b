import type { SnapshotMeta } from '../../protocol/messages/raft.ts';
import { randomHex } from '../../protocol/random.ts';
import { GroupState } from '../apply/group-state.ts';
import { loadSnapshot, rowsWithConfig, snapshotRows } from '../apply/snapshot-rows.ts';
import { countUncounted } from '../apply/usage-count.ts';
import type { ReplicaContext } from './context.ts';
import type { Chunk } from './outbox.ts';

/** What the snapshot work needs of its replica beside the shared context. */
export interface SnapshotHost {
  sendChunk(chunk: Chunk, data: Uint8Array): void;
  /** Applying stops while a snapshot is being loaded. */
  pauseApply(paused: boolean): void;
  /** The group's rows were replaced. */
  replaceState(state: GroupState): void;
}

/**
 * Snapshots in and out of one replica: the slow work that the core only asks for. Each answer comes
 * back as a command, so the core sees it in a turn like everything else.
 */
export class SnapshotWork {
  readonly #context: ReplicaContext;
  readonly #host: SnapshotHost;
  #making = false;
  #loading = false;
  /** What another leader is sending: leadership may be lost while a snapshot is being made. */
  #receivingId: string | null = null;
  /** Chunks are stored one after another. */
  #storing: Promise<void> = Promise.resolve();

  constructor(context: ReplicaContext, host: SnapshotHost) {
    this.#context = context;
    this.#host = host;
  }

  /** Seals a file of the state as applied now. */
  make(): void {
    if (this.#making) return;
    this.#making = true;
    this.#receivingId = null;
    this.#seal()
      .then(
        (meta) => this.#context.command({ type: 'SnapshotReady', meta }),
        (error: unknown) => this.#failed('', error),
      )
      .finally(() => {
        this.#making = false;
      });
  }

  async #seal(): Promise<SnapshotMeta> {
    const { group, ports, state } = this.#context;
    const config = state.config ?? this.#context.baseConfig();
    const view = state.view();
    const rows = snapshotRows(view);
    try {
      const snapshotId = randomHex(ports.random, 16);
      const meta = {
        snapshotId,
        lastIncludedIndex: view.appliedIndex,
        lastIncludedTerm: view.appliedTerm,
        config,
        clockBound: view.clockBound,
      };
      const sealed = await ports.storage.snapshots.create(group, meta, rows);
      await this.#removeBut(snapshotId);
      return sealed;
    } finally {
      await rows.close();
      await view.close();
    }
  }

  /** In turn with the chunks that are stored, so that none is stored while others go. */
  #removeBut(snapshotId: string): Promise<void> {
    const { group, ports } = this.#context;
    const removed = this.#storing.then(() => {
      const receivingId = this.#receivingId;
      const keep = receivingId === null ? [snapshotId] : [snapshotId, receivingId];
      return ports.storage.snapshots.remove(group, keep);
    });
    // Whoever asked hears of a failure; the next chunk does not depend on it.
    this.#storing = removed.catch(() => {});
    return removed;
  }

  send(chunk: Chunk, length: number): void {
    const { group, ports } = this.#context;
    const { meta, offset } = chunk;
    const bytes = Math.max(0, Math.min(length, meta.totalBytes - offset));
    ports.storage.snapshots.readChunk(group, meta.snapshotId, offset, bytes).then(
      (data) => this.#host.sendChunk(chunk, data),
      (error: unknown) => this.#failed(meta.snapshotId, error),
    );
  }

  store(meta: SnapshotMeta, offset: number, data: Uint8Array): void {
    const { group, ports } = this.#context;
    this.#receivingId = meta.snapshotId;
    this.#storing = this.#storing
      .then(() => ports.storage.snapshots.writeChunk(group, meta, offset, data))
      .then(
        (nextOffset) => {
          const { snapshotId } = meta;
          this.#context.command({ type: 'ChunkStored', snapshotId, nextOffset });
        },
        (error: unknown) => this.#failed(meta.snapshotId, error),
      );
  }

  /** Verifies the complete file and makes it the group's state, durably. */
  install(meta: SnapshotMeta): void {
    if (this.#loading) return;
    this.#loading = true;
    this.#host.pauseApply(true);
    this.#load(meta)
      .catch((error: unknown) => this.#failed(meta.snapshotId, error))
      .finally(() => {
        this.#loading = false;
        this.#host.pauseApply(false);
      });
  }

  async #load(meta: SnapshotMeta): Promise<void> {
    const { group, ports, state } = this.#context;
    const rows = await ports.storage.snapshots.openRows(group, meta.snapshotId);
    try {
      await loadSnapshot(state.store, group, rowsWithConfig(rows, meta.config));
    } finally {
      await rows.close();
    }
    // An older version may have made it.
    await countUncounted(state.store, group);
    // In one step: a checkpoint in between would tell the core of more applied than it knows of.
    this.#host.replaceState(GroupState.open(state.store, group));
    this.#context.command({ type: 'SnapshotInstalled', meta });
    // Before any chunk of the next transfer.
    this.#storing = this.#storing
      .then(() => ports.storage.snapshots.remove(group, []))
      .catch((error: unknown) => {
        ports.telemetry.log('warn', 'a snapshot was not removed', { group, error: `${error}` });
      });
  }

  /** A damaged or vanished file is fetched or made anew; the log tells why. */
  #failed(snapshotId: string, error: unknown): void {
    const { group, ports } = this.#context;
    ports.telemetry.log('warn', 'snapshot work failed', { group, snapshotId, error: `${error}` });
    ports.telemetry.count('raft_snapshots', 1, { group, action: 'failed' });
    this.#context.command({ type: 'SnapshotFailed', snapshotId });
  }
}
