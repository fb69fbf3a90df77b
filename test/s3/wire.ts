import { type ClientRequest, type IncomingMessage, Agent as PlainAgent, request } from 'node:http';
import { request as requestTls, Agent as TlsAgent } from 'node:https';
import { connect } from 'node:net';

/** Requests as they are, without a library that mends them. */

export interface WireRequest {
  readonly method: string;
  /** Path and query, encoded. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Uint8Array;
  /** Without Content-Length, in chunks of HTTP. */
  readonly isChunked: boolean;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly bytes: Buffer;
  readonly text: string;
  /** `100 Continue` came before the answer. */
  readonly isContinued: boolean;
}

const REPLY_MS = 20_000;

export class Wire {
  readonly #plain = new PlainAgent({ keepAlive: true, maxSockets: 32 });
  readonly #tls = new TlsAgent({ keepAlive: true, maxSockets: 32 });
  readonly #endpoint: URL;

  constructor(endpoint: string) {
    this.#endpoint = new URL(endpoint);
  }

  /** As clients send it: with the port where it is not the scheme's own. */
  get host(): string {
    return this.#endpoint.host;
  }

  /** What the endpoint has before bucket and key. */
  get prefix(): string {
    return this.#endpoint.pathname.replace(/\/$/, '');
  }

  send(wanted: WireRequest): Promise<Reply> {
    const { protocol, hostname, port } = this.#endpoint;
    const isTls = protocol === 'https:';
    const length = wanted.isChunked ? { 'transfer-encoding': 'chunked' } : lengthOf(wanted);
    const options = {
      hostname,
      port: port === '' ? (isTls ? 443 : 80) : Number(port),
      method: wanted.method,
      path: wanted.target,
      headers: { ...length, ...wanted.headers } as Record<string, string>,
      agent: isTls ? this.#tls : this.#plain,
      setHost: false,
    };
    return new Promise((resolve, reject) => {
      const sent = isTls ? requestTls(options) : request(options);
      let isContinued = false;
      sent.on('continue', () => {
        isContinued = true;
        sent.end(Buffer.from(wanted.body));
      });
      sent.on('response', (answer) => {
        gather(answer).then((reply) => resolve({ ...reply, isContinued }), reject);
      });
      sent.on('error', reject);
      sent.setTimeout(REPLY_MS, () => sent.destroy(new Error('no answer')));
      start(sent, wanted);
    });
  }

  /** Bytes as they are; resolves with what came until the server closed or nothing more came for `quietMs`. */
  bytes(sent: string | Uint8Array, quietMs = 400): Promise<string> {
    const { hostname, port } = this.#endpoint;
    return new Promise((resolve) => {
      const socket = connect(Number(port), hostname);
      let text = '';
      const finish = (): void => {
        socket.destroy();
        resolve(text);
      };
      // The first answer may take its time; after it a short silence is the end.
      socket.setTimeout(REPLY_MS, finish);
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
        socket.setTimeout(quietMs);
      });
      socket.on('error', finish);
      socket.on('close', finish);
      socket.write(typeof sent === 'string' ? Buffer.from(sent, 'latin1') : sent);
    });
  }

  close(): void {
    this.#plain.destroy();
    this.#tls.destroy();
  }
}

function lengthOf({ method, body }: WireRequest): Record<string, string> {
  const hasBody = body.length > 0 || method === 'PUT' || method === 'POST';
  return hasBody ? { 'content-length': String(body.length) } : {};
}

/** With `Expect: 100-continue` the body waits for the server's word. */
function start(sent: ClientRequest, { headers, body }: WireRequest): void {
  if (headers['expect'] === '100-continue') sent.flushHeaders();
  else sent.end(body.length === 0 ? undefined : Buffer.from(body));
}

async function gather(answer: IncomingMessage): Promise<Omit<Reply, 'isContinued'>> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(answer.headers)) {
    headers[name] = Array.isArray(value) ? value.join(', ') : (value ?? '');
  }
  return { status: answer.statusCode ?? 0, headers, bytes, text: bytes.toString('utf8') };
}
