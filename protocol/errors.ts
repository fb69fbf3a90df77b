/**
 * The one table of errors. `definite` says that the operation certainly did not happen; when in
 * doubt an error is not definite. Codes are stable for ever, messages are not.
 * docs/errors.md is generated from this table.
 */
export interface ErrorRow {
  /** Certainly not applied. */
  readonly definite: boolean;
  /** Whether the same request may work later: never, at once, after a delay. */
  readonly retry: 'no' | 'now' | 'later';
  readonly http: number;
  readonly s3: { readonly code: string; readonly status: number };
  readonly title: string;
}

const row = (
  http: number,
  s3Code: string,
  s3Status: number,
  title: string,
  more: { definite?: boolean; retry?: 'now' | 'later' } = {},
): ErrorRow => ({
  definite: more.definite ?? true,
  retry: more.retry ?? 'no',
  http,
  s3: { code: s3Code, status: s3Status },
  title,
});

export const ERRORS = {
  invalid_argument: row(400, 'InvalidArgument', 400, 'An argument is not valid'),
  malformed: row(400, 'InvalidRequest', 400, 'The request could not be read'),
  unauthenticated: row(401, 'AccessDenied', 403, 'Credentials are missing or not valid'),
  forbidden: row(403, 'AccessDenied', 403, 'Not allowed'),
  key_not_found: row(404, 'NoSuchKey', 404, 'There is no such key'),
  not_found: row(404, 'NoSuchKey', 404, 'There is no such thing here'),
  bucket_not_found: row(404, 'NoSuchBucket', 404, 'There is no such bucket'),
  object_not_found: row(404, 'NoSuchKey', 404, 'There is no such object or version'),
  lease_not_found: row(404, 'NoSuchKey', 404, 'There is no such lease, or it has ended'),
  method_not_allowed: row(405, 'MethodNotAllowed', 405, 'The method is not allowed here'),
  not_acceptable: row(406, 'InvalidRequest', 400, 'None of the accepted types can be given'),
  request_timeout: row(408, 'RequestTimeout', 400, 'The request arrived too slowly', {
    retry: 'now',
  }),
  compare_failed: row(409, 'PreconditionFailed', 412, 'A compare failed'),
  index_building: row(409, 'OperationAborted', 409, 'The index is still being built', {
    retry: 'later',
  }),
  conflict: row(409, 'OperationAborted', 409, 'Another operation was in the way', { retry: 'now' }),
  duplicate: row(409, 'OperationAborted', 409, 'Another key has this value in a unique index'),
  object_locked: row(409, 'AccessDenied', 403, 'A retention or a legal hold keeps the object'),
  lock_held: row(409, 'OperationAborted', 409, 'The lock is held', { retry: 'later' }),
  compacted: row(410, 'InvalidArgument', 400, 'That revision is older than the retention window'),
  precondition_failed: row(412, 'PreconditionFailed', 412, 'A precondition failed'),
  too_large: row(413, 'EntityTooLarge', 400, 'Larger than the limit'),
  uri_too_long: row(414, 'KeyTooLongError', 400, 'The URL is too long'),
  unsupported_media_type: row(415, 'InvalidRequest', 400, 'The content type is not understood'),
  range_not_satisfiable: row(416, 'InvalidRange', 416, 'The range is outside the value'),
  idempotency_mismatch: row(
    422,
    'InvalidRequest',
    400,
    'The idempotency key was used for another request',
  ),
  rate_limited: row(429, 'SlowDown', 503, 'Too many requests', { retry: 'later' }),
  headers_too_large: row(431, 'InvalidRequest', 400, 'The headers are too large'),
  internal: row(500, 'InternalError', 500, 'Something broke', { definite: false, retry: 'later' }),
  not_implemented: row(501, 'NotImplemented', 501, 'Not implemented'),
  unavailable: row(503, 'ServiceUnavailable', 503, 'No quorum can be reached now', {
    retry: 'later',
  }),
  not_leader: row(503, 'ServiceUnavailable', 503, 'This replica does not lead', { retry: 'now' }),
  wrong_shard: row(503, 'ServiceUnavailable', 503, 'The shard map has changed', { retry: 'now' }),
  overloaded: row(503, 'SlowDown', 503, 'Too busy', { retry: 'later' }),
  clock_skew: row(503, 'ServiceUnavailable', 503, 'A clock is too far off', { retry: 'later' }),
  outcome_unknown: row(504, 'InternalError', 500, 'It may or may not have happened', {
    definite: false,
  }),
  // Not RequestTimeout: that is a 400, and clients repeat it by its code only, which the answer to a HEAD lacks.
  deadline_exceeded: row(504, 'ServiceUnavailable', 503, 'Not done before its deadline', {
    retry: 'later',
  }),
  quota_exceeded: row(507, 'QuotaExceeded', 403, 'A quota has no room for it'),
  storage_full: row(507, 'ServiceUnavailable', 503, 'Storage is full', { retry: 'later' }),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** What an edge shows. Cores return rejections as values and never throw this. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly definite: boolean;
  readonly retryAfterMs: number | null;
  /** Extra members of the problem document, e.g. `{ oldestRevision }`. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      cause?: unknown;
      definite?: boolean;
      retryAfterMs?: number;
      details?: Record<string, unknown>;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.definite = options.definite ?? ERRORS[code].definite;
    this.retryAfterMs = options.retryAfterMs ?? (ERRORS[code].retry === 'later' ? 250 : null);
    this.details = options.details ?? {};
  }
}

/** Catches a refusal of work that may fail without harm. Anything else is a flaw, and is thrown on. */
export function onlyRefusals(error: unknown): void {
  if (!(error instanceof AppError)) throw error;
}
