import { crc32 } from '@node-rs/crc32';

/** Lines kept for the report of a violation. */
const LINES_KEPT = 1000;

/**
 * What happened, as one hash and as text. The hash covers every delivered message, disk sync,
 * fault and client result; two runs of one seed must agree on it. Text is made only for faults
 * and, with `verbose`, for everything.
 */
export class Trace {
  readonly verbose: boolean;
  #nowMs: () => number;
  #low = 0x811c9dc5;
  #high = 0x1b873593;
  #lines: string[] = [];
  #dropped = 0;
  /** Where lines go as they come; null keeps only the last ones. */
  #sink: ((line: string) => void) | null;

  constructor(nowMs: () => number, verbose: boolean, sink: ((line: string) => void) | null) {
    this.#nowMs = nowMs;
    this.verbose = verbose;
    this.#sink = sink;
  }

  /** Mixes one fact into the hash. `a`, `b` are small numbers, `bytes` may be large. */
  mix(kind: number, a: number, b: number, bytes: Uint8Array | null): void {
    let h = Math.imul(this.#low ^ kind, 0x01000193);
    h = Math.imul(h ^ a, 0x85ebca6b) ^ (h >>> 13);
    h = Math.imul(h ^ b, 0xc2b2ae35) ^ (h >>> 16);
    h = Math.imul(h ^ Math.round(this.#nowMs() * 1000), 0x27d4eb2f);
    if (bytes !== null) h ^= crc32(bytes);
    this.#low = h >>> 0;
    this.#high = (Math.imul(this.#high ^ h, 0x9e3779b1) + 0x7f4a7c15) >>> 0;
  }

  /** Notes a fact in words (and in the hash). `who` is a node or a part of the simulator. */
  note(who: string, what: string): void {
    const line = `${this.#nowMs().toFixed(3).padStart(12)} ${who.padEnd(9)} ${what}`;
    this.mix(1, 0, 0, Buffer.from(line));
    this.#keep(line);
  }

  /** Notes a detail, in words only, and only when tracing is on. */
  detail(who: string, what: () => string): void {
    if (!this.verbose) return;
    this.#keep(`${this.#nowMs().toFixed(3).padStart(12)} ${who.padEnd(9)} ${what()}`);
  }

  hash(): string {
    const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, '0');
    return hex(this.#high) + hex(this.#low);
  }

  /** The last lines, oldest first. */
  lines(): string[] {
    const lead = this.#dropped > 0 ? [`... ${this.#dropped} earlier lines`] : [];
    return [...lead, ...this.#lines];
  }

  #keep(line: string): void {
    this.#sink?.(line);
    this.#lines.push(line);
    if (this.#lines.length > LINES_KEPT * 2) {
      this.#lines = this.#lines.slice(LINES_KEPT);
      this.#dropped += LINES_KEPT;
    }
  }
}
