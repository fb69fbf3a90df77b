import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { KvService } from '../../protocol/service.ts';
import { NO_STORE } from '../identity/tenant-store.ts';
import type { Meters } from '../limits/rate-limits.ts';

/** What the head says, in bytes; 0 where it says nothing. */
export function bodyLength({ headers }: Pick<IncomingMessage, 'headers'>): number {
  const length = headers['content-length'];
  return length === undefined ? 0 : Number(length);
}

/**
 * node:http's own request and response, parsed and ordered by it as ever, with a short way through each:
 * a body that comes in one piece with its head skips the stream, and an answer that is whole is one
 * write. Everything else takes the usual way, at any point before the answer.
 */

/** `isOut`: nothing of the answer is left to send; otherwise the response's `close` will say so. */
export type OnSent = (res: EdgeResponse, isOut: boolean) => void;

/** Told when a gathered request is whole. */
export type OnWhole = (req: EdgeRequest) => void;

const streamEnded = Object.getOwnPropertyDescriptor(Readable.prototype, 'readableEnded')?.get as (
  this: Readable,
) => boolean;

interface Dumped {
  _dump(): void;
}

export class EdgeRequest extends IncomingMessage {
  /** Its answer; the listener sets it. */
  response: EdgeResponse | null = null;
  /** The client sends its body only when it is told to (`Expect: 100-continue`), and was not yet. */
  awaitsContinue = false;
  #onWhole: OnWhole | null = null;
  /** Its body was handed over whole; there is no stream. */
  isTaken = false;
  #body: Buffer | null = null;

  constructor(socket: Socket) {
    super(socket);
  }

  /** From now on the body is kept here and not streamed; `onWhole` runs at its end. */
  gather(onWhole: OnWhole): void {
    this.#onWhole = onWhole;
  }

  /** Still waiting for the end of the body. */
  get isGathering(): boolean {
    return this.#onWhole !== null;
  }

  /** Null where there is none. */
  get wholeBody(): Buffer | null {
    return this.#body;
  }

  /** The body becomes a stream after all, from its first byte. */
  stream(): void {
    this.#onWhole = null;
    const body = this.#body;
    this.#body = null;
    if (body !== null) super.push(body);
  }

  /** The parser hands every piece of the body to this, and null at its end. */
  override push(chunk: Buffer | null): boolean {
    const onWhole = this.#onWhole;
    if (onWhole === null) return super.push(chunk);
    if (chunk === null) {
      this.#onWhole = null;
      this.isTaken = true;
      onWhole(this);
    } else {
      this.#body = this.#body === null ? chunk : Buffer.concat([this.#body, chunk]);
    }
    return true;
  }

  /** Node's server lets the rest of a body that nobody read run off; here there is none. */
  _dump(): void {
    if (!this.isTaken) (IncomingMessage.prototype as unknown as Dumped)._dump.call(this);
  }
}

/** Also where nothing was streamed: Node's server waits for a request's `end` before it lets go of it. */
Object.defineProperty(EdgeRequest.prototype, 'readableEnded', {
  get(this: EdgeRequest): boolean {
    return this.isTaken || streamEnded.call(this);
  },
});

export class EdgeResponse extends ServerResponse<EdgeRequest> {
  /** What the listener knows of the connection. */
  link: object | null = null;
  /** Of an answer that goes past the framework. */
  requestId = '';
  startedMs = 0;
  /** Of such an answer: the store as the sender of the request may use it. */
  store: KvService = NO_STORE;
  /** What counts it; null: it is not limited. */
  meters: Meters | null = null;
  onSent: OnSent | null = null;

  /**
   * Writes a whole answer, head and all, and ends it. False, with nothing written, where that cannot
   * be done at once: an earlier answer of the connection is not out yet, or its reader is behind.
   */
  sendWhole(
    status: number,
    text: string,
    encoding: 'latin1' | 'utf8',
    more: Buffer | null,
  ): boolean {
    const { socket } = this;
    if (socket === null || !socket.writable || socket.writableNeedDrain) return false;
    if (more === null) {
      socket.write(text, encoding);
    } else {
      socket.cork();
      socket.write(text, encoding);
      socket.write(more);
      socket.uncork();
    }
    this.statusCode = status;
    this.finished = true;
    // What end() would emit once the socket took it: lets the server go on with this connection.
    this.emit('finish');
    return true;
  }
}
