import { after, jittered, nowMs, pageOrigin, sleep, uniqueId } from './ambient.ts';
import { errorOfAnswer, invalid, MinikvError, unknownOutcome } from './errors.ts';

export interface ClientOptions {
  /** One node or several, in order of preference; every node answers everything. Default: this page's origin, else http://127.0.0.1:8080. */
  readonly endpoints?: string | readonly string[];
  /** For a whole operation with all its attempts. Default 10,000. */
  readonly timeoutMs?: number;
  /** False: writes carry no idempotency key, and one that was not answered is not repeated. Default true. */
  readonly idempotency?: boolean;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Instead of the global one. */
  readonly fetch?: typeof fetch;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

/**
 * `read`: repeating is harmless. `keyed`: a write with an idempotency key, unless the client was told to do
 * without. `once`: a write that is never repeated when it may have happened.
 */
export type Repeat = 'read' | 'once' | 'keyed';

export interface Request extends CallOptions {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly repeat: Repeat;
  /** Of the caller's own making: the same operation again, also after a restart. */
  readonly idempotencyKey?: string | undefined;
  /** How long a node may take before another is asked; for requests that wait on purpose. */
  readonly attemptMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

const TIMEOUT_MS = 10_000;
/** A node that hangs is given up for another after this, where the request may be repeated. */
const ATTEMPT_MS = 3_000;
const SERVER_TIMEOUT_MS_MAX = 60_000;
const PAUSE_MS_MIN = 10;
const PAUSE_MS_MAX = 400;
/** A node that failed is not asked for this long while there are others. */
const AVOID_MS = 1_000;

/** What Node.js says of a connection that never came about: nothing was sent. */
const NOT_SENT = new Set([
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'],
  'UND_ERR_CONNECT_TIMEOUT',
]);

interface Endpoint {
  readonly url: string;
  avoidUntilMs: number;
}

/** Requests to any of the nodes: failover, deadlines, and repeats only where they are safe. */
export class Transport {
  readonly #endpoints: readonly Endpoint[];
  readonly #options: ClientOptions;
  readonly #fetch: typeof fetch;
  #preferred = 0;

  constructor(options: ClientOptions) {
    const { endpoints = pageOrigin() ?? 'http://127.0.0.1:8080' } = options;
    const urls = typeof endpoints === 'string' ? endpoints.split(',') : endpoints;
    this.#endpoints = urls.map((url) => ({ url: originOf(url), avoidUntilMs: 0 }));
    if (this.#endpoints.length === 0) throw invalid('there is no endpoint');
    this.#options = options;
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
  }

  /** The answer's body as JSON. */
  async json<T>(request: Request): Promise<T> {
    const { body } = await this.call(request);
    return JSON.parse(new TextDecoder().decode(body)) as T;
  }

  /** A whole answer with a status below 400. Throws MinikvError. */
  async call(request: Request): Promise<Answer> {
    const endMs = nowMs() + (request.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS);
    const prepared = this.#prepared(request);
    // Once an attempt was not answered, a refusal of a later one says nothing about it.
    let unanswered = false;
    let failure: MinikvError | null = null;
    for (let attempt = 0; ; attempt++) {
      const leftMs = endMs - nowMs();
      if (request.signal?.aborted) throw aborted(!unanswered, request.signal.reason);
      if (leftMs <= 0) throw unanswered ? unknownOutcome(failure) : (failure ?? late());
      const endpoint = this.#pick();
      try {
        return await this.#attempt(endpoint, prepared, leftMs);
      } catch (error) {
        if (!(error instanceof MinikvError)) throw error;
        failure = error;
      }
      if (failure.code === 'aborted') throw failure;
      if (!failure.definite) unanswered ||= request.repeat !== 'read';
      const mayRepeat = failure.definite || prepared.repeat !== 'once';
      if (!failure.isPassing || !mayRepeat) {
        throw unanswered && failure.definite && !failure.isDecided
          ? unknownOutcome(failure)
          : failure;
      }
      this.#avoid(endpoint, failure);
      const pauseMs = this.#pauseMs(attempt, failure);
      await sleep(Math.min(pauseMs, Math.max(0, endMs - nowMs())), request.signal);
    }
  }

  /** An answer whose body is read by the caller: a watch. One attempt; the head must come in time. */
  async stream(request: Request): Promise<{ response: Response; abort: () => void }> {
    const endpoint = this.#pick();
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    request.signal?.addEventListener('abort', abort, { once: true });
    const cancel = after(request.timeoutMs ?? ATTEMPT_MS, abort);
    try {
      const init = {
        method: request.method,
        headers: this.#headers(request),
        redirect: 'error',
      } as const;
      const response = await this.#fetch(endpoint.url + request.path, {
        ...init,
        signal: controller.signal,
      });
      if (!response.ok) {
        throw errorOfAnswer(response.status, await response.text(), false);
      }
      return { response, abort };
    } catch (error) {
      const failure = error instanceof MinikvError ? error : lost(error, false);
      if (failure.isPassing) this.#avoid(endpoint, failure);
      throw failure;
    } finally {
      cancel();
    }
  }

