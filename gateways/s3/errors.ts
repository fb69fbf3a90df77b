import { AppError, ERRORS, type ErrorCode } from '../../protocol/errors.ts';
import { isS3ErrorCode, S3_ERRORS, type S3ErrorCode } from './error-table.ts';
import { leaf, type Markup, node, xmlDocument } from './xml-writer.ts';

export type { S3ErrorCode } from './error-table.ts';

/** More elements of the `<Error>` document, in order: `Key`, `BucketName`, `ArgumentName` and so on. */
export type ErrorExtra = Readonly<Record<string, string | number>>;

/** What the S3 edge answers instead of a result. Code and status are those of the table. */
export class S3Error extends Error {
  override readonly name = 'S3Error';
  readonly code: S3ErrorCode;
  readonly status: number;
  readonly extra: ErrorExtra;
  /** For Retry-After; null where the same request will not do better. */
  readonly retryAfterMs: number | null;
  /** Of the answer, beside those that every one has. */
  readonly headers: readonly (readonly [name: string, value: string])[];

  constructor(
    code: S3ErrorCode,
    message: string,
    extra: ErrorExtra,
    options: {
      cause?: unknown;
      retryAfterMs?: number | null;
      headers?: readonly (readonly [name: string, value: string])[];
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = S3_ERRORS[code].status;
    this.extra = extra;
    this.retryAfterMs = options.retryAfterMs ?? null;
    this.headers = options.headers ?? [];
  }
}

/** The message is the table's where none is given. */
export function s3Error(code: S3ErrorCode, message?: string, extra: ErrorExtra = {}): S3Error {
  return new S3Error(code, message ?? S3_ERRORS[code].message, extra);
}

/** The same with headers in its answer. */
export function withHeaders(error: S3Error, headers: S3Error['headers']): S3Error {
  const { code, message, extra, retryAfterMs } = error;
  const all = [...error.headers, ...headers];
  return new S3Error(code, message, extra, { cause: error.cause, retryAfterMs, headers: all });
}

/** A header or a query field whose value is refused, as S3 names it. */
export function invalidArgument(message: string, name: string, value: string): S3Error {
  return s3Error('InvalidArgument', message, { ArgumentName: name, ArgumentValue: value });
}

const OUTCOME_UNKNOWN =
  'The outcome is unknown: the request may or may not have been carried out. Read the object before you repeat it.';

/**
 * Whatever was thrown as what S3 clients know. The text of an AppError is for people and is passed on; of
 * anything else nothing is told.
 */
export function s3ErrorOf(thrown: unknown): S3Error {
  if (thrown instanceof S3Error) return thrown;
  if (!(thrown instanceof AppError)) {
    return new S3Error('InternalError', S3_ERRORS.InternalError.message, {}, { cause: thrown });
  }
  const code = codeOf(thrown.code);
  const { retryAfterMs } = thrown;
  const message = thrown.definite ? thrown.message : `${OUTCOME_UNKNOWN} (${thrown.message})`;
  // A client must not take an error that is not definite for a refusal.
  const shown = thrown.definite || S3_ERRORS[code].status >= 500 ? code : 'InternalError';
  return new S3Error(shown, message, {}, { cause: thrown, retryAfterMs });
}

function codeOf(code: ErrorCode): S3ErrorCode {
  const named = ERRORS[code].s3.code;
  return isS3ErrorCode(named) ? named : 'InternalError';
}

export interface ErrorPlace {
  /** The path that was asked for: `/bucket/key`. */
  readonly resource: string;
  readonly requestId: string;
  readonly hostId: string;
}

/** The body of an error answer. It has no namespace, as S3's has none. */
export function renderError(error: S3Error, place: ErrorPlace): string {
  const fields: Markup[] = [leaf('Code', error.code), leaf('Message', error.message)];
  for (const [name, value] of Object.entries(error.extra)) fields.push(leaf(name, value));
  fields.push(
    leaf('Resource', place.resource),
    leaf('RequestId', place.requestId),
    leaf('HostId', place.hostId),
  );
  return xmlDocument(node('Error', fields));
}

/** Answers to HEAD, and 304, have a status and headers only. */
export function hasErrorBody(method: string, status: number): boolean {
  return method !== 'HEAD' && status !== 304;
}
