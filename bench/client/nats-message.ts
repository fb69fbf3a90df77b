import { HeldBytes } from './held-bytes.ts';

/** Reads what a nats-server sends to a client that has one subscription. Throws on anything else. */
export interface NatsHandler {
  ping(): void;
  /** Header block as text ('' without), and the payload, valid only during the call. */
  message(header: string, payload: Buffer): void;
}

/** Subject, subscription, perhaps a reply subject, perhaps the length of the header, the whole length. */
const PLAIN = /^MSG \S+ \S+(?: \S+)? (\d{1,9})$/;
const WITH_HEADER = /^HMSG \S+ \S+(?: \S+)? (\d{1,9}) (\d{1,9})$/;

export class NatsReader {
  readonly #handler: NatsHandler;
  readonly #held = new HeldBytes();

  constructor(handler: NatsHandler) {
    this.#handler = handler;
  }

  feed(chunk: Buffer): void {
    this.#held.feed(chunk, this.#readOne);
  }

  readonly #readOne = (bytes: Buffer, at: number): number => {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return -1;
    const line = bytes.toString('latin1', at, lineEnd);
    const start = lineEnd + 2;
    if (line === 'PING') this.#handler.ping();
    if (/^(?:PING|PONG|\+OK|INFO .*)$/.test(line)) return start;
    const headed = WITH_HEADER.exec(line);
    const length = (headed ?? PLAIN.exec(line))?.at(-1);
    if (length === undefined) throw new Error(`nats-server says ${line.slice(0, 100)}`);
    const headerLength = Number(headed?.[1] ?? 0);
    const end = start + Number(length);
    if (headerLength > end - start) throw new Error('a header is longer than its message');
    if (bytes.length < end + 2) return -1;
    const header = bytes.toString('latin1', start, start + headerLength);
    this.#handler.message(header, bytes.subarray(start + headerLength, end));
    return end + 2;
  };
}
