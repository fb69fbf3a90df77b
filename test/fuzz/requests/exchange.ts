import { connect } from 'node:net';
import { Broken } from '../target.ts';

/** One request as it is sent: the bytes decide, also where they are no request. */
export interface FuzzedRequest {
  /** For the report. */
  readonly name: string;
  readonly method: string;
  readonly bytes: Buffer;
}

export interface FuzzedAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** It goes on for as long as its reader stays. */
  readonly isStream: boolean;
}

const ANSWER_MS = 20_000;
const HEAD_END = Buffer.from('\r\n\r\n');
const STREAMS = /^(?:text\/event-stream|application\/x-ndjson)/;

/**
 * Sends one request on a connection of its own and gives its one answer. Throws Broken where none comes, where it is not
 * framed as it says, and where something follows it.
 */
export async function exchange(
  url: string,
  { method, bytes }: FuzzedRequest,
): Promise<FuzzedAnswer> {
  const received = await receive(url, bytes);
  let at = 0;
  for (;;) {
    const end = received.indexOf(HEAD_END, at);
    if (end < 0) throw new Broken(`no answer, but ${received.length} bytes`);
    const head = received.toString('latin1', at, end);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
    at = end + HEAD_END.length;
    if (status >= 100 && status < 200) continue;
    return answerOf(method, status, head, received.subarray(at));
  }
}

function answerOf(method: string, status: number, head: string, rest: Buffer): FuzzedAnswer {
  const headers = new Map<string, string>();
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  const isStream = STREAMS.test(headers.get('content-type') ?? '');
  const isEmpty = method === 'HEAD' || status === 204 || status === 304;
  const length = isEmpty ? '0' : headers.get('content-length');
  if (isStream) return { status, headers, body: rest, isStream };
  if (length !== undefined) {
    if (rest.length !== Number(length)) {
      throw new Broken(`${status}: ${rest.length} bytes follow a head that says ${length}`);
    }
    return { status, headers, body: rest, isStream };
  }
  if (headers.get('transfer-encoding') !== 'chunked') throw new Broken('an answer has no length');
  return { status, headers, body: dechunked(rest), isStream };
}

function dechunked(rest: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = rest.indexOf('\r\n', at);
    const size = Number.parseInt(rest.toString('latin1', at, line), 16);
    if (line < 0 || Number.isNaN(size)) throw new Broken('an answer in chunks is cut short');
    const start = line + 2;
    at = start + size + 2;
    if (size === 0) {
      if (at !== rest.length) throw new Broken('bytes follow an answer in chunks');
      return Buffer.concat(parts);
    }
    parts.push(rest.subarray(start, start + size));
  }
}

/** All that comes until the server closes; of a stream, what comes in a moment. */
function receive(url: string, bytes: Buffer): Promise<Buffer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    const parts: Buffer[] = [];
    const finish = (run: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      run();
    };
    const timer = setTimeout(
      () => finish(() => reject(new Broken(`no end of an answer in ${ANSWER_MS} ms`))),
      ANSWER_MS,
    );
    let isStream = false;
    socket.on('data', (part) => {
      parts.push(part);
      if (
        isStream ||
        !/\r\ncontent-type: (?:text\/event-stream|application\/x-ndjson)/i.test(String(part))
      )
        return;
      isStream = true;
      setTimeout(() => finish(() => resolve(Buffer.concat(parts))), 20);
    });
    // Who refuses a body may close before it has read all of it.
    socket.on('error', () => finish(() => resolve(Buffer.concat(parts))));
    socket.on('close', () => finish(() => resolve(Buffer.concat(parts))));
    socket.write(bytes);
  });
}

/** What no answer shows: where this program is, and how it came there. */
const INSIDES = [/\n\s+at .+:\d+:\d+/, /node_modules/, /file:\/\//, /\.[tj]s:\d+/, /node:internal/];

/** What holds of every answer. `secrets`: texts that nobody is shown. */
export function checkAnswer(
  { status, headers, body }: FuzzedAnswer,
  secrets: readonly string[],
): void {
  const text = body.toString('utf8');
  if (status === 500 || status === 502) throw new Broken(`${status}: ${text.slice(0, 500)}`);
  if (!(status >= 200 && status < 600)) throw new Broken(`a status of ${status}`);
  if ((headers.get('x-request-id') ?? '') === '') throw new Broken(`${status} has no request id`);
  if (headers.get('x-content-type-options') !== 'nosniff') throw new Broken('without nosniff');
  const all = `${[...headers.values()].join('\n')}\n${text}`;
  for (const inside of INSIDES) {
    if (inside.test(all)) throw new Broken(`${status} shows ${inside}: ${all.slice(0, 500)}`);
  }
  for (const secret of secrets) {
    if (all.includes(secret)) throw new Broken(`${status} shows a secret or a path`);
  }
}

/** A request as it is written: names and values are not looked at. */
export function requestBytes(
  method: string,
  target: string,
  headers: readonly (readonly [name: string, value: string])[],
  body: Uint8Array | null,
): Buffer {
  const lines = [
    `${method} ${target} HTTP/1.1`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ];
  if (body !== null) lines.push(`content-length: ${body.length}`);
  lines.push('connection: close', '', '');
  return Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), body ?? Buffer.alloc(0)]);
}
