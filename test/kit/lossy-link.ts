import { encodeWith, unpackBytes } from '../../protocol/codec.ts';
import { type BlobMessage, blobMessageCodec } from '../../protocol/messages/blob.ts';
import type { Random } from '../../protocol/random.ts';
import type { NodeId } from '../../protocol/types.ts';

export interface LinkFaults {
  readonly dropRate: number;
  readonly repeatRate: number;
  readonly delayMs: readonly [min: number, max: number];
}

export const PERFECT: LinkFaults = { dropRate: 0, repeatRate: 0, delayMs: [1, 1] };

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

const BOUNDS = { bytesMax: 1024 * 1024, itemsMax: 100, depthMax: 8 };

/** Virtual time, and messages between nodes that are lost, repeated, delayed and so reordered, by seed. */
export class LossyLink {
  nowMs = 0;
  sent = 0;
  readonly #random: Random;
  readonly #faults: LinkFaults;
  readonly #handlers = new Map<NodeId, (from: NodeId, message: BlobMessage) => void>();
  #events: Event[] = [];
  #order = 0;

  constructor(random: Random, faults: LinkFaults) {
    this.#random = random;
    this.#faults = faults;
  }

  listen(node: NodeId, handle: (from: NodeId, message: BlobMessage) => void): void {
    this.#handlers.set(node, handle);
  }

  send(from: NodeId, to: NodeId, message: BlobMessage): void {
    this.sent++;
    const { dropRate, repeatRate, delayMs } = this.#faults;
    const bytes = encodeWith(blobMessageCodec, message);
    const copies = this.#random.next() < dropRate ? 0 : this.#random.next() < repeatRate ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const late = this.#random.next() < repeatRate ? 3_000 : 0;
      const wait = delayMs[0] + this.#random.next() * (delayMs[1] - delayMs[0]);
      this.after(wait + this.#random.next() * late, () => {
        const arrived = blobMessageCodec.unpack(unpackBytes(bytes, BOUNDS));
        this.#handlers.get(to)?.(from, arrived);
      });
    }
  }

  after(ms: number, run: () => void): void {
    this.#events.push({ atMs: this.nowMs + ms, order: this.#order++, run });
  }

  /** Runs until `isOver`, or until `maxMs` have passed. */
  run(isOver: () => boolean, maxMs: number): void {
    const endMs = this.nowMs + maxMs;
    while (!isOver()) {
      let next: Event | undefined;
      for (const event of this.#events) {
        if (next === undefined || event.atMs < next.atMs) next = event;
      }
      if (next === undefined || next.atMs > endMs) return;
      this.#events = this.#events.filter((event) => event !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
  }
}
