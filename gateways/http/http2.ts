import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { LIMITS } from '../../protocol/limits.ts';
import { carry } from '../identity/client-certificate.ts';
import type { Edge } from './app.ts';
import { http1Head } from './http2-request.ts';
import { StreamSocket } from './http2-stream.ts';

/** HTTP/2, by ALPN, on a server of HTTP/1.1 behind TLS: each stream is to it a connection with one request (ADR 0050). */

/** What ALPN calls it. */
const NAME = 'h2';
export const ALPN_PROTOCOLS: readonly string[] = [NAME, 'http/1.1'];

/** What a client may send ahead on one stream, and on all streams of a connection. */
const STREAM_WINDOW_BYTES = 256 * 1024;
const CONNECTION_WINDOW_BYTES = 1024 * 1024;
/** A little more than is allowed, so that what is too much is answered with 431; beyond it the stream is reset. */
const HEAD_BYTES_MAX = 2 * (LIMITS.headerBytesMax + LIMITS.urlBytesMax);
const HEADERS_MAX = 4 * LIMITS.headerCountMax;
/** What one connection may hold in memory: answers that wait for their windows, heads that are not whole. */
const SESSION_MEGABYTES_MAX = 64;

export function speaksHttp2(socket: object): boolean {
  return (socket as Partial<TLSSocket>).alpnProtocol === NAME;
}

type OnSecure = (this: Server, socket: unknown) => void;

export class Http2Connections {
  readonly #edge: Pick<Edge, 'bounds' | 'clock' | 'telemetry'>;
  readonly #server: Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  /** Takes the connections of `server` that speak it, before the server's own listeners see them. */
  constructor(edge: Pick<Edge, 'bounds' | 'clock' | 'telemetry'>, server: Server) {
    this.#edge = edge;
    this.#server = server;
    const others = server.listeners('secureConnection') as OnSecure[];
    server.removeAllListeners('secureConnection');
    server.on('secureConnection', (socket) => {
      if (speaksHttp2(socket)) this.#open(socket);
      else for (const other of others) other.call(server, socket);
    });
  }

  /** No further requests are taken; what is open is finished, then the connections end (GOAWAY). */
  drain(): void {
    for (const session of this.#sessions) session.close();
  }

  #open(socket: TLSSocket): void {
    const { bounds, clock, telemetry } = this.#edge;
    const session = performServerHandshake(socket, {
      maxHeaderListPairs: HEADERS_MAX,
      maxSessionMemory: SESSION_MEGABYTES_MAX,
      settings: {
        enablePush: false,
        initialWindowSize: STREAM_WINDOW_BYTES,
        maxConcurrentStreams: bounds.pipelinedMax,
        maxHeaderListSize: HEAD_BYTES_MAX,
      },
    });
    this.#sessions.add(session);
    let open = 0;
    let cancelIdle = (): void => {};
    /** Also for who sends a head by drops, or pings for ever. */
    const watchIdle = (): void => {
      cancelIdle = clock.after(bounds.keepAliveMs, () => this.#endIdle(session));
    };
    session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
    session.on('error', () => {});
    session.on('frameError', () => telemetry.count('http2_refused', 1, { what: 'frame' }));
    session.once('close', () => {
      cancelIdle();
      this.#sessions.delete(session);
      // Its last words are on their way; who does not leave after them is not waited for.
      clock.after(bounds.headersMs, () => socket.destroy());
    });
    session.on(
      'stream',
      (stream: ServerHttp2Stream, _headers: unknown, flags: number, raw: string[]) => {
        cancelIdle();
        open++;
        stream.once('close', () => {
          if (--open === 0 && !session.destroyed) watchIdle();
        });
        const hasBody = (flags & constants.NGHTTP2_FLAG_END_STREAM) === 0;
        const head = http1Head(raw, hasBody);
        if (head === null) {
          telemetry.count('http2_refused', 1, { what: 'head' });
          stream.on('error', () => {});
          stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
          return;
        }
        const parts = { clock, stallMs: bounds.stallMs };
        const connection = new StreamSocket(stream, socket, head, parts);
        carry(connection, socket);
        this.#server.emit('secureConnection', connection as unknown as TLSSocket);
      },
    );
    watchIdle();
  }

  #endIdle(session: ServerHttp2Session): void {
    session.close();
    this.#edge.clock.after(this.#edge.bounds.headersMs, () => session.destroy());
  }
}
