import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TObject } from 'typebox';
import { type WebSocket, WebSocketServer } from 'ws';
import { AppError, ERRORS } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { WatchMessage } from '../../protocol/service.ts';
import type { Edge, RequestState } from '../http/app.ts';
import { audit } from '../http/audit.ts';
import { appErrorOf } from '../http/problem.ts';
import { checkedQuery } from '../http/query-check.ts';
import { metersOf } from '../http/rate-limit.ts';
import { commonHeaders, rawProblem, requestIdOf } from '../http/raw-answer.ts';
import * as schemas from '../http/schemas.ts';
import { isForeignOrigin } from '../http/screen.ts';
import { traceparentOf } from '../http/trace.ts';
import { pathOf, queryOf } from '../http/url.ts';
import { credentialOf } from '../identity/client-certificate.ts';
import type { Shape } from '../kv/shapes.ts';
import { Encoder } from './encoder.ts';
import { openWatch, type WatchQueryFields, watchOptions } from './open.ts';
import { pump, type Stream, type StreamEnd, whenDrained } from './pump.ts';
import { messageShape, seedShape } from './shapes.ts';

type MessageForm = (message: WatchMessage) => Shape | null;

/** A watch message as one frame: its shape and the token to resume from. */
const frameForm: MessageForm = (message) => {
  const shape = messageShape(message);
  if (message.type === 'compacted' || (message.type === 'event' && message.initial)) return shape;
  return { ...shape, token: message.token };
};
const seedForm: MessageForm = (message) => seedShape(message, wallMsOfRevision);

const PATHS: Readonly<Record<string, { form: MessageForm; query: TObject }>> = {
  '/v1/watch': { form: frameForm, query: schemas.WatchQuery },
  '/watch/ws': { form: seedForm, query: schemas.NoQuery },
};

/** Close codes beside the protocol's own: 44xx are ours. */
const CLOSE = { normal: 1000, goingAway: 1001, refused: 1008, failed: 1011, lagged: 1013 } as const;
const CLOSE_COMPACTED = 4410;
const CLOSE_REVOKED = 4401;

/**
 * Watches over WebSocket (FAULTS I36). Whatever is wrong with the request is an HTTP answer before the
 * upgrade. Afterwards only the server speaks; a client sends nothing but pings and pongs.
 */
export class WatchSockets {
  readonly #edge: Edge;
  readonly #encoders: ReadonlyMap<MessageForm, Encoder>;
  readonly #server: WebSocketServer;

