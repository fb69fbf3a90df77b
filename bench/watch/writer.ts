import { connect, type Socket } from 'node:net';

/**
 * A keep-alive connection that PUTs without waiting for answers, as an open load does: how late an
 * answer is does not slow the next write down. Answers come in order.
 */
export class Writer {
  readonly #host: string;
  readonly #socket: Socket;
  readonly #onAnswer: (sequence: number, status: number) => void;
  /** Sequence numbers without an answer, oldest first. */
  readonly #open: number[] = [];
  #rest: Buffer = Buffer.alloc(0);

  constructor(
    url: URL,
    onAnswer: (sequence: number, status: number) => void,
    onFlaw: (what: string) => void,
  ) {
    this.#host = url.host;
    this.#onAnswer = onAnswer;
    this.#socket = connect(Number(url.port), url.hostname);
    this.#socket.setNoDelay(true);
    this.#socket.on('error', (error) => onFlaw(`a writer failed: ${error.message}`));
    this.#socket.on('data', (bytes: Buffer) => this.#take(bytes));
  }

  get openCount(): number {
    return this.#open.length;
  }

  put(sequence: number, key: string, value: string): void {
    this.#open.push(sequence);
    const path = `/v1/kv/${encodeURIComponent(key)}`;
    this.#socket.write(
      `PUT ${path} HTTP/1.1\r\nHost: ${this.#host}\r\nContent-Length: ${value.length}\r\n\r\n${value}`,
    );
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const end = rest.indexOf('\r\n\r\n');
      if (end < 0) break;
      const head = rest.toString('latin1', 0, end);
      const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      if (rest.length < end + 4 + length) break;
      rest = rest.subarray(end + 4 + length);
      const sequence = this.#open.shift();
      if (sequence !== undefined) this.#onAnswer(sequence, Number(head.slice(9, 12)));
    }
    this.#rest = rest;
  }
}
