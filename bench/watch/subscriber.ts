import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { Transport } from './plan.ts';

/** What arrives, in order: the sequence number and due time written into the value, and the revision. */
export type OnEvent = (sequence: number, dueUs: number, revision: number) => void;

const MARK = Buffer.from('"value":"#');
const REVISION = Buffer.from('"revision":');
const SEQUENCE_DIGITS = 10;
const DUE_DIGITS = 16;

/** The value of an event: a mark, its number, its due time, and filling. */
export function eventValue(sequence: number, dueUs: number, bytes: number): string {
  const head = `#${pad(sequence, SEQUENCE_DIGITS)}:${pad(dueUs, DUE_DIGITS)}:`;
  return head.padEnd(bytes, 'x');
}

/**
 * One watcher over a bare socket, as cheap as can be: the framing (chunks, or WebSocket frames) is taken
 * off, and numbers are read from the bytes. Whole messages only; anything unexpected is a failure.
 */
export class Subscriber {
  readonly socket: Socket;
  readonly opened: Promise<void>;
  readonly #transport: Transport;
  readonly #onEvent: OnEvent;
  readonly #onFlaw: (what: string) => void;
  /** Of the framing: a chunk or frame that has not come whole. */
  #raw: Buffer = Buffer.alloc(0);
  /** Of SSE: a message that spans chunks. */
  #text: Buffer = Buffer.alloc(0);
  #isOpen = false;
  #isClosing = false;
  #open: () => void = () => {};

  constructor(
    url: URL,
    prefix: string,
    transport: Transport,
    onEvent: OnEvent,
    onFlaw: (what: string) => void,
  ) {
    this.#transport = transport;
    this.#onEvent = onEvent;
    this.#onFlaw = onFlaw;
    this.socket = connect(Number(url.port), url.hostname);
    this.socket.setNoDelay(true);
    this.opened = new Promise((resolve) => {
      this.#open = resolve;
    });
    const upgrade =
      transport === 'sse'
        ? 'Accept: text/event-stream\r\n'
        : 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
          `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n`;
    const path = `/v1/watch?prefix=${encodeURIComponent(prefix)}`;
    this.socket.write(`GET ${path} HTTP/1.1\r\nHost: ${url.host}\r\n${upgrade}\r\n`);
    this.socket.on('data', (bytes: Buffer) => this.#take(bytes));
    this.socket.on('error', (error) => this.#onFlaw(`a watch failed: ${error.message}`));
    this.socket.on('close', () => {
      if (!this.#isClosing) this.#onFlaw('the server ended a watch');
    });
  }

  close(): void {
    this.#isClosing = true;
    this.socket.destroy();
  }

  #take(bytes: Buffer): void {
    let rest = this.#raw.length === 0 ? bytes : Buffer.concat([this.#raw, bytes]);
    if (!this.#isOpen) {
      const end = rest.indexOf('\r\n\r\n');
      if (end < 0) {
        this.#raw = rest;
        return;
      }
      const status = rest.toString('latin1', 9, 12);
      if (status !== (this.#transport === 'sse' ? '200' : '101')) {
        this.#onFlaw(`a watch was answered with ${rest.toString('latin1', 0, 200)}`);
      }
      this.#isOpen = true;
      this.#open();
      rest = rest.subarray(end + 4);
    }
    const used = this.#transport === 'sse' ? this.#chunks(rest) : this.#frames(rest);
    this.#raw = used === rest.length ? Buffer.alloc(0) : rest.subarray(used);
  }

  #chunks(bytes: Buffer): number {
    let at = 0;
    for (;;) {
      const lineEnd = bytes.indexOf('\r\n', at);
      if (lineEnd < 0) return at;
      const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
      const start = lineEnd + 2;
      if (start + size + 2 > bytes.length) return at;
      this.#messages(bytes.subarray(start, start + size));
      at = start + size + 2;
    }
  }

  #messages(chunk: Buffer): void {
    const bytes = this.#text.length === 0 ? chunk : Buffer.concat([this.#text, chunk]);
    let at = 0;
    for (;;) {
      const end = bytes.indexOf('\n\n', at);
      if (end < 0) break;
      this.#message(bytes, at, end);
      at = end + 2;
    }
    this.#text = bytes.subarray(at);
  }

  #frames(bytes: Buffer): number {
    let at = 0;
    for (;;) {
      if (at + 2 > bytes.length) return at;
      let size = (bytes[at + 1] as number) & 0x7f;
      let start = at + 2;
      if (size === 126) {
        if (at + 4 > bytes.length) return at;
        size = bytes.readUInt16BE(at + 2);
        start = at + 4;
      } else if (size === 127) {
        this.#onFlaw('a frame above 64 KiB');
        return bytes.length;
      }
      if (start + size > bytes.length) return at;
      if ((bytes[at] as number) === 0x81) this.#message(bytes, start, start + size);
      at = start + size;
    }
  }

  /** A message without our mark (a comment, a progress mark, a ping) is none of ours. */
  #message(bytes: Buffer, start: number, end: number): void {
    const mark = bytes.indexOf(MARK, start);
    if (mark < 0 || mark >= end) {
      if (bytes.indexOf('lagged', start) >= 0) this.#onFlaw('a watcher lagged');
      return;
    }
    const at = mark + MARK.length;
    const sequence = digits(bytes, at, SEQUENCE_DIGITS);
    const dueUs = digits(bytes, at + SEQUENCE_DIGITS + 1, DUE_DIGITS);
    const revision = bytes.indexOf(REVISION, at) + REVISION.length;
    this.#onEvent(sequence, dueUs, digits(bytes, revision, 20));
  }
}

/** The number that starts here, of at most `count` digits. */
function digits(bytes: Buffer, start: number, count: number): number {
  let value = 0;
  for (let i = start; i < start + count; i++) {
    const digit = (bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  return value;
}

function pad(value: number, digitCount: number): string {
  return String(value).padStart(digitCount, '0');
}
