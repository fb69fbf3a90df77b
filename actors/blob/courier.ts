import type { BlobMessage } from '../../protocol/messages/blob.ts';
import { META_GROUP, type NodeId } from '../../protocol/types.ts';
import type { Ports } from '../kit/ports.ts';
import type { PostOffice } from '../kit/post-office.ts';

/** The bus takes no more for the moment: it is tried again after this long. */
const RETRY_MS = 4;
/** What waits so long, or beyond these bytes, is dropped: transfers make up for it. */
const WAIT_MS_MAX = 2_000;
const WAIT_BYTES_MAX = 8 * 1024 * 1024;

interface Parcel {
  readonly to: NodeId;
  readonly payload: Uint8Array;
  readonly sinceMs: number;
}

/** Sends messages of chunks on their lane, each at once; holds back for a moment what the bus does not take. */
export class Courier {
  readonly #ports: Pick<Ports, 'bus' | 'clock' | 'telemetry'>;
  readonly #post: Pick<PostOffice, 'encode'>;
  #waiting: Parcel[] = [];
  #waitingBytes = 0;
  #cancel: (() => void) | null = null;

  constructor(ports: Pick<Ports, 'bus' | 'clock' | 'telemetry'>, post: Pick<PostOffice, 'encode'>) {
    this.#ports = ports;
    this.#post = post;
  }

  send(to: NodeId, message: BlobMessage): void {
    const payload = this.#post.encode(to, [{ group: META_GROUP, to: '', message }]);
    if (this.#waiting.length === 0 && this.#leaves(to, payload)) return;
    if (this.#waitingBytes + payload.length > WAIT_BYTES_MAX) return this.#drop();
    this.#waiting.push({ to, payload, sinceMs: this.#ports.clock.monotonicMs() });
    this.#waitingBytes += payload.length;
    this.#arm();
  }

  stop(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#cancel?.();
  }

  #leaves(to: NodeId, payload: Uint8Array): boolean {
    return this.#ports.bus.send(to, 'blob', payload);
  }

  #drop(): void {
    this.#ports.telemetry.count('blob_messages_dropped');
  }

  #arm(): void {
    this.#cancel ??= this.#ports.clock.after(RETRY_MS, () => {
      this.#cancel = null;
      this.#again();
    });
  }

  /** In order; a node that is gone does not hold up the others for long. */
  #again(): void {
    const nowMs = this.#ports.clock.monotonicMs();
    let at = 0;
    for (; at < this.#waiting.length; at++) {
      const { to, payload, sinceMs } = this.#waiting[at] as Parcel;
      if (nowMs - sinceMs > WAIT_MS_MAX) this.#drop();
      else if (!this.#leaves(to, payload)) break;
      this.#waitingBytes -= payload.length;
    }
    this.#waiting = this.#waiting.slice(at);
    if (this.#waiting.length > 0) this.#arm();
  }
}
