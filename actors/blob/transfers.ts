import { assertNever } from '../../protocol/assert.ts';
import type { ChunkName } from '../../protocol/blob.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { BlobMessage } from '../../protocol/messages/blob.ts';
import { randomInt } from '../../protocol/random.ts';
import { type NodeId, nodeOf, type ReplicaId } from '../../protocol/types.ts';
import type { BlobStore } from '../../storage/ports.ts';
import type { Ports } from '../kit/ports.ts';
import type { PostOffice } from '../kit/post-office.ts';
import { ByteBudget } from './budget.ts';
import type { BlobCommand } from './commands.ts';
import { Courier } from './courier.ts';
import { type BlobHosted, type BlobMachine, startBlobMachine } from './machine.ts';
import type { TransferTimes } from './patience.ts';
import { BlobReceiving } from './receiving.ts';
import { ReceivingDisk } from './receiving-disk.ts';
import { BlobServing } from './serving.ts';
import { ServingDisk } from './serving-disk.ts';

export const TRANSFER_TIMES: TransferTimes = {
  retryMsMin: 200,
  retryMsMax: 1_600,
  giveUpMs: 5_000,
};
const IDLE_MS = 20_000;
const ENDED_MAX = 4_096;
const TICK_SLOW_MS = 1_000;
const TRANSFER_MAX = 0xffff_ffff;

/** A transfer that this node began: a chunk that it sends, or a range that it fetches. */
export interface OwnTransfer {
  readonly node: NodeId;
  message(from: ReplicaId, message: BlobMessage, nowMs: number): void;
  tick(nowMs: number): void;
  /** The other node is gone, as the bus says. */
  gone(nowMs: number): void;
  /** This node stops. */
  end(): void;
}

/** Chunks that are being received, those that are being sent to readers, and what this node began. */
export interface TransferCounts {
  readonly receiving: number;
  readonly serving: number;
  readonly own: number;
}

export interface TransfersHost {
  readonly ports: Pick<Ports, 'bus' | 'clock' | 'telemetry' | 'random' | 'fatal'>;
  readonly post: Pick<PostOffice, 'encode'>;
  readonly blobs: BlobStore;
  /** Chunks of this data that were written for nothing. */
  onDiscard(message: BlobMessage & { readonly type: 'BlobDiscard' }): void;
  /** A chunk that is here cannot be read. */
  onDamage(chunk: ChunkName): void;
}

/**
 * All transfers of a node: hosts their cores, feeds them in batches (one event of the machine each), and knows who began
 * which. It keeps nothing over a restart.
 */
