import { STATUS_CODES } from 'node:http';
import { type Answer, headersOf } from './answer.ts';
import type { Edge } from './app.ts';
import { decimal } from './decimal.ts';
import type { EdgeResponse } from './exchange.ts';
import { restHeaders } from './raw-answer.ts';

/** Bodies up to this leave in one string with their head; larger ones beside it. */
const JOINED_BYTES_MAX = 2048;

/** Sends answers past the framework, with the bytes it would send. */
export class DirectAnswers {
  readonly #edge: Edge;
  readonly #constant: string;
  readonly #keepAlive: string;
  #second = -1;
  /** The headers that follow Content-Length, and the end of the head; they change once a second. */
  #tail = '';

  constructor(edge: Edge) {
    this.#edge = edge;
    const {
      'x-request-id': _id,
      'x-minikv-revision': _revision,
      ...rest
    } = restHeaders(edge, '', 0);
    this.#constant = Object.entries(rest)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
    const seconds = Math.floor(edge.bounds.keepAliveMs / 1000);
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${seconds}\r\n\r\n`;
  }

  /** `revision` null shows the node's clock. True: it is out; false: it goes the usual way, and `close` tells. */
  send(res: EdgeResponse, requestId: string, revision: number | null, answer: Answer): boolean {
    const { status, body } = answer;
    const isHeadOnly = res.req.method === 'HEAD';
    if (!this.#edge.isDraining()) {
      const head = this.#head(requestId, revision, answer);
      if (body === null || isHeadOnly) {
        if (res.sendWhole(status, head, 'latin1', null)) return true;
      } else if (typeof body === 'string') {
        // The head is ASCII, so a body of ASCII makes both one byte per char.
        const encoding = Buffer.byteLength(body) === body.length ? 'latin1' : 'utf8';
        if (res.sendWhole(status, head + body, encoding, null)) return true;
      } else if (body.length <= JOINED_BYTES_MAX) {
        const text = head + body.toString('latin1');
        if (res.sendWhole(status, text, 'latin1', null)) return true;
      } else if (res.sendWhole(status, head, 'latin1', body)) return true;
    }
    this.#sendThroughNode(res, requestId, revision, answer);
    return false;
  }

  #head(requestId: string, revision: number | null, { status, lines, body }: Answer): string {
    const first = STATUS_LINES[status] ?? statusLine(status);
    const shown = decimal(revision ?? this.#edge.service.status().clock);
    const common = `x-request-id: ${requestId}\r\nx-minikv-revision: ${shown}\r\n${this.#constant}`;
    const length = body === null ? '' : `content-length: ${lengthOf(body)}\r\n`;
    return `${first}${lines}${common}${length}${this.#ending()}`;
  }

  #ending(): string {
    const wallMs = this.#edge.clock.wallMs();
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#tail = `Date: ${this.#edge.dates.text(wallMs)}\r\n${this.#keepAlive}`;
    }
    return this.#tail;
  }

  #sendThroughNode(
    res: EdgeResponse,
    requestId: string,
    revision: number | null,
    { status, lines, body }: Answer,
  ): void {
    const all = headersOf(lines).flat();
    for (const [name, value] of Object.entries(restHeaders(this.#edge, requestId, revision))) {
      all.push(name, value);
    }
    if (this.#edge.isDraining()) all.push('connection', 'close');
    if (body !== null) all.push('content-length', String(lengthOf(body)));
    res.writeHead(status, all);
    res.end(body ?? '');
  }
}

function lengthOf(body: string | Buffer): number {
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length;
}

function statusLine(status: number): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
}

const STATUS_LINES: readonly string[] = Array.from({ length: 512 }, (_, status) =>
  statusLine(status),
);
