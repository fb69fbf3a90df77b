import { ERRORS, isErrorCode } from '../protocol/errors.ts';
import { CommandFailed, UsageError } from './failures.ts';
import { type Io, sleep } from './io.ts';

/**
 * A thin HTTP client for the commands. It goes from node to node: reads, keyed writes and everything
 * that certainly did not happen are tried again elsewhere; a write whose outcome is unknown is not.
 */
export interface ClientRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  /** With its query, percent-encoded. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Doing it twice is doing it once: a read, or a write with an Idempotency-Key. */
  readonly repeatable: boolean;
  /** Ends it, also while its answer is being read. */
  readonly signal?: AbortSignal;
}

/** What a node said no with: the members of its problem document. */
export class RequestFailed extends CommandFailed {
  readonly code: string;
  readonly status: number;
  /** Certainly not applied. */
  readonly definite: boolean;
  readonly retryAfterMs: number | null;

  constructor(
    message: string,
    problem: { code: string; status: number; definite: boolean; retryAfterMs: number | null },
    details: Record<string, unknown>,
  ) {
    super(message, details);
    this.code = problem.code;
    this.status = problem.status;
    this.definite = problem.definite;
    this.retryAfterMs = problem.retryAfterMs;
  }
}

export interface ClientOptions {
  readonly endpoints: readonly string[];
  /** How long one request is tried, over all nodes. */
  readonly timeoutMs: number;
  /** Sent with every request. */
  readonly apiKey?: string | undefined;
}

const ATTEMPT_MS_MAX = 10_000;
const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 1_000;

export class Client {
  readonly #io: Io;
  readonly #options: ClientOptions;
  /** The node that answered last; the next request begins there. */
  #current = 0;

  constructor(io: Io, options: ClientOptions) {
    this.#io = io;
    this.#options = options;
  }

  get endpoint(): string {
    return this.#options.endpoints[this.#current]!;
  }

  /** The answer's body as JSON. */
  async json<T>(request: ClientRequest): Promise<T> {
    return (await this.send(request, async (response) => response.json())) as T;
  }

  /**
   * Sends until `read` has taken an answer of 2xx or the time is over. Throws RequestFailed with the
   * last refusal, or CommandFailed when the last attempt had no answer; it names the last refusal, if any.
   */
  async send<T>(request: ClientRequest, read: (response: Response) => Promise<T>): Promise<T> {
    const { clock, random, signal } = this.#io;
    const deadline = clock.monotonicMs() + this.#options.timeoutMs;
    let refusal: RequestFailed | null = null;
    for (let attempt = 0; ; attempt++) {
      const leftMs = Math.max(1, deadline - clock.monotonicMs());
      try {
        return await this.#attempt(request, Math.min(ATTEMPT_MS_MAX, leftMs), read);
      } catch (error) {
        if (!(error instanceof CommandFailed)) throw error;
        if (error instanceof RequestFailed) refusal = error;
        const shown = error === refusal || refusal === null ? error : unanswered(error, refusal);
        if (!mayRepeat(error, request)) throw shown;
        this.#current = (this.#current + 1) % this.#options.endpoints.length;
        const waitMs = this.#waitMs(error, attempt, random.next());
        if (signal.aborted || clock.monotonicMs() + waitMs >= deadline) throw shown;
        await sleep(this.#io, waitMs);
        if (signal.aborted) throw shown;
      }
    }
  }

  /** Opens a stream at the current node, or the next that answers; `signal` ends it. */
  async stream(
    path: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<Response> {
    const request: ClientRequest = { method: 'GET', path, headers, repeatable: true, signal };
    return this.send(request, async (response) => response);
  }

  /** At once on the first round over the nodes, then ever slower; never before a node said. */
  #waitMs(error: CommandFailed, attempt: number, draw: number): number {
    const asked = error instanceof RequestFailed ? (error.retryAfterMs ?? 0) : 0;
    const round = Math.floor((attempt + 1) / this.#options.endpoints.length);
    if (round === 0) return 0;
    const backoff = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (round - 1));
    return Math.max(asked, backoff * (0.5 + draw / 2));
  }

  async #attempt<T>(
    request: ClientRequest,
    attemptMs: number,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const { method, path, headers = {}, body } = request;
    const { apiKey } = this.#options;
    const timeout = new AbortController();
    const cancel = this.#io.clock.after(attemptMs, () => timeout.abort());
    const given = request.signal === undefined ? [] : [request.signal];
    const signal = AbortSignal.any([timeout.signal, this.#io.signal, ...given]);
    try {
      const init: RequestInit = {
        method,
        headers: apiKey === undefined ? headers : { authorization: `Bearer ${apiKey}`, ...headers },
        signal,
        ...(body === undefined ? {} : { body }),
      };
      const response = await fetch(this.endpoint + path, init);
      if (!response.ok) throw await failureOf(response);
      return await read(response);
    } catch (error) {
      throw error instanceof CommandFailed
        ? error
        : this.#unreachable(error, timeout.signal.aborted);
    } finally {
      cancel();
    }
  }

  #unreachable(error: unknown, timedOut: boolean): CommandFailed {
    const cause = (error as { cause?: { code?: string; message?: string } }).cause;
    const reason = timedOut
      ? 'no answer in time'
      : (cause?.code ?? cause?.message ?? String(error));
    const isUntrusted = UNTRUSTED.has(cause?.code ?? '');
    const definite = isUntrusted || NEVER_SENT.has(cause?.code ?? '');
    const code = definite ? 'unreachable' : 'outcome_unknown';
    const hint = isUntrusted ? `; ${TRUST}` : '';
    return new CommandFailed(`${this.endpoint}: ${reason}${hint}`, { code, definite }, error);
  }
}

/** Errors before a byte of the request can have arrived. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** The node's certificate is not one to talk to: nothing was sent. */
const UNTRUSTED = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
]);
const TRUST =
  'NODE_EXTRA_CA_CERTS=<file> names the authority to trust, such as ca.pem of minikv init';

