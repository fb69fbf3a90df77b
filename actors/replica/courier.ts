import type { Message } from '../../protocol/envelope.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { RaftMessageOf } from '../../protocol/messages/raft.ts';
import type { Lane } from '../../protocol/subjects.ts';
import type { ReplicaId, Revision } from '../../protocol/types.ts';
import { messageBytes } from './message-bytes.ts';
import type { Chunk, HostOutbox, Outgoing } from './outbox.ts';
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
    for (let i = 0; i < beforeSync.length; i++) {
      const { to, message } = beforeSync[i] as Outgoing;
      if (!isSuperseded(beforeSync, i)) this.send(to, 'raft', message);
    }
  }

  /** Step 6. The caller knows that every record so far is durable. */
  releaseAfterSync(snapshots: SnapshotWork): void {
    const { afterSync, chunks } = this.#outbox;
    if (afterSync.length > 0) {
      this.#outbox.afterSync = [];
      for (let i = 0; i < afterSync.length; i++) {
        const { to, message } = afterSync[i] as Outgoing;
        if (!isSuperseded(afterSync, i)) this.send(to, 'raft', message);
      }
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

  /** Tells the other members: no event at or below `revision` will come after log index `index`. */
  announceClosed(revision: Revision, index: number, self: ReplicaId, members: GroupConfig): void {
    for (const to of [...members.voters, ...members.learners]) {
      if (to !== self) this.send(to, 'raft', { type: 'ClosedRevision', revision, index });
    }
  }

  send(to: ReplicaId, lane: Lane, message: Message): void {
    this.#post(to, lane, message, messageBytes(message));
  }
}

/**
 * Whether a later message of the queue says all that this one says, and more: the receiver loses nothing
 * by not getting it, as messages may be lost anyway. An empty AppendEntries before another one to the same
 * replica (which carries its commit index and its round, or later ones); a success before a later one.
 */
function isSuperseded(queue: readonly Outgoing[], at: number): boolean {
  const { to, message } = queue[at] as Outgoing;
  const isEmpty = message.type === 'AppendEntries' && message.entries.length === 0;
  const isSuccess = message.type === 'AppendEntriesReply' && message.success;
  if (!isEmpty && !isSuccess) return false;
  for (let i = at + 1; i < queue.length; i++) {
    const later = queue[i] as Outgoing;
    if (later.to !== to || later.message.type !== message.type) continue;
    if (isEmpty) return true;
    const reply = later.message as RaftMessageOf<'AppendEntriesReply'>;
    const { term, matchIndex, nonce } = message as RaftMessageOf<'AppendEntriesReply'>;
    return (
      reply.success && reply.term === term && reply.matchIndex >= matchIndex && reply.nonce >= nonce
    );
  }
  return false;
}
