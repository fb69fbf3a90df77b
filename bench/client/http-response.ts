/**
 * Reads HTTP/1.1 responses off a connection, one at a time, and refuses whatever it does not understand:
 * a benchmark that misreads answers measures nothing. Bodies have a Content-Length or are chunked;
 * interim responses, responses without a length and closing connections are errors.
 */
export interface HttpAnswer {
  readonly status: number;
  /** Holds the body from `start` to `end`; valid only during the call. */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');
const HEAD_BYTES_MAX = 64 * 1024;
const CHUNK_LINE_BYTES_MAX = 16;
const CHUNK_LENGTH = /^[0-9a-fA-F]{1,8}$/;
const LENGTH = /\r\ncontent-length: *(\d{1,12}) *(?=\r\n)/gi;
const ENCODING = /\r\ntransfer-encoding: *([^\r]*)\r\n/i;

export class HttpResponseReader {
  readonly #take: (answer: HttpAnswer) => void;
  /** Bytes that came and are not taken yet, and how many there must be before another look helps. */
  #held: Buffer = Buffer.alloc(0);
  #heldLength = 0;
  #wanted = 0;
  /** The body so far while a chunked one is being read. */
  #chunks: Buffer[] | null = null;
  #status = 0;

  constructor(take: (answer: HttpAnswer) => void) {
    this.#take = take;
  }

  /** Throws on anything that is not a response. The chunk is not kept. */
  feed(chunk: Buffer): void {
    if (this.#heldLength === 0) {
      const used = this.#readAll(chunk);
      if (used < chunk.length) this.#hold(chunk, used);
      return;
    }
    this.#hold(chunk, 0);
    if (this.#heldLength < this.#wanted) return;
    const all = this.#held.subarray(0, this.#heldLength);
    this.#heldLength = 0;
    const used = this.#readAll(all);
    // `all` is a view of what is held: moving its rest to the front is a safe copy.
    if (used < all.length) this.#hold(all, used);
  }

  #hold(chunk: Buffer, from: number): void {
    const length = this.#heldLength + chunk.length - from;
    if (this.#held.length < length) {
      const grown = Buffer.allocUnsafe(Math.max(length, this.#wanted, this.#held.length * 2));
      this.#held.copy(grown, 0, 0, this.#heldLength);
      this.#held = grown;
    }
    chunk.copy(this.#held, this.#heldLength, from);
    this.#heldLength = length;
  }

  /** Takes what is complete; returns how many bytes that was. */
  #readAll(bytes: Buffer): number {
    let at = 0;
    this.#wanted = 0;
    while (at < bytes.length) {
      const next = this.#chunks === null ? this.#readHead(bytes, at) : this.#readChunk(bytes, at);
      if (next < 0) break;
      at = next;
    }
    this.#wanted = Math.max(0, this.#wanted - at);
    return at;
  }

  /** A response, or the head of a chunked one; returns where the next part begins, -1 when cut off. */
  #readHead(bytes: Buffer, at: number): number {
    const headEnd = bytes.indexOf(HEAD_END, at);
    if (headEnd < 0) {
      if (bytes.length - at > HEAD_BYTES_MAX) throw new Error('the head of a response has no end');
      return -1;
    }
    const head = bytes.toString('latin1', at, headEnd + 2);
    const status = statusOf(head);
    const start = headEnd + HEAD_END.length;
    const length = lengthOf(head);
    if (length === null) {
      this.#status = status;
      this.#chunks = [];
      return start;
    }
    const end = start + length;
    if (bytes.length < end) {
      this.#wanted = end;
      return -1;
    }
    this.#take({ status, bytes, start, end });
    return end;
  }

  #readChunk(bytes: Buffer, at: number): number {
    const lineEnd = bytes.indexOf(LINE_END, at);
    if (lineEnd < 0) {
      if (bytes.length - at > CHUNK_LINE_BYTES_MAX) throw new Error('a chunk length has no end');
      return -1;
    }
    const line = bytes.toString('latin1', at, lineEnd);
    if (!CHUNK_LENGTH.test(line)) throw new Error(`not a chunk length: ${line.slice(0, 20)}`);
    const length = Number.parseInt(line, 16);
    const start = lineEnd + LINE_END.length;
    const end = start + length;
    if (bytes.length < end + LINE_END.length) {
      this.#wanted = end + LINE_END.length;
      return -1;
    }
    if (bytes[end] !== 13 || bytes[end + 1] !== 10) throw new Error('a chunk has another length');
    const chunks = this.#chunks as Buffer[];
    if (length > 0) {
      chunks.push(Buffer.from(bytes.subarray(start, end)));
    } else {
      this.#chunks = null;
      const body = Buffer.concat(chunks);
      this.#take({ status: this.#status, bytes: body, start: 0, end: body.length });
    }
    return end + LINE_END.length;
  }
}

function statusOf(head: string): number {
  const match = /^HTTP\/1\.1 ([2-5]\d\d)[ \r]/.exec(head);
  if (match === null) throw new Error(`not a response: ${head.slice(0, 60)}`);
  return Number(match[1]);
}

/** Null for a chunked body. */
function lengthOf(head: string): number | null {
  LENGTH.lastIndex = 0;
  const first = LENGTH.exec(head);
  const encoding = ENCODING.exec(head);
  if (first === null) {
    if (encoding?.[1]?.toLowerCase() === 'chunked') return null;
    throw new Error('a response has neither a length nor chunks');
  }
  if (encoding !== null || LENGTH.exec(head) !== null) {
    throw new Error('a response has two lengths');
  }
  return Number(first[1]);
}