/** No answer to the last attempt, whose outcome it tells; what a node said before tells why. */
function unanswered(last: CommandFailed, refusal: RequestFailed): CommandFailed {
  return new CommandFailed(`${last.message}; before that: ${refusal.message}`, last.details, last);
}

/** Whether to try elsewhere: it certainly did not happen or may happen twice, and may work later. */
function mayRepeat(error: CommandFailed, request: ClientRequest): boolean {
  if (!(error instanceof RequestFailed)) {
    return request.repeatable || error.details['definite'] === true;
  }
  if (!error.definite && !request.repeatable) return false;
  if (error.status === 429 || error.retryAfterMs !== null) return true;
  if (isErrorCode(error.code)) return ERRORS[error.code].retry !== 'no' || !error.definite;
  return error.status >= 500;
}

/** A refusal as RequestFailed; also for answers that are no problem document (a proxy's, say). */
async function failureOf(response: Response): Promise<RequestFailed> {
  const text = await response.text().catch(() => '');
  let body: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) body = parsed as Record<string, unknown>;
  } catch {
    // Not JSON: the status has to do.
  }
  const { status } = response;
  const code = typeof body['code'] === 'string' ? body['code'] : `http_${status}`;
  const definite = typeof body['definite'] === 'boolean' ? body['definite'] : status < 500;
  const retryAfterMs = typeof body['retryAfterMs'] === 'number' ? body['retryAfterMs'] : null;
  const detail = body['detail'] ?? body['title'] ?? (text.slice(0, 200) || response.statusText);
  const unsure = definite ? '' : ' (it may or may not have happened)';
  const message = `${String(detail)} [${code}]${unsure}`;
  return new RequestFailed(
    message,
    { code, status, definite, retryAfterMs },
    { ...body, code, definite, status },
  );
}

/** `http://a:8080,b:8081` as a list of origins. Throws UsageError. */
export function parseEndpoints(text: string): string[] {
  const endpoints = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => (part.includes('://') ? part : `http://${part}`));
  for (const endpoint of endpoints) {
    const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
    const plain =
      url !== null && /^https?:$/.test(url.protocol) && url.pathname === '/' && url.search === '';
    if (!plain) throw new UsageError(`not the address of a node: ${endpoint}`);
  }
  if (endpoints.length === 0) throw new UsageError('no endpoint is given');
  return endpoints.map((endpoint) => new URL(endpoint).origin);
}

/**
 * The path of one key. URL parsers resolve `.` and `..` between slashes, escaped or not, so keys with
 * such parts have their slashes escaped. Throws UsageError for the two keys that no path can carry.
 */
export function keyPath(key: string): string {
  if (key === '.' || key === '..') throw new UsageError(`the key ${key} cannot stand in a URL`);
  const escaped = encodeURIComponent(key);
  const hasDots = key.split('/').some((part) => part === '.' || part === '..');
  return `/v1/kv/${hasDots ? escaped : escaped.replaceAll('%2F', '/')}`;
}

/** A query string from what is given; undefined and false are left out. */
export function query(
  fields: Readonly<Record<string, string | number | boolean | undefined>>,
): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== false) params.set(name, String(value));
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}
