import { DecodeError } from '../../protocol/codec.ts';
import { AppError, ERRORS } from '../../protocol/errors.ts';

/** An RFC 9457 problem document and how to send it. */
export interface Problem {
  readonly status: number;
  readonly retryAfterMs: number | null;
  readonly body: Record<string, unknown>;
}

/**
 * Any error as a problem document. Only AppErrors speak for themselves: of anything else nothing
 * is shown but that something broke, and it is not definite.
 */
export function problemOf(error: unknown, requestId: string): Problem {
  const shown = appErrorOf(error);
  const { http, title } = ERRORS[shown.code];
  const body: Record<string, unknown> = {
    ...shown.details,
    type: `urn:minikv:error:${shown.code}`,
    title,
    status: http,
    detail: shown.message,
    code: shown.code,
    definite: shown.definite,
    retryAfterMs: shown.retryAfterMs,
    requestId,
  };
  return { status: http, retryAfterMs: shown.retryAfterMs, body };
}

/** The AppError that stands for an error at an edge. */
export function appErrorOf(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof DecodeError) return new AppError('malformed', error.message);
  return new AppError('internal', 'something broke; the request id finds it in the log');
}
