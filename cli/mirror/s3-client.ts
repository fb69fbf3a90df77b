import { setMaxListeners } from 'node:events';
import http, {
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http';
import https from 'node:https';
import { pipeline, type Readable } from 'node:stream';
import { CommandFailed } from '../failures.ts';
import { type Io, sleep } from '../io.ts';
import { errorOf } from './answers.ts';
import { pathOf, queryText, type S3KeyPair, Signer, wireText } from './sign.ts';

/** A body that comes from elsewhere, of a length that is known. It is sent once: whoever has it begins anew. */
export interface StreamBody {
  readonly stream: Readable;
  readonly bytes: number;
}

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  readonly bucket?: string;
  readonly key?: string;
  /** Undefined fields are left out; an empty value is a sub-resource. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Lower-case names; one char per byte. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | StreamBody;
}

export interface S3Answer {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface StreamedAnswer {
  readonly headers: IncomingHttpHeaders;
  /** Has to be read to its end, or destroyed. */
  readonly stream: IncomingMessage;
}

/** The other side said no, or nothing. `status` 0: there was no answer. */
export class S3Failure extends CommandFailed {
  readonly code: string;
  readonly status: number;

  constructor(message: string, code: string, status: number, cause?: unknown) {
    super(message, { code, status }, cause);
    this.code = code;
    this.status = status;
  }

  /** The same may work a little later. */
  get mayPass(): boolean {
    const isTheirs = this.status >= 500 && this.status !== 501;
    return this.status === 0 || isTheirs || PASSING.has(this.code);
  }
}

const PASSING = new Set([
  ...['SlowDown', 'RequestTimeout', 'TooManyRequests', 'Throttling', 'OperationAborted'],
  ...['BadDigest', 'IncompleteBody', 'http_429', 'http_408'],
]);

export interface S3ClientOptions {
  /** Nodes of one store, e.g. `http://127.0.0.1:9000`; the next one is asked when one is gone. */
  readonly endpoints: readonly string[];
  readonly region: string;
  /** Null: requests are not signed. */
  readonly keys: S3KeyPair | null;
}

const IDLE_MS_MAX = 60_000;
const DOCUMENT_BYTES_MAX = 32 * 1024 * 1024;
const ATTEMPTS = 8;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 5_000;

/** Repeats what may pass, ever more slowly; gives the last failure. Ends early when the command is stopped. */
export async function patiently<T>(io: Io, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const passes = error instanceof S3Failure && error.mayPass;
      if (!passes || attempt === ATTEMPTS || io.signal.aborted) throw error;
      const backoff = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** attempt);
      await sleep(io, backoff * (0.5 + io.random.next() / 2));
      if (io.signal.aborted) throw error;
    }
  }
}