export class BlobTransfers implements BlobHosted {
  readonly #host: TransfersHost;
  readonly #machine: BlobMachine;
  readonly #courier: Courier;
  readonly #receiving = new BlobReceiving({
    transfersMax: LIMITS.blobTransfersMax,
    queuedBytesMax: LIMITS.blobReceivingBytesMax,
    windowBytes: LIMITS.blobWindowBytes,
    chunkBytesMax: LIMITS.blobChunkBytesMax,
    idleMs: IDLE_MS,
    endedMax: ENDED_MAX,
  });
  readonly #serving = new BlobServing({
    transfersMax: LIMITS.blobTransfersMax,
    pieceBytes: LIMITS.blobPieceBytes,
    idleMs: IDLE_MS,
    endedMax: ENDED_MAX,
  });
  readonly #receivingDisk: ReceivingDisk;
  readonly #servingDisk: ServingDisk;
  readonly #own = new Map<number, OwnTransfer>();
  readonly #budgets = new Map<NodeId, ByteBudget>();
  #inbox: BlobCommand[] = [];
  #nextTransfer = 0;
  #slowTickMs = 0;
  #stopped = false;

  constructor(host: TransfersHost) {
    this.#host = host;
    this.#courier = new Courier(host.ports, host.post);
    const send = this.send.bind(this);
    const tell = (command: BlobCommand): void => this.push(command);
    this.#receivingDisk = new ReceivingDisk(host.blobs, send, tell);
    this.#servingDisk = new ServingDisk({
      ...{ blobs: host.blobs, send, tell },
      onDamage: (chunk) => host.onDamage(chunk),
    });
    this.#machine = startBlobMachine(this);
  }

  get nowMs(): number {
    return this.#host.ports.clock.monotonicMs();
  }

  get counts(): TransferCounts {
    return {
      receiving: this.#receiving.size,
      serving: this.#serving.size,
      own: this.#own.size,
    };
  }

  onMessage(from: ReplicaId, message: BlobMessage): void {
    this.push({ type: 'message', from, message });
  }

  /** It is done in the next batch, a moment from now. */
  push(command: BlobCommand): void {
    if (this.#stopped) return;
    this.#inbox.push(command);
    if (this.#inbox.length > 1) return;
    this.#host.ports.clock.soon(() => {
      if (!this.#stopped) this.#machine.send({ type: 'batch', nowMs: this.nowMs });
    });
  }

  /** Called a few times a second. */
  tick(): void {
    if (this.#stopped) return;
    const { nowMs } = this;
    for (const transfer of [...this.#own.values()]) transfer.tick(nowMs);
    if (nowMs - this.#slowTickMs < TICK_SLOW_MS) return;
    this.#slowTickMs = nowMs;
    this.#receiving.tick(nowMs, this.#receivingDisk);
    this.#serving.tick(nowMs, this.#servingDisk);
  }

  nodeGone(node: NodeId): void {
    const { nowMs } = this;
    for (const transfer of [...this.#own.values()]) {
      if (transfer.node === node) transfer.gone(nowMs);
    }
  }

  send(to: NodeId, message: BlobMessage): void {
    if (!this.#stopped) this.#courier.send(to, message);
  }

  /** Gives a transfer its number; it is heard until `forget`. */
  begin(make: (transfer: number) => OwnTransfer): number {
    // Numbers of an earlier life of this node may still be on their way.
    if (this.#nextTransfer === 0) {
      this.#nextTransfer = randomInt(this.#host.ports.random, 1, TRANSFER_MAX) * 0x10_0000;
    }
    const transfer = this.#nextTransfer++;
    this.#own.set(transfer, make(transfer));
    return transfer;
  }

  forget(transfer: number): void {
    this.#own.delete(transfer);
  }

  /** What may be on its way to a node at once, of all transfers. */
  budgetOf(node: NodeId): ByteBudget {
    let budget = this.#budgets.get(node);
    if (budget === undefined) {
      budget = new ByteBudget(LIMITS.blobSendingBytesMax);
      this.#budgets.set(node, budget);
    }
    return budget;
  }

  stop(): void {
    this.#machine.send({ type: 'stop' });
  }

  // BlobHosted.

  step(nowMs: number): void {
    const batch = this.#inbox;
    this.#inbox = [];
    try {
      for (const command of batch) this.#do(command, nowMs);
    } catch (error) {
      this.#machine.send({ type: 'broken' });
      this.#host.ports.fatal('the transfers of chunks broke an invariant', error);
    }
  }

  end(): void {
    this.#stopped = true;
    this.#courier.stop();
    for (const transfer of [...this.#own.values()]) transfer.end();
    this.#own.clear();
    this.#receivingDisk.abandonAll();
    this.#servingDisk.closeAll();
  }

  #do(command: BlobCommand, nowMs: number): void {
    const [received, read] = [this.#receivingDisk, this.#servingDisk];
    switch (command.type) {
      case 'message':
        return this.#hear(command.from, command.message, nowMs);
      case 'written':
        return this.#receiving.written(command.key, command.bytes, received);
      case 'sealed':
        return this.#receiving.sealed(command.key, command.sum, received);
      case 'notTaken':
        return this.#receiving.failed(command.key, command.reason, received);
      case 'opened':
        return this.#serving.opened(command.key, command.bytes, read);
      case 'read':
        return this.#serving.read(
          ...([command.key, command.offset, command.data, command.crc] as const),
          read,
        );
      case 'notRead':
        return this.#serving.failed(command.key, command.reason, read);
      default:
        return assertNever(command);
    }
  }

  #hear(from: ReplicaId, message: BlobMessage, nowMs: number): void {
    const node = nodeOf(from);
    switch (message.type) {
      case 'BlobWrite':
        return this.#receiving.write(node, message, nowMs, this.#receivingDisk);
      case 'BlobRead':
        return this.#serving.ask(node, message, nowMs, this.#servingDisk);
      case 'BlobAbandon':
        // Numbers are of the node that began it, whether it sent or fetched.
        this.#receiving.abandon(node, message, this.#receivingDisk);
        return this.#serving.abandon(node, message, this.#servingDisk);
      case 'BlobDiscard':
        return this.#host.onDiscard(message);
      default: {
        const own = this.#own.get(message.transfer);
        if (own?.node === node) own.message(from, message, nowMs);
      }
    }
  }
}
