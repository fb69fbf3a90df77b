import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../../protocol/errors.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { WatchMessage } from '../../protocol/service.ts';
import type { App, Edge } from '../http/app.ts';
import { contextOf } from '../http/context.ts';
import { commonHeaders } from '../http/raw-answer.ts';
import * as schemas from '../http/schemas.ts';
import { openWatch, type WatchQueryFields, watchOptions } from './open.ts';
import { pump, type Stream } from './pump.ts';
import { messageShape, seedShape } from './shapes.ts';

/** A message as an event: its name, its data, and the id to resume from. Null is not shown. */
export type EventForm = (
  message: WatchMessage,
) => { event: string | null; data: unknown; id: string | null } | null;

export function registerSse(app: App, edge: Edge): void {
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
    handler: (request, reply) => serve(edge, request, reply, request.query, eventForm),
  });
  app.get('/watch/sse', {
    exposeHeadRoute: false,
    schema: {
      ...{ tags: ['seed'], summary: 'Changes as {event, key, tenant, timestamp}' },
      ...{ querystring: schemas.NoQuery, headers: schemas.WatchHeaders, response },
    },
    handler: (request, reply) => serve(edge, request, reply, {}, seedForm),
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

async function serve(
  edge: Edge,
  request: FastifyRequest,
  reply: FastifyReply,
  query: WatchQueryFields,
  form: EventForm,
): Promise<FastifyReply> {
  const options = watchOptions(query, request.headers['last-event-id']);
  const opened = await openWatch(edge, contextOf(request), options);
  reply.hijack();
  const { raw } = reply;
  if (raw.destroyed || request.raw.socket.destroyed) {
    opened.watch.close();
    return reply;
  }
  // A watch that opens with a reader long gone must not wait for its first event to notice.
  raw.once('close', () => opened.watch.close());
  raw.writeHead(200, {
    ...commonHeaders(edge, request.id, null),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  });
  raw.write(': watching\n\n');
  void pump(edge, new SseStream(edge, raw, form), opened);
  return reply;
}

class SseStream implements Stream {
  readonly transport = 'sse';
  readonly #edge: Edge;
  readonly #res: ServerResponse;
  readonly #form: EventForm;
  #text = '';
  #hasWritten = false;

  constructor(edge: Edge, res: ServerResponse, form: EventForm) {
    this.#edge = edge;
    this.#res = res;
    this.#form = form;
    res.on('error', () => res.destroy());
  }

  get isOpen(): boolean {
    return !this.#res.destroyed && !this.#res.writableEnded;
  }

  send(message: WatchMessage): boolean {
    const shown = this.#form(message);
    if (shown === null) return true;
    if (shown.event !== null) this.#text += `event: ${shown.event}\n`;
    if (shown.id !== null) this.#text += `id: ${shown.id}\n`;
    this.#text += `data: ${JSON.stringify(shown.data)}\n\n`;
    return this.#text.length < this.#edge.bounds.streamChunkChars || this.flush();
  }

  flush(): boolean {
    if (this.#text === '' || !this.isOpen) return true;
    const text = this.#text;
    this.#text = '';
    this.#hasWritten = true;
    return this.#res.write(text);
  }

  drained(): Promise<void> {
    const res = this.#res;
    return new Promise((resolve) => {
      const done = (): void => {
        res.off('drain', done);
        res.off('close', done);
        resolve();
      };
      if (res.destroyed || !res.writableNeedDrain) {
        resolve();
        return;
      }
      res.on('drain', done);
      res.on('close', done);
    });
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

  end(why: 'draining' | 'failed' | null): void {
    if (!this.isOpen) return;
    this.flush();
    // EventSource comes back by itself, with the id of the last event.
    if (why !== null) this.#res.write(`: ${why}, resume with the last id\nretry: 500\n\n`);
    this.#res.end();
  }
}