  #prepared(request: Request): Request {
    if (request.repeat !== 'keyed') return request;
    const isKeyed = this.#options.idempotency !== false || request.idempotencyKey !== undefined;
    if (!isKeyed) return { ...request, repeat: 'once' };
    const key = request.idempotencyKey ?? uniqueId();
    return { ...request, headers: { ...request.headers, 'idempotency-key': key } };
  }

  async #attempt(endpoint: Endpoint, request: Request, leftMs: number): Promise<Answer> {
    const attemptMs = request.repeat === 'once' ? leftMs : (request.attemptMs ?? ATTEMPT_MS);
    const timeoutMs = Math.min(leftMs, attemptMs);
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    request.signal?.addEventListener('abort', abort, { once: true });
    // The node is told the same deadline; its own word on it is better than silence.
    const cancel = after(timeoutMs + 50, abort);
    const serverMs = Math.max(1, Math.min(Math.floor(timeoutMs), SERVER_TIMEOUT_MS_MAX));
    const writes = request.repeat !== 'read';
    try {
      const response = await this.#fetch(endpoint.url + request.path, {
        ...{ method: request.method, redirect: 'error', signal: controller.signal },
        headers: { ...this.#headers(request), 'x-minikv-timeout-ms': String(serverMs) },
        ...(request.body === undefined ? {} : { body: request.body }),
      });
      const { status, headers } = response;
      const body = new Uint8Array(await response.arrayBuffer());
      if (status < 400) return { status, headers, body };
      throw errorOfAnswer(status, new TextDecoder().decode(body), writes);
    } catch (error) {
      if (error instanceof MinikvError) throw error;
      if (request.signal?.aborted) throw aborted(!writes, request.signal.reason);
      throw lost(error, writes);
    } finally {
      cancel();
      request.signal?.removeEventListener('abort', abort);
    }
  }

  #headers(request: Request): Record<string, string> {
    return { ...this.#options.headers, ...request.headers };
  }

  /** The preferred node, unless it failed lately and another did not. */
  #pick(): Endpoint {
    const now = nowMs();
    const count = this.#endpoints.length;
    for (let i = 0; i < count; i++) {
      const at = (this.#preferred + i) % count;
      const endpoint = this.#endpoints[at] as Endpoint;
      if (endpoint.avoidUntilMs > now) continue;
      this.#preferred = at;
      return endpoint;
    }
    const soonest = [...this.#endpoints].sort((a, b) => a.avoidUntilMs - b.avoidUntilMs);
    return soonest[0] as Endpoint;
  }

  /** Another node may be on the better side of a partition, or less busy. */
  #avoid(endpoint: Endpoint, failure: MinikvError): void {
    if (failure.code === 'wrong_shard' || failure.code === 'not_leader') return;
    endpoint.avoidUntilMs = nowMs() + AVOID_MS;
  }

  /** None before the other nodes were asked, where the failed one did not ask for one. */
  #pauseMs(attempt: number, failure: MinikvError): number {
    if (failure.code === 'overloaded' || failure.code === 'rate_limited') {
      return jittered((failure.retryAfterMs ?? PAUSE_MS_MAX) / 2);
    }
    const round = Math.floor((attempt + 1) / this.#endpoints.length);
    return round === 0 ? 0 : jittered(Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** round) / 2);
  }
}

function originOf(endpoint: string): string {
  const text = endpoint.trim().replace(/\/+$/, '');
  const url = /^https?:\/\//.test(text) ? text : `http://${text}`;
  if (!URL.canParse(url)) throw invalid(`${endpoint} is no endpoint`);
  return url;
}

/** A connection that failed. What was sent over it may have been done. */
function lost(error: unknown, writes: boolean): MinikvError {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = (cause as { code?: unknown } | undefined)?.code;
  const isUnsent = typeof code === 'string' && NOT_SENT.has(code);
  if (isUnsent || !writes) {
    return new MinikvError('network', 'the node did not answer', { definite: true, cause: error });
  }
  return unknownOutcome(error);
}

function aborted(definite: boolean, cause: unknown): MinikvError {
  return new MinikvError('aborted', 'the operation was aborted', { definite, cause });
}

function late(): MinikvError {
  return new MinikvError('deadline_exceeded', 'not done before its deadline', { definite: true });
}
