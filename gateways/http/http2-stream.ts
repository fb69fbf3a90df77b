import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../protocol/clock.ts';
import { AnswerReader, type AnswerSink, type HeaderPair } from './http1-answer.ts';
import { type Http1Head, OF_CONNECTIONS } from './http2-request.ts';

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants;

/** Written at once: each has stallMs to get away. */
const PIECE_BYTES_MAX = 64 * 1024;
const LAST_CHUNK = '0\r\n\r\n';

export interface StreamParts {
  readonly clock: Pick<Clock, 'after' | 'soon'>;
  /** How long a client may take nothing of what was sent. */
  readonly stallMs: number;
}

/**
 * One stream of HTTP/2 as a connection of HTTP/1.1 with one request on it (ADR 0050): what the server reads is the request's
 * text, and what it writes becomes frames. Either side waits for the other: a body that nobody reads, and an answer that
 * nobody takes.
 */
export class StreamSocket extends Duplex {
  /** The connection that its streams share. */
  readonly link: TLSSocket;
  readonly #stream: ServerHttp2Stream;
  readonly #parts: StreamParts;
  readonly #answer: AnswerReader;
  /** Of the answer's body, until the client takes them. */
  #pieces: Buffer[] = [];
  #isWriting = false;
  /** Tells the server that it may write more. */
  #taken: (() => void) | null = null;
  #hasRequest = false;
  /** The end of the answer was handed over, too. */
  #hasAnswered = false;
  #cancelStall: () => void = () => {};

  constructor(stream: ServerHttp2Stream, link: TLSSocket, head: Http1Head, parts: StreamParts) {
    super();
    this.link = link;
    this.#stream = stream;
    this.#parts = parts;
    this.#answer = new AnswerReader(this.#sink(), head.method === 'HEAD');
    // Its end tells enough.
    stream.on('error', () => {});
    stream.once('close', () => this.destroy());
    this.push(head.text, 'latin1');
    this.#readBody(head.isChunked);
  }

  get remoteAddress(): string | undefined {
    return this.link.remoteAddress;
  }

  get localAddress(): string | undefined {
    return this.link.localAddress;
  }

  /** As a socket has it: what was written leaves, then it is gone. */
  destroySoon(): void {
    if (this.writableFinished) this.destroy();
    else this.end(() => this.destroy());
  }

  #readBody(isChunked: boolean): void {
    const stream = this.#stream;
    stream.on('data', (piece: Buffer) => {
      if (isChunked) this.push(`${piece.length.toString(16)}\r\n`, 'latin1');
      const takesMore = this.push(piece);
      if (isChunked) this.push('\r\n', 'latin1');
      if (!takesMore) stream.pause();
    });
    // The end of the request is none of the connection's: that would end the answer, too.
    stream.once('end', () => {
      // Node ends the body of a stream that was reset, too: what was read of it is not whole.
      if (stream.closed) {
        this.destroy();
        return;
      }
      this.#hasRequest = true;
      if (isChunked) this.push(LAST_CHUNK, 'latin1');
      this.#leaveWhenDone();
    });
  }

  override _read(): void {
    this.#stream.resume();
  }

  override _write(bytes: Buffer | string, encoding: BufferEncoding, done: () => void): void {
    try {
      this.#answer.push(typeof bytes === 'string' ? Buffer.from(bytes, encoding) : bytes);
    } catch (error) {
      // Also where the client has just left: then it says no more than that.
      this.destroy(error as Error);
      return;
    }
    this.#taken = done;
    this.#send();
  }

  override _final(done: () => void): void {
    this.#answer.finish();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#cancelStall();
    const stream = this.#stream;
    if (!this.#hasAnswered) {
      stream.close(error === null ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
    } else if (!this.#hasRequest) stream.close(NGHTTP2_NO_ERROR);
    done(null);
  }

  #sink(): AnswerSink {
    const stream = this.#stream;
    return {
      interim: (status) => stream.additionalHeaders({ ':status': status }),
      head: (status, headers, isWhole) => {
        const shown = { ':status': status, ...shownHeaders(headers) };
        stream.respond(shown, { endStream: isWhole });
        this.#hasAnswered = isWhole;
        this.#leaveWhenDone();
      },
      body: (piece) => {
        for (let at = 0; at < piece.length; at += PIECE_BYTES_MAX) {
          this.#pieces.push(piece.subarray(at, at + PIECE_BYTES_MAX));
        }
      },
      end: () => this.#send(),
    };
  }

  /** One piece after another, so that a client that takes little is told from one that takes nothing. */
  #send(): void {
    if (this.#isWriting || this.destroyed) return;
    const piece = this.#pieces.shift();
    if (piece !== undefined) {
      this.#isWriting = true;
      const { clock, stallMs } = this.#parts;
      this.#cancelStall = clock.after(stallMs, () => this.#stream.close(NGHTTP2_CANCEL));
      this.#stream.write(piece, () => {
        this.#cancelStall();
        this.#isWriting = false;
        this.#send();
      });
      return;
    }
    if (this.#answer.isDone && !this.#hasAnswered) {
      this.#hasAnswered = true;
      this.#stream.end();
      this.#leaveWhenDone();
    }
    const taken = this.#taken;
    this.#taken = null;
    taken?.();
  }

  /** Nothing follows on a connection of one request. Later: the server still has to hear that its answer is out. */
  #leaveWhenDone(): void {
    if (this.#hasAnswered && this.#hasRequest) this.#parts.clock.soon(() => this.destroy());
  }
}

function shownHeaders(headers: readonly HeaderPair[]): OutgoingHttpHeaders {
  const shown: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    if (OF_CONNECTIONS.has(name)) continue;
    const before = shown[name];
    if (before === undefined) shown[name] = value;
    else shown[name] = [...[before].flat(), value];
  }
  return shown;
}
