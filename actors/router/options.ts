import { AppError } from '../../protocol/errors.ts';
import type { BatchResult, RequestContext } from '../../protocol/service.ts';
import type { CallOptions } from './calls.ts';

/** A write may be asked again only when its idempotency key makes that harmless. */
export function writeOptions(ctx: RequestContext, deadlineMs: number): CallOptions {
  return {
    deadlineMs,
    traceparent: ctx.traceparent,
    target: 'leader',
    repeatable: ctx.idempotency !== null,
  };
}

export function readOptions(ctx: RequestContext, target: 'leader' | 'any'): CallOptions {
  return { deadlineMs: ctx.deadlineMs, traceparent: ctx.traceparent, target, repeatable: true };
}

/** A failure as one batch item's result. What is no AppError is a defect and goes on. */
export function errorResult(error: unknown): BatchResult {
  if (!(error instanceof AppError)) throw error;
  return { kind: 'error', code: error.code, definite: error.definite, message: error.message };
}
