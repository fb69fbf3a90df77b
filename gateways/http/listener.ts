import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Edge } from './app.ts';
import { auditRefusal } from './audit.ts';
import { failBody } from './body.ts';
import { EdgeRequest, EdgeResponse, type OnSent } from './exchange.ts';
import { isForeignHost } from './foreign-host.ts';
import { Http2Connections, speaksHttp2 } from './http2.ts';
import { endWithProblem, rawProblem, requestIdOf } from './raw-answer.ts';
import { screen } from './screen.ts';
import { createTlsServer } from './tls.ts';

/**
 * node:http with what its defaults lack: requests are screened, connections and pipelining are
 * bounded, and whatever cannot be parsed gets exactly one answer, in its place in the order of answers.
 */
interface Connection {
  /** Requests whose answers are not finished yet. */
  open: number;
  /** The request read last. */
  last: IncomingMessage | null;
  /** Whose end only their own `close` tells; none comes where an earlier answer never ended. */
  readonly unanswered: Set<EdgeResponse>;
  /** No further request of this connection is answered. */
  isDoomed: boolean;
  /** One of the few that are kept for health checks. */
  isReserve: boolean;
  /** The one that is known to be ours. */
  host: string | null;
  /** To be written when the answers before it are out. */
  farewell: Buffer | null;
}

/** On the socket too: a property is found faster than an entry of a Map. */
const CONNECTION = Symbol('connection');
type EdgeSocket = Socket & { [CONNECTION]?: Connection };

