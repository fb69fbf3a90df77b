import type { Clock } from '../../protocol/clock.ts';

/** What a window needs from its connection. */
export interface WindowPorts {
  readonly clock: Clock;
  /** Asks the server to answer once it has read everything sent so far; rejects on a disconnect. */
  readonly confirm: () => Promise<void>;
  /** A confirmation came back after this long. */
  readonly confirmed: (rttMs: number) => void;
}

/**
 * Bounds the bytes one connection has on the way. The client library and the socket below it buffer
 * without end when the server reads slowly; here a payload that would pass the bound is refused instead, so
 * that nothing old piles up. Each confirmation costs one round trip per `stepBytes`.
 */
export class CreditWindow {
  readonly #bytesMax: number;
  readonly #stepBytes: number;
  readonly #ports: WindowPorts;
  #sent = 0;
  #confirmed = 0;
  #asked = 0;
  /** Counts connections: an answer meant for an earlier one is ignored. */
  #epoch = 0;

  constructor(bytesMax: number, ports: WindowPorts) {
    this.#bytesMax = bytesMax;
    this.#stepBytes = Math.floor(bytesMax / 8);
    this.#ports = ports;
  }

  /** Bytes sent and not yet confirmed. */
  outstanding(): number {
    return this.#sent - this.#confirmed;
  }

  /** Takes credit for one payload; false when it would pass the bound. */
  take(bytes: number): boolean {
    if (this.outstanding() + bytes > this.#bytesMax) {
      this.#ask();
      return false;
    }
    this.#sent += bytes;
    return true;
  }

  /** After a payload was handed to the connection: asks for a confirmation when a step is full. */
  sent(): void {
    if (this.#sent - this.#asked >= this.#stepBytes) this.#ask();
  }

  /** A round trip even when little was sent: finds a connection that is behind. */
  probe(): void {
    this.#confirm(this.#sent);
  }

  /** The connection is new: nothing is on the way. */
  reset(): void {
    this.#epoch++;
    this.#sent = 0;
    this.#confirmed = 0;
    this.#asked = 0;
  }

  #ask(): void {
    if (this.#asked === this.#sent) return;
    this.#asked = this.#sent;
    this.#confirm(this.#sent);
  }

  #confirm(mark: number): void {
    const epoch = this.#epoch;
    const askedAtMs = this.#ports.clock.monotonicMs();
    this.#ports.confirm().then(
      () => {
        if (epoch !== this.#epoch) return;
        this.#confirmed = Math.max(this.#confirmed, mark);
        this.#ports.confirmed(this.#ports.clock.monotonicMs() - askedAtMs);
      },
      () => {
        // The connection went down: its owner calls reset(), and counts the disconnect.
      },
    );
  }
}
