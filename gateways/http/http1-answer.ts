export type HeaderPair = readonly [name: string, value: string];

/**
 * Takes the answer of an HTTP/1.1 server apart as it is written: what another version of HTTP has to say in frames of its own.
 * The server is ours, so whatever cannot be read is a broken invariant.
 */
export interface AnswerSink {
  /** 1xx. */
  interim(status: number): void;
  /** Names are in lower case. `isWhole`: no body follows. */
  head(status: number, headers: readonly HeaderPair[], isWhole: boolean): void;
  body(piece: Buffer): void;
  /** The body was whole; not called where `head` said so. */
  end(): void;
}

type Framing =
  | 'head'
  | 'length'
  | 'chunk-size'
  | 'chunk'
  | 'chunk-end'
  | 'trailers'
  | 'rest'
  | 'done';

const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');
const EMPTY = Buffer.alloc(0);
const STATUS_LINE = /^HTTP\/1\.1 ([1-5][0-9]{2})(?: |$)/;
const CHUNK_SIZE = /^[0-9a-fA-F]{1,8}$/;

export class AnswerReader {
  readonly #sink: AnswerSink;
  readonly #isHeadOnly: boolean;
  #framing: Framing = 'head';
  /** Read, but not understood yet. */
  #held: Buffer = EMPTY;
  /** Of the body or the chunk. */
  #left = 0;

  /** `isHeadOnly`: it answers HEAD. */
  constructor(sink: AnswerSink, isHeadOnly: boolean) {
    this.#sink = sink;
    this.#isHeadOnly = isHeadOnly;
  }

  get isDone(): boolean {
    return this.#framing === 'done';
  }

  /** Throws where this is no answer. */
  push(bytes: Buffer): void {
    let rest = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    this.#held = EMPTY;
    for (;;) {
      const next = this.#step(rest);
      if (next === null) break;
      rest = next;
    }
  }

  /** The server has ended the connection. False: the answer was not whole. */
  finish(): boolean {
    if (this.#framing !== 'rest') return this.isDone;
    this.#end();
    return true;
  }

  /** What is left behind what was understood; null: it takes more. */
  #step(bytes: Buffer): Buffer | null {
    switch (this.#framing) {
      case 'head':
        return this.#readHead(bytes);
      case 'length':
      case 'chunk':
        return this.#readCounted(bytes);
      case 'rest':
        if (bytes.length > 0) this.#sink.body(bytes);
        return null;
      case 'done':
        if (bytes.length > 0) throw new Error('bytes behind the end of an answer');
        return null;
      default:
        return this.#readLine(bytes);
    }
  }

  #readHead(bytes: Buffer): Buffer | null {
    const at = bytes.indexOf(HEAD_END);
    if (at < 0) return this.#hold(bytes);
    const [first = '', ...lines] = bytes.toString('latin1', 0, at).split('\r\n');
    const rest = bytes.subarray(at + HEAD_END.length);
    const status = Number(STATUS_LINE.exec(first)?.[1]);
    if (!(status >= 100)) throw new Error('no status line');
    if (status < 200) {
      this.#sink.interim(status);
      return rest;
    }
    const headers = lines.map((line): HeaderPair => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    });
    this.#framing = this.#framingOf(status, new Map(headers));
    this.#sink.head(status, headers, this.isDone);
    return rest;
  }

  #framingOf(status: number, headers: ReadonlyMap<string, string>): Framing {
    if (this.#isHeadOnly || status === 204 || status === 304) return 'done';
    if (headers.get('transfer-encoding') === 'chunked') return 'chunk-size';
    const length = headers.get('content-length');
    if (length === undefined) return 'rest';
    this.#left = Number(length);
    return this.#left === 0 ? 'done' : 'length';
  }

  #readCounted(bytes: Buffer): Buffer | null {
    if (bytes.length === 0) return null;
    const piece = bytes.subarray(0, this.#left);
    this.#left -= piece.length;
    this.#sink.body(piece);
    if (this.#left === 0) {
      if (this.#framing === 'length') this.#end();
      else this.#framing = 'chunk-end';
    }
    return bytes.subarray(piece.length);
  }

  #readLine(bytes: Buffer): Buffer | null {
    const at = bytes.indexOf(LINE_END);
    if (at < 0) return this.#hold(bytes);
    const line = bytes.toString('latin1', 0, at);
    if (this.#framing === 'chunk-size') {
      if (!CHUNK_SIZE.test(line)) throw new Error('no size of a chunk');
      this.#left = Number.parseInt(line, 16);
      this.#framing = this.#left === 0 ? 'trailers' : 'chunk';
    } else if (line !== '') throw new Error('a chunk is longer than it said');
    else if (this.#framing === 'chunk-end') this.#framing = 'chunk-size';
    else this.#end();
    return bytes.subarray(at + LINE_END.length);
  }

  #hold(bytes: Buffer): null {
    this.#held = bytes;
    return null;
  }

  #end(): void {
    this.#framing = 'done';
    this.#sink.end();
  }
}
