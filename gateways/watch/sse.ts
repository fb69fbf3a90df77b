import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../../protocol/errors.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { WatchMessage } from '../../protocol/service.ts';
import type { App, Edge } from '../http/app.ts';
import { contextOf } from '../http/context.ts';
import { corsHeaders } from '../http/cors.ts';
import { restHeaders } from '../http/raw-answer.ts';
import * as schemas from '../http/schemas.ts';
import { Encoder } from './encoder.ts';
import { openWatch, type WatchQueryFields, watchOptions } from './open.ts';
import { pump, type Stream, type StreamEnd, whenDrained } from './pump.ts';
import { messageShape, seedShape } from './shapes.ts';

/** A message as an event: its name, its data, and the id to resume from. Null is not shown. */
export type EventForm = (
  message: WatchMessage,
) => { event: string | null; data: unknown; id: string | null } | null;

/** GET /v1/watch and the seed's /watch/sse. */
export function registerSse(app: App, edge: Edge): void {
  const events = new Encoder((messages) => chunkOf(textOf(messages, eventForm)));
  const seedEvents = new Encoder((messages) => chunkOf(textOf(messages, seedForm)));
  const response = schemas.answers({
    200: schemas.content(
      'text/event-stream',
      'Events: put delete expire synced progress compacted lagged.',
    ),
  });
  app.get('/v1/watch', {
    exposeHeadRoute: false,
    schema: {
      ...{ tags: ['watch'], summary: 'Changes in order, as SSE; upgrades to WebSocket' },
      ...{ querystring: schemas.WatchQuery, headers: schemas.WatchHeaders, response },
    },
    handler: (request, reply) => serve(edge, request, reply, request.query, events),
  });
  app.get('/watch/sse', {
    exposeHeadRoute: false,
    schema: {
      ...{ tags: ['seed'], summary: 'Changes as {event, key, tenant, timestamp}' },
      ...{ querystring: schemas.NoQuery, headers: schemas.WatchHeaders, response },
    },
    handler: (request, reply) => serve(edge, request, reply, {}, seedEvents),
  });
  app.get('/watch/ws', {
    exposeHeadRoute: false,
    schema: {
      ...{ tags: ['seed'], summary: 'The same, as a WebSocket' },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 101: { description: 'A WebSocket.' } }),
    },
    handler: async (_request, reply) => {
      reply.header('upgrade', 'websocket');
      throw new AppError('malformed', 'this path is a WebSocket: send an upgrade');
    },
  });
}

const eventForm: EventForm = (message) => ({
  event: message.type === 'event' ? message.event.kind : message.type,
  data: messageShape(message),
  id: idOf(message),
});

const seedForm: EventForm = (message) => {
  const data = seedShape(message, wallMsOfRevision);
  return data === null ? null : { event: null, data, id: idOf(message) };
};

/** Initial items have no id: nothing can be resumed among them, so a cut client begins again. */
function idOf(message: WatchMessage): string | null {
  if (message.type === 'compacted') return null;
  return message.type === 'event' && message.initial ? null : message.token;
}

function textOf(messages: readonly WatchMessage[], form: EventForm): string {
  let text = '';
  for (const message of messages) {
    const shown = form(message);
    if (shown === null) continue;
    if (shown.event !== null) text += `event: ${shown.event}\n`;
    if (shown.id !== null) text += `id: ${shown.id}\n`;
    text += `data: ${JSON.stringify(shown.data)}\n\n`;
  }
  return text;
}

const CRLF = '\r\n';

/** Text as one chunk of a chunked answer; nothing for no text (an empty chunk would end the answer). */
function chunkOf(text: string): Buffer {
  if (text === '') return Buffer.alloc(0);
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}${CRLF}${text}${CRLF}`);
}

async function serve(
  edge: Edge,
  request: FastifyRequest,
  reply: FastifyReply,
  query: WatchQueryFields,
  encoder: Encoder,
): Promise<FastifyReply> {
  const options = watchOptions(query, request.headers['last-event-id']);
  const { meters } = request.edge;
  const opened = await openWatch(edge, contextOf(request), options, request.edge);
  reply.hijack();
  const { raw } = reply;
  if (raw.destroyed || request.raw.socket.destroyed) {
    opened.watch.close();
    return reply;
  }
  // A watch that opens with a reader long gone must not wait for its first event to notice.
  raw.once('close', () => opened.watch.close());
  raw.writeHead(200, {
    ...restHeaders(edge, request.id, null),
    ...corsHeaders(edge, request.raw),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  });
  raw.write(': watching\n\n');
  void pump(edge, new SseStream(raw, encoder), opened, meters);
  return reply;
}

class SseStream implements Stream {
  readonly transport = 'sse';
  readonly encoder: Encoder;
  readonly #res: ServerResponse;
  #hasWritten = false;

  constructor(res: ServerResponse, encoder: Encoder) {
    this.#res = res;
    this.encoder = encoder;
    res.on('error', () => res.destroy());
  }

  get isOpen(): boolean {
    return !this.#res.destroyed && !this.#res.writableEnded;
  }

  /**
   * One chunk, framed already: the same bytes go to all readers, past the response object, which would
   * frame them anew for each. It has its socket once the answers before it on the connection are out. To a
   * client of HTTP/1.0, which knows no chunks, the text goes bare, up to the end of the connection.
   */
  write(chunk: Buffer): boolean {
    if (chunk.length === 0 || !this.isOpen) return true;
    this.#hasWritten = true;
    const { socket, chunkedEncoding } = this.#res;
    if (socket !== null && chunkedEncoding) return socket.write(chunk);
    const start = chunk.indexOf(CRLF) + CRLF.length;
    return this.#res.write(chunk.subarray(start, -CRLF.length));
  }

  drained(): Promise<void> {
    const res = this.#res;
    return whenDrained(res.socket ?? res, () => res.destroyed);
  }

  heartbeat(): void {
    if (!this.#hasWritten && this.isOpen && !this.#res.writableNeedDrain) {
      this.#res.write(': heartbeat\n\n');
    }
    this.#hasWritten = false;
  }

  cut(): void {
    this.#res.destroy();
  }

  end(why: StreamEnd): void {
    if (!this.isOpen) return;
    // EventSource comes back by itself, with the id of the last event.
    if (why === 'draining' || why === 'failed') {
      this.#res.write(`: ${why}, resume with the last id\nretry: 500\n\n`);
    }
    this.#res.end();
  }
}
