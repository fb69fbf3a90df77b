import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  connect,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { connect as connectTls, type TLSSocket } from 'node:tls';

export interface Http2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders & IncomingHttpStatusHeader;
  readonly bytes: Buffer;
  readonly text: string;
}

/** A client of HTTP/2, Node's own. */
export class Http2Client {
  readonly session: ClientHttp2Session;

  constructor(
    url: string,
    ca: string,
    options: ClientSessionOptions & { cert?: string; key?: string } = {},
  ) {
    this.session = connect(url, { ca, maxSessionMemory: 100, ...options } as ClientSessionOptions);
    this.session.on('error', () => {});
  }

  open(method: string, path: string, headers: OutgoingHttpHeaders = {}, hasBody = false) {
    const head = { ':method': method, ':path': path, ...headers };
    const stream = this.session.request(head, { endStream: !hasBody });
    stream.on('error', () => {});
    return stream;
  }

  /** Rejects where the stream is reset before there is a whole answer. */
  async ask(
    method: string,
    path: string,
    { body, headers = {} }: { body?: string | Uint8Array; headers?: OutgoingHttpHeaders } = {},
  ): Promise<Http2Answer> {
    const stream = this.open(method, path, headers, body !== undefined);
    if (body !== undefined) stream.end(body);
    return answerOf(stream);
  }

  close(): void {
    this.session.destroy();
  }
}

export async function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    let headers: Http2Answer['headers'] | null = null;
    const pieces: Buffer[] = [];
    let isWhole = false;
    stream.on('response', (seen) => {
      headers = seen;
    });
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.on('end', () => {
      isWhole = true;
    });
    stream.on('close', () => {
      if (headers === null || !isWhole || stream.rstCode !== 0) {
        reject(new Error(`reset ${stream.rstCode}`));
        return;
      }
      const bytes = Buffer.concat(pieces);
      resolve({ status: headers[':status'] ?? 0, headers, bytes, text: bytes.toString() });
    });
  });
}

/** Frames as they are, for what no client sends. */
export class RawHttp2 {
  readonly socket: TLSSocket;
  readonly #ended: Promise<unknown>;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    this.#ended = once(socket, 'close');
    socket.on('error', () => {});
    socket.resume();
  }

  static async open(url: string, ca: string): Promise<RawHttp2> {
    const { hostname, port } = new URL(url);
    const socket = connectTls({ host: hostname, port: Number(port), ca, ALPNProtocols: ['h2'] });
    await once(socket, 'secureConnect');
    const raw = new RawHttp2(socket);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    raw.frame(SETTINGS, 0, 0, Buffer.alloc(0));
    return raw;
  }

  frame(type: number, flags: number, stream: number, payload: Uint8Array): boolean {
    return this.socket.write(frameOf(type, flags, stream, payload));
  }

  /** Whether the server has ended the connection within this time. */
  async endsWithin(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve('late'), ms);
    });
    const first = await Promise.race([this.#ended.then(() => 'ended'), late]);
    clearTimeout(timer);
    return first === 'ended';
  }
}

export const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION] = [
  0, 1, 3, 4, 6, 7, 8, 9,
] as const;
export const [END_STREAM, END_HEADERS] = [1, 4] as const;

export function frameOf(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** HPACK without indexing: every name and value as it is. */
export function headerBlock(headers: readonly (readonly [string, string])[]): Buffer {
  const text = (value: string) => {
    const bytes = Buffer.from(value, 'latin1');
    if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
    const length = [127];
    let left = bytes.length - 127;
    for (; left >= 128; left >>= 7) length.push((left & 127) | 128);
    return Buffer.concat([Buffer.from([...length, left]), bytes]);
  };
  return Buffer.concat(
    headers.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]),
  );
}

export const GET_HEALTH = headerBlock([
  [':method', 'GET'],
  [':scheme', 'https'],
  [':path', '/health'],
  [':authority', 'localhost'],
]);