export type UpgradeHandler = (req: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Answers some requests by itself, once their bodies are here. */
export interface Direct {
  takes(req: EdgeRequest, res: EdgeResponse): boolean;
  /** A request it took goes another way. */
  leave(req: EdgeRequest): void;
  run(req: EdgeRequest, res: EdgeResponse, sent: OnSent): void;
}

export interface ListenerParts {
  readonly handle: RequestListener<typeof EdgeRequest, typeof EdgeResponse>;
  /** It asks for bodies itself: `100 Continue` is not sent for it. */
  asksForBodies(req: EdgeRequest): boolean;
  readonly direct: Direct;
  isWebSocketPath(path: string): boolean;
  readonly upgrade: UpgradeHandler;
}

export class Listener {
  readonly server: Server<typeof EdgeRequest, typeof EdgeResponse>;
  readonly #edge: Edge;
  readonly #parts: ListenerParts;
  readonly #http2: Http2Connections | null;
  readonly #connections = new Map<Duplex, Connection>();
  /** Below them: with TLS, also those that have not said hello yet. */
  readonly #links = new Set<Socket>();
  /** Taken in this turn with a body that was not whole yet. */
  #gathering: EdgeRequest[] = [];

  constructor(edge: Edge, parts: ListenerParts) {
    this.#edge = edge;
    this.#parts = parts;
    const options = {
      ...{ IncomingMessage: EdgeRequest, ServerResponse: EdgeResponse },
      // Node counts URL and headers together; screen() tells them apart below this.
      maxHeaderSize: LIMITS.headerBytesMax + LIMITS.urlBytesMax,
      headersTimeout: edge.bounds.headersMs,
      // Bodies have a progress rule of their own (body.ts); large ones may take long.
      requestTimeout: 0,
      keepAliveTimeout: edge.bounds.keepAliveMs,
      connectionsCheckingInterval: edge.bounds.headersCheckMs,
      requireHostHeader: false,
      noDelay: true,
      ...upgradesOnly((req) => this.#isOffered(req)),
    };
    const { tls } = edge;
    this.server =
      tls === null
        ? createServer(options)
        : createTlsServer<typeof EdgeRequest, typeof EdgeResponse>(
            tls,
            options,
            edge.bounds.headersMs,
          );
    this.#http2 = tls === null ? null : new Http2Connections(edge, this.server as TlsServer);
    // 0: all headers are kept, so that screen() counts what was really sent.
    this.server.maxHeadersCount = 0;
    this.server.on('connection', (socket: Socket) => this.#onLink(socket));
    this.server.on(this.#opened, (socket: Socket) => this.#onConnection(socket));
    this.server.on('tlsClientError', () => edge.telemetry.count('tls_handshakes_failed'));
    this.server.on('request', (req, res) => this.#onRequest(req, res));
    this.server.on('checkContinue', (req, res) => {
      req.awaitsContinue = true;
      this.#onRequest(req, res);
    });
    this.server.on('checkExpectation', (req, res) => {
      // S3 passes over what it does not know.
      this.#onRequest(req, res, this.#parts.asksForBodies(req) ? null : EXPECTATION);
    });
    this.server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
      this.#onClientError(error, socket),
    );
    this.server.on('connect', (req, socket) => this.#refuse(req, socket, CONNECT));
    this.server.on('upgrade', (req, socket, head) => this.#onUpgrade(req, socket, head));
  }

  /** Connections that carry several requests at once take no further ones. */
  drain(): void {
    this.#http2?.drain();
  }

  /** Ends every connection, also upgraded ones. */
  destroyAll(): void {
    for (const socket of this.#links) socket.destroy();
  }

  /** The event that tells of a connection on which requests may come. */
  get #opened(): 'connection' | 'secureConnection' {
    return this.#edge.tls === null ? 'connection' : 'secureConnection';
  }

  #onLink(socket: Socket): void {
    if (this.#links.has(socket)) return;
    const { connectionsMax, connectionsReserve } = this.#edge.bounds;
    if (this.#links.size >= connectionsMax + connectionsReserve) {
      socket.destroy();
      return;
    }
    this.#links.add(socket);
    socket.once('close', () => this.#links.delete(socket));
  }

  #onConnection(socket: Socket): void {
    // Of HTTP/2 each stream is one, and comes here by itself.
    if (this.#connections.has(socket) || socket.destroyed || speaksHttp2(socket)) return;
    const { connectionsMax } = this.#edge.bounds;
    const count = this.#connections.size;
    const connection: Connection = {
      open: 0,
      last: null,
      unanswered: new Set(),
      isDoomed: false,
      isReserve: count >= connectionsMax,
      host: null,
      farewell: null,
    };
    // It is remembered, and asked for later: a socket that is gone does not tell any more.
    if (this.#edge.audit !== null) void socket.remoteAddress;
    this.#connections.set(socket, connection);
    (socket as EdgeSocket)[CONNECTION] = connection;
    this.#edge.telemetry.gauge('http_connections', count + 1);
    socket.once('close', () => {
      this.#connections.delete(socket);
      for (const res of connection.unanswered) if (!res.closed) res.emit('close');
      this.#edge.telemetry.gauge('http_connections', this.#connections.size);
    });
  }

  #onRequest(req: EdgeRequest, res: EdgeResponse, refusal: AppError | null = null): void {
    const { [CONNECTION]: connection } = req.socket as EdgeSocket;
    if (connection === undefined || connection.isDoomed) return;
    connection.open++;
    connection.last = req;
    req.response = res;
    res.link = connection;
    const error =
      refusal ?? screen(req) ?? this.#strange(req, connection) ?? this.#crowded(req, connection);
    if (error !== null) {
      this.#follow(res, connection);
      connection.isDoomed = true;
      auditRefusal(this.#edge, req, error);
      endWithProblem(this.#edge, res, error);
      return;
    }
    if (req.awaitsContinue && !this.#parts.asksForBodies(req)) {
      req.awaitsContinue = false;
      res.writeContinue();
    }
    if (this.#parts.direct.takes(req, res)) {
      req.gather(this.#onWhole);
      this.#watchBody(req);
    } else {
      this.#follow(res, connection);
      this.#parts.handle(req, res);
    }
  }

  #follow(res: EdgeResponse, connection: Connection): void {
    const { socket } = res.req;
    connection.unanswered.add(res);
    res.once('close', () => {
      connection.unanswered.delete(res);
      this.#onAnswered(socket, connection);
    });
  }

  readonly #onWhole = (req: EdgeRequest): void => {
    if (req.response !== null) this.#parts.direct.run(req, req.response, this.#onSent);
  };

  readonly #onSent: OnSent = (res, isOut) => {
    const connection = res.link as Connection;
    if (isOut) this.#onAnswered(res.req.socket, connection);
    else this.#follow(res, connection);
  };

  /** A body that is not here by the end of the turn is streamed, with the bounds and refusals of any other. */
  #watchBody(req: EdgeRequest): void {
    if (req.headers['content-length'] === undefined) return;
    if (this.#gathering.length === 0) this.#edge.clock.soon(() => this.#streamTheRest());
    this.#gathering.push(req);
  }

  #streamTheRest(): void {
    const begun = this.#gathering;
    this.#gathering = [];
    for (const req of begun) {
      if (!req.isGathering) continue;
      this.#parts.direct.leave(req);
      req.stream();
      const connection = this.#connections.get(req.socket);
      if (connection === undefined || req.response === null || req.destroyed) continue;
      this.#follow(req.response, connection);
      this.#parts.handle(req, req.response);
    }
  }

  /**
   * Where nobody is asked for credentials, what comes under a name that may be another site's is refused. S3 has a rule of
   * its own, since signatures count there; health checks tell nothing.
   */
  #strange(req: IncomingMessage, connection: Connection): AppError | null {
    const { access, config } = this.#edge;
    const { host = '' } = req.headers;
    // Mostly all requests of a connection have one Host.
    if (access !== null || connection.host === host) return null;
    if (isForeignHost(host, req.socket.localAddress ?? '', config.ownNames ?? [])) {
      const isExempt = HEALTH.test(req.url ?? '') || this.#parts.asksForBodies(req as EdgeRequest);
      return isExempt ? null : FOREIGN;
    }
    connection.host = host;
    return null;
  }

  #crowded(req: EdgeRequest, connection: Connection): AppError | null {
    if (connection.open > this.#edge.bounds.pipelinedMax) {
      return new AppError('overloaded', 'too many requests at once on one connection');
    }
    if (connection.isReserve && !req.url?.startsWith('/health')) {
      return new AppError('overloaded', 'too many connections');
    }
    return null;
  }

  #onAnswered(socket: Socket, connection: Connection): void {
    connection.open--;
    if (connection.open > 0 || !connection.isDoomed) return;
    if (connection.farewell !== null && socket.writable) socket.end(connection.farewell);
    else socket.destroySoon();
  }

  /** Bytes that are no request. Whose answer it is depends on what was read before. */
  #onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined || error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    if (connection.isDoomed) return;
    connection.isDoomed = true;
    const refusal = refusalOf(error);
    this.#edge.telemetry.count('http_requests', 1, {
      method: 'none',
      route: 'none',
      status: refusal.code,
    });
    if (connection.open === 0) {
      socket.end(rawProblem(this.#edge, refusal, this.#edge.nextRequestId()));
    } else if (connection.last?.complete === false) {
      // The body of a request in progress broke: its own answer says so.
      failBody(connection.last, refusal);
    } else {
      connection.farewell = rawProblem(this.#edge, refusal, this.#edge.nextRequestId());
    }
  }

  #onUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined || connection.isDoomed || connection.open > 0) {
      socket.destroy();
      return;
    }
    const error = screen(req) ?? this.#strange(req, connection);
    if (error !== null) {
      this.#refuse(req, socket, error);
    } else if (this.#isOffered(req)) {
      if (connection.isReserve) this.#refuse(req, socket, TOO_MANY);
      else this.#parts.upgrade(req, socket, head);
    } else {
      this.#ignoreUpgrade(req, socket as Socket, head);
    }
  }

  #isOffered(req: IncomingMessage): boolean {
    return isWebSocket(req) && this.#parts.isWebSocketPath(req.url ?? '');
  }

  /**
   * An upgrade we do not offer (h2c, as Java's client asks for by default) is to be ignored. Where Node
   * does not ask first (`upgradesOnly`) it has given the connection up by now, so the request goes in
   * again without the header.
   */
  #ignoreUpgrade(req: IncomingMessage, socket: Socket, head: Buffer): void {
    const lines = [`${req.method} ${req.url} HTTP/1.1`];
    for (let i = 0; i < req.rawHeaders.length; i += 2) {
      const name = req.rawHeaders[i] ?? '';
      const lower = name.toLowerCase();
      if (lower === 'upgrade' || lower === 'connection' || lower === 'http2-settings') continue;
      lines.push(`${name}: ${req.rawHeaders[i + 1]}`);
    }
    const again = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    socket.unshift(Buffer.concat([again, head]));
    this.server.emit(this.#opened, socket);
    socket.resume();
  }

  #refuse(req: IncomingMessage, socket: Duplex, error: AppError): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined || connection.open > 0 || !socket.writable) {
      socket.destroy();
      return;
    }
    connection.isDoomed = true;
    auditRefusal(this.#edge, req, error);
    socket.on('error', () => socket.destroy());
    socket.resume();
    socket.end(rawProblem(this.#edge, error, requestIdOf(this.#edge, req)), () => socket.destroy());
  }
}

const EXPECTATION = new AppError('malformed', '100-continue is the only expectation taken');
const CONNECT = new AppError('method_not_allowed', 'this is no proxy');
const FOREIGN = new AppError(
  'forbidden',
  'this host name could be of another site: use an address, localhost, or a name that is in host-names',
);
const HEALTH = /^\/health(?:\/(?:live|ready))?(?:\?|$)/;
const TOO_MANY = new AppError('overloaded', 'too many connections');

/**
 * From 22.21 and 24.9 on Node asks whether an upgrade is wanted. It must: Node 26 takes the body off the
 * connection before it tells. Node 20 does not know the option, and its types do not.
 */
function upgradesOnly(wanted: (req: IncomingMessage) => boolean): object {
  return { shouldUpgradeCallback: wanted };
}

function isWebSocket(req: IncomingMessage): boolean {
  return req.headers.upgrade?.toLowerCase() === 'websocket';
}

const REFUSALS: Readonly<Record<string, AppError>> = {
  HPE_HEADER_OVERFLOW: new AppError('headers_too_large', 'the headers are too large'),
  HPE_CHUNK_EXTENSIONS_OVERFLOW: new AppError('too_large', 'the chunk extensions are too large'),
  ERR_HTTP_REQUEST_TIMEOUT: new AppError('request_timeout', 'the headers came too slowly'),
};
const UNREADABLE = new AppError('malformed', 'this is no HTTP/1.1 request');

function refusalOf(error: NodeJS.ErrnoException): AppError {
  return REFUSALS[error.code ?? ''] ?? UNREADABLE;
}
