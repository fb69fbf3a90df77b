import { connect, type Socket } from 'node:net';

/** What came of one request. */
export interface Reply {
  readonly status: number;
  readonly head: string;
  /** Kept of answers that are no object: a document, or an error's. */
  readonly text: string;
  readonly bytes: number;
}

/** What the body of an answer has to be; null: it is kept as text. */
type Expected = Buffer | null;

const INPUT = Buffer.allocUnsafeSlow(1024 * 1024);
const NOTHING = Buffer.alloc(0);

/**
 * One connection with one request under way. Bodies of objects are compared as they come and not kept, so that a client
 * costs little beside a server. Answers have a Content-Length or are chunked.
 */
export class Exchange {
  readonly #socket: Socket;
  readonly opened: Promise<void>;
  #head: Buffer = NOTHING;
  #reply: { status: number; head: string } | null = null;
  #texts: Buffer[] = [];
  #left = 0;
  #bytes = 0;
  #isChunked = false;
  #expected: Expected = null;
  #settle: { resolve(reply: Reply): void; reject(error: Error): void } | null = null;

  constructor(target: { readonly host: string; readonly port: number }) {
    const onread = {
      buffer: INPUT,
      callback: (length: number): boolean => {
        this.#read(INPUT.subarray(0, length));
        return true;
      },
    };
    const { host, port } = target;
    const socket = connect({ host, port, noDelay: true, onread });
    this.#socket = socket;
    this.opened = new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  /** Rejects where the connection breaks, or an object is another one than `expected`. */
  ask(head: string, body: Buffer | null, expected: Expected): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#expected = expected;
      if (body !== null && body.length <= 64 * 1024) {
        this.#socket.write(Buffer.concat([Buffer.from(head, 'latin1'), body]));
        return;
      }
      this.#socket.write(head, 'latin1');
      if (body !== null) this.#socket.write(body);
    });
  }

  /** For a body that is written step by step. */
  get socket(): Socket {
    return this.#socket;
  }

  close(): void {
    this.#settle = null;
    this.#socket.destroy();
  }

  #fail(error: Error): void {
    const settle = this.#settle;
    this.#settle = null;
    settle?.reject(error);
  }

  #read(input: Buffer): void {
    let rest = input;
    if (this.#reply === null) {
      const all = this.#head.length === 0 ? input : Buffer.concat([this.#head, input]);
      const end = all.indexOf('\r\n\r\n');
      if (end < 0) {
        this.#head = Buffer.from(all);
        return;
      }
      this.#head = NOTHING;
      const head = all.toString('latin1', 0, end + 2);
      const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
      this.#isChunked = /\r\ntransfer-encoding: *chunked\r\n/i.test(head);
      this.#reply = { status: Number(head.slice(9, 12)), head };
      this.#left = Number(length ?? 0);
      this.#bytes = 0;
      rest = all.subarray(end + 4);
    }
    this.#body(rest);
  }

  #body(piece: Buffer): void {
    const { status } = this.#reply as { status: number };
    const expected = status < 300 ? this.#expected : null;
    if (expected === null) {
      this.#texts.push(Buffer.from(piece));
    } else if (expected.compare(piece, 0, piece.length, this.#bytes, this.#bytes + piece.length)) {
      return this.#fail(new Error(`other bytes than expected at ${this.#bytes}`));
    }
    this.#bytes += piece.length;
    this.#left -= piece.length;
    if (this.#isChunked) {
      const last = this.#texts.at(-1);
      if (last?.toString('latin1').endsWith('0\r\n\r\n') !== true) return;
    } else if (this.#left > 0) return;
    if (expected !== null && this.#bytes !== expected.length) {
      return this.#fail(new Error(`${this.#bytes} bytes of ${expected.length}`));
    }
    const text = Buffer.concat(this.#texts).toString('utf8');
    const reply = {
      ...(this.#reply as { status: number; head: string }),
      text,
      bytes: this.#bytes,
    };
    this.#reply = null;
    this.#texts = [];
    const settle = this.#settle;
    this.#settle = null;
    settle?.resolve(reply);
  }
}
