import { connect, type Socket } from 'node:net';
import type { Dialect } from './dialects/dialect.ts';
import type { Target } from './job.ts';

/** What a connection tells: one call per answer, and one when it ends by itself. */
export interface Meter {
  /** A request was sent at `startMs` and answered now. */
  answered(startMs: number, keys: number, error: string | null): void;
  /** False: no more requests. */
  readonly isOpen: boolean;
  /** Nothing is under way on this connection any more. */
  idle(error: string | null): void;
}

export type MakeOnConnection = (
  done: (keys: number, error: string | null) => void,
  write: (bytes: Buffer) => void,
) => Dialect;

/** All sockets read into this one: what was read is used up before the next read. */
const INPUT = Buffer.allocUnsafeSlow(256 * 1024);

/** One connection with one request under way: the next is sent when the answer has come. */
export class Connection {
  readonly #socket: Socket;
  readonly #meter: Meter;
  readonly #dialect: Dialect;
  #startMs = 0;
  #isBusy = false;
  #hasEnded = false;
  /** Resolves when it stands, rejects when it cannot. */
  readonly opened: Promise<void>;

  constructor(target: Target, make: MakeOnConnection, meter: Meter) {
    this.#meter = meter;
    const onread = {
      buffer: INPUT,
      callback: (length: number): boolean => {
        this.#read(INPUT.subarray(0, length));
        return true;
      },
    };
    const socket = connect({ ...target, noDelay: true, onread });
    this.#socket = socket;
    this.#dialect = make(
      (keys, error) => this.#answered(keys, error),
      (bytes) => void socket.write(bytes),
    );
    this.opened = new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.on('error', (error) => this.#end(error.message));
    socket.on('close', () => this.#end('the server closed the connection'));
  }

  start(): void {
    if (this.#dialect.greeting !== null) this.#socket.write(this.#dialect.greeting);
    this.#send();
  }

  close(): void {
    this.#hasEnded = true;
    this.#socket.destroy();
  }

  #send(): void {
    const request = this.#meter.isOpen ? this.#dialect.next() : null;
    if (request === null) return this.#end(null);
    this.#isBusy = true;
    this.#startMs = performance.now();
    this.#socket.write(request);
  }

  #read(chunk: Buffer): void {
    try {
      this.#dialect.feed(chunk);
    } catch (error) {
      this.#end((error as Error).message);
    }
  }

  #answered(keys: number, error: string | null): void {
    if (!this.#isBusy) throw new Error('an answer that nobody asked for');
    this.#isBusy = false;
    this.#meter.answered(this.#startMs, keys, error);
    this.#send();
  }

  #end(error: string | null): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#meter.idle(error);
    this.#socket.destroy();
  }
}
