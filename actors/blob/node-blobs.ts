import type { ChunkName, DataId } from '../../protocol/blob.ts';
import type { Message } from '../../protocol/envelope.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import {
  type BlobMessage,
  type BlobMessageOf,
  blobMessages,
} from '../../protocol/messages/blob.ts';
import type { ChunksHeld } from '../../protocol/messages/node.ts';
import type { ObjectData } from '../../protocol/object-access.ts';
import { type GroupId, type NodeId, nodeOf, type ReplicaId } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { Ports } from '../kit/ports.ts';
import type { PostOffice } from '../kit/post-office.ts';
import { BytesReader } from './bytes-reader.ts';
import { BlobKeeper } from './keeper.ts';
import { Mender } from './mender.ts';
import { ObjectBytes } from './object-bytes.ts';
import type { KeptGroup } from './restore.ts';
import type { ScrubPace } from './scrub-plan.ts';
import { SourceTimes } from './source-times.ts';
import type { GroupSight } from './sweep.ts';
import { BlobTransfers, type TransferCounts } from './transfers.ts';

/** A node says hello each second: one that was not heard for this long is asked only when it must be. */
const AWAY_MS = 2_500;

/** Chunks that one message takes away. */
const DISCARDED_MAX = 65_536;
const KEEPER_EVERY_MS = 1_000;

export interface NodeBlobsHost {
  readonly ports: Ports;
  readonly post: Pick<PostOffice, 'encode'>;
  readonly self: ReplicaId;
  /** The members of the group of `ref`, as far as this node knows. */
  members(ref: KeyRef): GroupConfig;
  /** Nodes that were heard lately. */
  peers(): readonly NodeId[];
  /** The bus says that nobody is there. */
  isAbsent(node: NodeId): boolean;
  silentMs(node: NodeId): number;
  /** How fast and how often everything is read again; null: nothing is looked after unless it is asked for. */
  readonly pace: ScrubPace | null;
  /** Groups that hold keys and have a replica here. */
  groups(): readonly KeptGroup[];
  /** All replicas here, that of the meta group too. */
  replicas(): readonly KeptGroup[];
  /** All groups that hold keys. */
  dataGroups(): readonly GroupId[];
  /** What a group that has no replica here says of this data; null: it does not answer. */
  look(group: GroupId, ids: readonly DataId[]): Promise<GroupSight | null>;
  /** Has all groups close the revisions up to now, as far as they can. */
  close(): Promise<void>;
}

/** What a node does with chunks: its transfers, the bytes of objects as edges see them, and the care for its disk. */
export class NodeBlobs {
  readonly data: ObjectData;
  readonly keeper: BlobKeeper;
  readonly #host: NodeBlobsHost;
  readonly #transfers: BlobTransfers;
  readonly #mender: Mender;
  #keptMs = 0;

  constructor(host: NodeBlobsHost) {
    this.#host = host;
    const { ports, post, self, pace } = host;
    const { blobs } = ports.storage;
    const isAway = (node: NodeId): boolean => this.#isAway(node);
    const others = () => host.peers().filter((node) => node !== nodeOf(self));
    const transfers = new BlobTransfers({
      ...{ ports, post, blobs },
      onDiscard: (message) => this.#discard(message),
      onDamage: (chunk) => this.#unreadable(chunk, others()),
    });
    const reader = new BytesReader({
      ...{ node: nodeOf(self), transfers, blobs, times: new SourceTimes(), isAway, others },
      onUnreadable: (chunk, holders) => {
        if (holders.includes(nodeOf(self))) this.#unreadable(chunk, holders);
      },
    });
    this.#transfers = transfers;
    this.#mender = new Mender({
      ...{ blobs, reader },
      onMended: (chunk, mended, reason) => {
        ports.telemetry.count('blob_chunks_mended', 1, { outcome: mended });
        if (mended === 'mended') return;
        ports.telemetry.log('warn', 'a chunk could not be brought here', { ...chunk, reason });
      },
    });
    this.keeper = new BlobKeeper({
      ...{ ports, blobs, mender: this.#mender, pace, others },
      groups: () => host.groups(),
      replicas: () => host.replicas(),
      dataGroups: () => host.dataGroups(),
      look: (group, ids) => host.look(group, ids),
      close: () => host.close(),
    });
    this.data = new ObjectBytes({
      ...{ ports, self, transfers, blobs, reader, isAway, others },
      members: (ref) => host.members(ref),
      isKnown: (id) => this.keeper.isKnown(id),
    });
  }

  onMessage(from: ReplicaId, message: BlobMessage): void {
    this.#transfers.onMessage(from, message);
  }

  /** Called a few times a second. */
  tick(): void {
    this.#transfers.tick();
    const nowMs = this.#host.ports.clock.monotonicMs();
    if (nowMs - this.#keptMs < KEEPER_EVERY_MS) return;
    this.#keptMs = nowMs;
    this.keeper.tick();
  }

  /** What the replicas here say of their chunks; null: they are not looked after. */
  held(): ChunksHeld[] | null {
    return this.#host.pace === null ? null : this.keeper.holdings.said();
  }

  transfers(): TransferCounts {
    return this.#transfers.counts;
  }

  nodeGone(node: NodeId): void {
    this.#transfers.nodeGone(node);
  }

  stop(): void {
    this.keeper.stop();
    this.#transfers.stop();
  }

  #isAway(node: NodeId): boolean {
    if (node === nodeOf(this.#host.self)) return false;
    return this.#host.isAbsent(node) || this.#host.silentMs(node) > AWAY_MS;
  }

  /** A chunk that should be here is not, or cannot be read: its reader goes elsewhere, and it is brought here. */
  #unreadable(chunk: ChunkName, holders: readonly NodeId[]): void {
    this.#host.ports.telemetry.count('storage_errors', 1, { part: 'blob' });
    this.keeper.unreadable(chunk, holders);
  }

  /** Its writer says that nothing names it. Where a record does, the writer is wrong. */
  #discard({ data, chunks }: BlobMessageOf<'BlobDiscard'>): void {
    if (this.keeper.isKnown(data)) return;
    const length = Math.min(chunks, DISCARDED_MAX);
    const names = Array.from({ length }, (_, number) => ({ data, number }));
    this.#host.ports.storage.blobs.remove(names).catch(() => {}); // the sweep finds what is left
  }
}

export function isBlob(message: Message): message is BlobMessage {
  return Object.hasOwn(blobMessages, message.type);
}