/** The few requests of S3 that copying needs: signed, streamed in both directions, over connections that stay open. */
export class S3Client {
  readonly #io: Io;
  readonly #endpoints: readonly URL[];
  readonly #signer: Signer | null;
  readonly #agents = {
    plain: new http.Agent({ keepAlive: true }),
    tls: new https.Agent({ keepAlive: true }),
  };
  #current = 0;

  constructor(io: Io, { endpoints, region, keys }: S3ClientOptions) {
    this.#io = io;
    setMaxListeners(0, io.signal); // one for each request under way
    this.#endpoints = endpoints.map((endpoint) => new URL(endpoint));
    this.#signer = keys === null ? null : new Signer(keys, region);
  }

  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  /** A small answer. What has no stream for a body is repeated while it may pass. Throws S3Failure. */
  async send(request: S3Request): Promise<S3Answer> {
    const { body } = request;
    const isStream = body !== undefined && !(body instanceof Uint8Array);
    const once = async (): Promise<S3Answer> => {
      const { headers, stream } = await this.open(request);
      return { headers, body: await this.#whole(stream, request) };
    };
    return isStream ? once() : patiently(this.#io, once);
  }

  /** Sends once; the body of the answer is the caller's. Throws S3Failure. */
  async open(request: S3Request): Promise<StreamedAnswer> {
    const endpoint = this.#endpoints[this.#current] as URL;
    let answer: IncomingMessage;
    try {
      answer = await this.#exchange(endpoint, request);
    } catch (error) {
      this.#next(endpoint);
      throw this.#unanswered(endpoint, error);
    }
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) return { headers: answer.headers, stream: answer };
    const body = await this.#whole(answer, request).catch(() => Buffer.alloc(0));
    if (status >= 500) this.#next(endpoint);
    const { code, message } = errorOf(body, status);
    const where = [request.bucket, request.key].filter((part) => part !== undefined).join('/');
    const text = `${request.method} ${where}: ${message} [${code}]`;
    throw new S3Failure(text, code, status);
  }

  #next(failed: URL): void {
    if (this.#endpoints[this.#current] !== failed) return; // another request has moved on already
    this.#current = (this.#current + 1) % this.#endpoints.length;
  }

  #exchange(endpoint: URL, request: S3Request): Promise<IncomingMessage> {
    const { method, body } = request;
    const fields = Object.entries(request.query ?? {}).flatMap(([name, value]) =>
      value === undefined ? [] : [{ name: wireText(name), value: wireText(value) }],
    );
    const prefix = endpoint.pathname.replace(/\/$/, '');
    const path = pathOf(prefix, request.bucket ?? null, request.key ?? null);
    const target = path + queryText(fields);
    const isStream = body !== undefined && !(body instanceof Uint8Array);
    const bytes = isStream ? body.bytes : (body?.length ?? 0);
    const headers: Record<string, string> = { ...request.headers, host: endpoint.host };
    if (method === 'PUT' || method === 'POST') headers['content-length'] = String(bytes);
    const unsigned = {
      ...{ method, target, fields, headers },
      body: isStream ? null : (body ?? new Uint8Array(0)),
    };
    const sent = this.#signer?.signed(unsigned, this.#io.clock.wallMs()) ?? headers;
    const { protocol, hostname, port } = endpoint;
    const isTls = protocol === 'https:';
    const agent = isTls ? this.#agents.tls : this.#agents.plain;
    const options = { method, hostname, port, path: target, headers: sent, agent };
    return new Promise((resolve, reject) => {
      const module = isTls ? https : http;
      const outgoing = module.request({ ...options, signal: this.#io.signal }, (answer) => {
        answer.on('error', () => {}); // whoever reads it hears of it
        resolve(answer);
      });
      settleAtEnd(outgoing, reject);
      outgoing.setTimeout(IDLE_MS_MAX, () => outgoing.destroy(new Error('no answer in time')));
      if (isStream) pipeline(body.stream, outgoing, () => {});
      else outgoing.end(body);
    });
  }

  async #whole(stream: IncomingMessage, { method }: S3Request): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > DOCUMENT_BYTES_MAX) throw new Error('the answer is too long');
        chunks.push(chunk);
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new S3Failure(`${method}: the answer broke off: ${reason}`, 'broken_off', 0, error);
    }
    return Buffer.concat(chunks);
  }

  /** Names the place and never the request, whose headers hold a signature. */
  #unanswered(endpoint: URL, error: unknown): S3Failure {
    const { code, message } = error as NodeJS.ErrnoException;
    return new S3Failure(`${endpoint.origin}: ${code ?? message}`, 'unreachable', 0, error);
  }
}

/** A refusal may come while the body is still being sent: the answer counts, if there is one, not the broken pipe. */
function settleAtEnd(outgoing: ClientRequest, reject: (error: Error) => void): void {
  let failure: Error | null = null;
  outgoing.on('error', (error) => {
    failure ??= error;
  });
  outgoing.on('close', () => reject(failure ?? new Error('the connection was closed')));
}
