/** Refusals that a store gives only after it looked: with an idempotency key they are true of every attempt. */
const DECIDED: ReadonlySet<string> = new Set([
  ...['precondition_failed', 'compare_failed', 'idempotency_mismatch'],
]);

/** Refusals that another attempt, perhaps at another node, may not meet. */
const PASSING: ReadonlySet<string> = new Set([
  ...['unavailable', 'not_leader', 'wrong_shard', 'overloaded', 'clock_skew', 'rate_limited'],
  ...['request_timeout', 'deadline_exceeded', 'outcome_unknown', 'internal', 'network'],
]);

export interface ErrorOptions {
  readonly definite: boolean;
  readonly status?: number | null;
  readonly retryAfterMs?: number | null;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/**
 * The one error of this library. `code` is one of docs/errors.md, or of the library itself: `network` (a
 * connection failed before anything could have happened), `aborted` (your signal), `lagged` and
 * `cut` (a watch). `definite` true: the operation certainly did not happen. False: nobody can tell.
 */
export class MinikvError extends Error {
  override readonly name = 'MinikvError';
  readonly code: string;
  readonly definite: boolean;
  /** The HTTP status; null where there was no answer. */
  readonly status: number | null;
  /** When it may be tried again; null where the store does not say. */
  readonly retryAfterMs: number | null;
  /** Further members of the problem document, such as `currentRevision` or `oldestRevision`. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, options: ErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.definite = options.definite;
    this.status = options.status ?? null;
    this.retryAfterMs = options.retryAfterMs ?? null;
    this.details = options.details ?? {};
  }

  /** Whether the same request may work at another time or node. Says nothing about its safety. */
  get isPassing(): boolean {
    return PASSING.has(this.code);
  }

  /** Whether the store has decided: also true of an earlier attempt that was not answered. */
  get isDecided(): boolean {
    return DECIDED.has(this.code);
  }
}

const KNOWN = ['type', 'title', 'status', 'detail', 'code', 'definite', 'retryAfterMs'];

/** The error an answer that is no success stands for; `writes`: what to think where it does not say. */
export function errorOfAnswer(status: number, body: string, writes: boolean): MinikvError {
  const problem = documentOf(body);
  const code = problem['code'];
  if (typeof code !== 'string') {
    // Some proxy's word. A 5xx may stand for a request that went through.
    const definite = !writes || status < 500;
    const name = status >= 500 ? (definite ? 'unavailable' : 'outcome_unknown') : 'malformed';
    return new MinikvError(name, `HTTP status ${status}`, { definite, status });
  }
  const { detail, definite, retryAfterMs } = problem;
  const details = Object.entries(problem).filter(([name]) => !KNOWN.includes(name));
  return new MinikvError(code, typeof detail === 'string' ? detail : code, {
    ...{ status, definite: definite === true, details: Object.fromEntries(details) },
    retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : null,
  });
}

function documentOf(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Nobody answered, and something may have happened. */
export function unknownOutcome(cause: unknown): MinikvError {
  const message = 'it may or may not have happened: no answer said so in time';
  return new MinikvError('outcome_unknown', message, { definite: false, cause });
}

export function invalid(message: string): MinikvError {
  return new MinikvError('invalid_argument', message, { definite: true });
}