  constructor(edge: Edge) {
    this.#edge = edge;
    const forms = [frameForm, seedForm];
    this.#encoders = new Map(
      forms.map((form) => [form, new Encoder((messages) => framesOf(messages, form))]),
    );
    this.#server = new WebSocketServer({
      ...{ noServer: true, clientTracking: false, perMessageDeflate: false, autoPong: false },
      maxPayload: edge.bounds.clientFrameBytesMax,
    });
  }

  isPath(url: string): boolean {
    return Object.hasOwn(PATHS, pathOf(url));
  }

  /** Never rejects. */
  async open(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const requestId = requestIdOf(this.#edge, req);
    const onError = (): void => void socket.destroy();
    socket.on('error', onError);
    try {
      const path = PATHS[pathOf(req.url ?? '')];
      if (path === undefined) throw new AppError('not_found', 'there is no such path');
      const { access } = this.#edge;
      const grant =
        (await access?.admit(credentialOf(req.headers.authorization, req.socket), 'data:watch')) ??
        null;
      const meters = metersOf(this.#edge, grant, req.socket.remoteAddress);
      const opened = await this.#watch(req, path.query, { grant, meters });
      if (socket.destroyed) {
        opened.watch.close();
        return;
      }
      socket.off('error', onError);
      const headers = commonHeaders(this.#edge, requestId, null);
      this.#server.once('headers', (lines: string[]) => {
        for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
      });
      this.#server.handleUpgrade(req, socket, head, (ws) => {
        const encoder = this.#encoders.get(path.form) as Encoder;
        const stream = new SocketStream(this.#edge, ws, socket, encoder);
        ws.once('close', () => opened.watch.close());
        void pump(this.#edge, stream, opened, meters);
      });
      const who = grant?.who ?? null;
      audit(this.#edge, { req, rule: 'data:watch', who, status: 101, requestId });
      // The handshake answers at once, or not at all.
      this.#server.removeAllListeners('headers');
      if (socket.destroyed || socket.writableEnded) opened.watch.close();
    } catch (error) {
      const refusal = appErrorOf(error);
      this.#count(refusal);
      const status = ERRORS[refusal.code].http;
      audit(this.#edge, { req, rule: 'data:watch', who: null, status, requestId });
      socket.end(rawProblem(this.#edge, refusal, requestId), () => socket.destroy());
    }
  }

  async #watch(
    req: IncomingMessage,
    querySchema: TObject,
    admitted: Pick<RequestState, 'grant' | 'meters'>,
  ) {
    const { config, access } = this.#edge;
    if (access === null && !config.allowUnsigned) {
      throw new AppError('unauthenticated', 'requests without credentials are not served here');
    }
    if (isForeignOrigin(req, config.allowedOrigins ?? [])) {
      throw new AppError('forbidden', 'pages of other origins may not watch here');
    }
    assertHandshake(req);
    const refusal = admitted.meters?.admit(0) ?? null;
    if (refusal !== null) throw refusal;
    const query = checkedQuery(querySchema, queryOf(req.url ?? '')) as WatchQueryFields;
    const options = watchOptions(query, req.headers['last-event-id']);
    const ctx = {
      deadlineMs: LIMITS.requestDeadlineMsDefault,
      traceparent: traceparentOf(req.headers['traceparent']),
      idempotency: null,
    };
    return openWatch(this.#edge, ctx, options, admitted);
  }

  #count(refusal: AppError): void {
    const labels = { method: 'GET', route: 'websocket', status: ERRORS[refusal.code].http };
    this.#edge.telemetry.count('http_requests', 1, labels);
  }
}

/** What ws would refuse with an answer that is not ours. */
function assertHandshake(req: IncomingMessage): void {
  const key = req.headers['sec-websocket-key'];
  const version = req.headers['sec-websocket-version'];
  const isGood =
    req.method === 'GET' && version === '13' && /^[+/0-9A-Za-z]{22}==$/.test(key ?? '');
  if (!isGood) throw new AppError('malformed', 'this is no WebSocket version 13 handshake');
}

/** Each message as one unmasked text frame (RFC 6455, 5.2). */
function framesOf(messages: readonly WatchMessage[], form: MessageForm): Buffer {
  const parts: Buffer[] = [];
  for (const message of messages) {
    const shown = form(message);
    if (shown === null) continue;
    const text = Buffer.from(JSON.stringify(shown));
    parts.push(headOf(text.length), text);
  }
  return Buffer.concat(parts);
}

const FINAL_TEXT = 0x81;

function headOf(length: number): Buffer {
  if (length < 126) return Buffer.from([FINAL_TEXT, length]);
  if (length < 0x1_0000) return Buffer.from([FINAL_TEXT, 126, length >> 8, length & 0xff]);
  const head = Buffer.alloc(10);
  head.writeUInt16BE((FINAL_TEXT << 8) | 127);
  head.writeUInt32BE(length, 6);
  return head;
}

class SocketStream implements Stream {
  readonly transport = 'websocket';
  readonly encoder: Encoder;
  readonly #edge: Edge;
  readonly #ws: WebSocket;
  readonly #socket: Duplex;
  #isAlive = true;
  #frames = 0;
  #frameSecond = 0;

  constructor(edge: Edge, ws: WebSocket, socket: Duplex, encoder: Encoder) {
    this.#edge = edge;
    this.#ws = ws;
    this.#socket = socket;
    this.encoder = encoder;
    ws.on('error', () => ws.terminate());
    ws.on('pong', () => {
      this.#isAlive = true;
      this.#onFrame();
    });
    ws.on('ping', (data) => {
      if (this.#onFrame() && ws.bufferedAmount < edge.bounds.streamChunkChars) ws.pong(data);
    });
    ws.on('message', () => this.#onFrame());
  }

  get isOpen(): boolean {
    return this.#ws.readyState === this.#ws.OPEN;
  }

  /**
   * Whole frames, the same bytes for all readers. Without compression ws writes each of its own frames
   * (pings, the close) in one go, so what goes past it stands between two frames.
   */
  write(frames: Buffer): boolean {
    return frames.length === 0 || !this.isOpen || this.#socket.write(frames);
  }

  drained(): Promise<void> {
    return whenDrained(this.#socket, () => !this.isOpen);
  }

  heartbeat(): void {
    if (!this.isOpen) return;
    if (!this.#isAlive) {
      this.#ws.terminate();
      return;
    }
    // A reader that is behind has not seen the ping before; the stall bound watches that one.
    if (this.#ws.bufferedAmount > 0) return;
    this.#isAlive = false;
    this.#ws.ping();
  }

  cut(): void {
    this.#ws.terminate();
  }

  end(why: StreamEnd): void {
    if (!this.isOpen) return;
    if (why === 'draining') this.#ws.close(CLOSE.goingAway, 'resume from the last token');
    else if (why === 'failed') this.#ws.close(CLOSE.failed, 'resume from the last token');
    else if (why === 'lagged') this.#ws.close(CLOSE.lagged, 'resume from the last token');
    else if (why === 'revoked') this.#ws.close(CLOSE_REVOKED, 'the key is no longer good');
    else if (why === 'compacted') this.#ws.close(CLOSE_COMPACTED, 'compacted');
    else this.#ws.close(CLOSE.normal);
  }

  /** False when this client sends more than any reader has to. */
  #onFrame(): boolean {
    const second = Math.floor(this.#edge.clock.monotonicMs() / 1000);
    if (second !== this.#frameSecond) {
      this.#frameSecond = second;
      this.#frames = 0;
    }
    this.#frames++;
    if (this.#frames <= this.#edge.bounds.clientFramesPerSecondMax) return true;
    this.#ws.close(CLOSE.refused, 'too many frames');
    return false;
  }
}
