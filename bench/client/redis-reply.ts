import { HeldBytes } from './held-bytes.ts';

/**
 * Reads RESP2 replies off a connection: simple strings, errors, integers and bulk strings, which is all
 * that the workloads ask for. `take` gets the first byte of a reply and the length of its text or value
 * (-1 for nil, the number itself for an integer). Anything else throws.
 */
export type RedisReply = (type: number, length: number, text: string) => void;

export const REDIS = { simple: 0x2b, error: 0x2d, integer: 0x3a, bulk: 0x24 } as const;

export class RedisReplyReader {
  readonly #take: RedisReply;
  readonly #held = new HeldBytes();

  constructor(take: RedisReply) {
    this.#take = take;
  }

  /** The chunk is not kept. */
  feed(chunk: Buffer): void {
    this.#held.feed(chunk, this.#readOne);
  }

  readonly #readOne = (bytes: Buffer, at: number): number => {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return -1;
    const type = bytes[at] as number;
    const line = bytes.toString('latin1', at + 1, lineEnd);
    const start = lineEnd + 2;
    if (type === REDIS.simple || type === REDIS.error) {
      this.#take(type, line.length, line);
      return start;
    }
    if (!/^-?\d{1,15}$/.test(line)) throw new Error(`not a reply: ${line.slice(0, 60)}`);
    const length = Number(line);
    if (type === REDIS.integer) {
      this.#take(type, length, line);
      return start;
    }
    if (type !== REDIS.bulk) throw new Error(`a reply of type ${String.fromCharCode(type)}`);
    if (length < 0) {
      this.#take(type, -1, '');
      return start;
    }
    const end = start + length;
    if (bytes.length < end + 2) return -1;
    this.#take(type, length, '');
    return end + 2;
  };
}
