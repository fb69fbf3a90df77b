import type { Message } from '../../protocol/envelope.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Lane } from '../../protocol/subjects.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import { messageBytes } from './message-bytes.ts';
import type { Chunk, HostOutbox } from './outbox.ts';
import type { SnapshotWork } from './snapshots.ts';

type Post = (to: ReplicaId, lane: Lane, message: Message, bytes: number) => void;

/**
 * Lets messages of one replica go in the turn's order. What depends on records that were born after
 * the sync is held back until the next turn has synced them.
 */
export class Courier {
  readonly #outbox: HostOutbox;
  readonly #post: Post;

  constructor(outbox: HostOutbox, post: Post) {
    this.#outbox = outbox;
    this.#post = post;
  }

  /** Step 4: only AppendEntries are in this queue. */
  releaseBeforeSync(): void {
    const { beforeSync } = this.#outbox;
    if (beforeSync.length === 0) return;
    this.#outbox.beforeSync = [];
    for (const { to, message } of beforeSync) this.send(to, 'raft', message);
  }

  /** Step 6. The caller knows that every record so far is durable. */
  releaseAfterSync(snapshots: SnapshotWork): void {
    const { afterSync, chunks } = this.#outbox;
    if (afterSync.length > 0) {
      this.#outbox.afterSync = [];
      for (const { to, message } of afterSync) this.send(to, 'raft', message);
    }
    if (chunks.length > 0) {
      this.#outbox.chunks = [];
      for (const chunk of chunks) snapshots.send(chunk, LIMITS.snapshotChunkBytes);
    }
  }

  sendChunk(chunk: Chunk, data: Uint8Array): void {
    const { term, meta, offset, nonce } = chunk;
    this.send(chunk.to, 'snapshot', { type: 'InstallSnapshot', term, meta, offset, data, nonce });
  }

  send(to: ReplicaId, lane: Lane, message: Message): void {
    this.#post(to, lane, message, messageBytes(message));
  }
}
