import type { Message } from '../../protocol/envelope.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import {
  type BlobMessage,
  type BlobMessageOf,
  blobMessages,
} from '../../protocol/messages/blob.ts';
import type { ObjectData } from '../../protocol/object-access.ts';
import { type NodeId, nodeOf, type ReplicaId } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { Ports } from '../kit/ports.ts';
import type { PostOffice } from '../kit/post-office.ts';
import { ObjectBytes } from './object-bytes.ts';
import { SourceTimes } from './source-times.ts';
import { BlobTransfers, type TransferCounts } from './transfers.ts';

/** A node says hello each second: one that was not heard for this long is asked only when it must be. */
const AWAY_MS = 2_500;

/** Chunks that one message takes away. */
const DISCARDED_MAX = 65_536;

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
}

/** What a node does with chunks: its transfers, and the bytes of objects as edges see them. */
export class NodeBlobs {
  readonly data: ObjectData;
  readonly #host: NodeBlobsHost;
  readonly #transfers: BlobTransfers;

  constructor(host: NodeBlobsHost) {
    this.#host = host;
    const { ports, post, self } = host;
    const { blobs } = ports.storage;
    const isAway = (node: NodeId): boolean => this.#isAway(node);
    this.#transfers = new BlobTransfers({
      ...{ ports, post, blobs },
      onDiscard: (message) => this.#discard(message),
      onDamage: () => ports.telemetry.count('storage_errors', 1, { part: 'blob' }),
    });
    const reader = {
      ...{ node: nodeOf(self), transfers: this.#transfers, blobs, times: new SourceTimes() },
      isAway,
      others: () => host.peers().filter((node) => node !== nodeOf(self)),
      onUnreadable: () => ports.telemetry.count('storage_errors', 1, { part: 'blob' }),
    };
    this.data = new ObjectBytes({
      ...{ ports, self, transfers: this.#transfers, blobs, reader, isAway },
      members: (ref) => host.members(ref),
    });
  }

  onMessage(from: ReplicaId, message: BlobMessage): void {
    this.#transfers.onMessage(from, message);
  }

  tick(): void {
    this.#transfers.tick();
  }

  transfers(): TransferCounts {
    return this.#transfers.counts;
  }

  nodeGone(node: NodeId): void {
    this.#transfers.nodeGone(node);
  }

  stop(): void {
    this.#transfers.stop();
  }

  #isAway(node: NodeId): boolean {
    if (node === nodeOf(this.#host.self)) return false;
    return this.#host.isAbsent(node) || this.#host.silentMs(node) > AWAY_MS;
  }

  #discard({ data, chunks }: BlobMessageOf<'BlobDiscard'>): void {
    const length = Math.min(chunks, DISCARDED_MAX);
    const names = Array.from({ length }, (_, number) => ({ data, number }));
    this.#host.ports.storage.blobs.remove(names).catch(() => {}); // the sweep finds what is left
  }
}

export function isBlob(message: Message): message is BlobMessage {
  return Object.hasOwn(blobMessages, message.type);
}
