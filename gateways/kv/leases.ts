import { AppError } from '../../protocol/errors.ts';
import { isLeaseId, type Lease } from '../../protocol/lease.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import { loweredLimit, pageLimit } from './paging.ts';
import { keyToJson, type Shape } from './shapes.ts';

/** Leases in the shapes of the public API, for HTTP and NATS. */

/** An answer and what it is true at. */
export interface Shown {
  readonly body: Shape;
  readonly clock: number | null;
}

const ATTACHED_MAX = LIMITS.pageItemsMax;

export function leaseToJson({ lease, ttlMs, remainingMs, grantRevision }: Lease): Shape {
  return { id: lease, ttl: ttlMs / 1000, remainingMs, revision: grantRevision };
}

/** A lease's id from a path, a query or a document. */
export function leaseIdOf(value: unknown): number {
  const isText = typeof value === 'string' && /^[1-9][0-9]{0,15}$/.test(value);
  const id = isText ? Number(value) : value;
  if (!isLeaseId(id)) throw new AppError('invalid_argument', 'a lease is a whole number above 0');
  return id;
}

/** Seconds to milliseconds. */
export function leaseTtlMsOf(seconds: unknown): number {
  const max = LIMITS.leaseTtlSecondsMax;
  const isWhole = typeof seconds === 'number' && Number.isSafeInteger(seconds);
  if (!isWhole || seconds < 1 || seconds > max) {
    throw new AppError('invalid_argument', `ttlSeconds must be a whole number from 1 to ${max}`);
  }
  return seconds * 1000;
}

/** What a document says; a field that it must not have is named. */
export function fieldsOf(body: unknown, known: readonly string[]): Shape {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new AppError('invalid_argument', 'the body must be an object');
  }
  const unknown = Object.keys(body).find((field) => !known.includes(field));
  if (unknown !== undefined) {
    const name = JSON.stringify(unknown.slice(0, 64));
    throw new AppError('invalid_argument', `the body has no field ${name}`);
  }
  return body as Shape;
}

export async function grantLease(
  service: KvService,
  ctx: RequestContext,
  body: unknown,
): Promise<Shown> {
  const ttlMs = leaseTtlMsOf(fieldsOf(body, ['ttlSeconds'])['ttlSeconds']);
  const { lease, clock } = await service.leases.grant(ctx, ttlMs);
  return { body: leaseToJson(lease), clock };
}

export async function keepLease(
  service: KvService,
  ctx: RequestContext,
  id: number,
): Promise<Shown> {
  const { lease, clock } = await service.leases.keepAlive(ctx, id);
  return { body: leaseToJson(lease), clock };
}

export async function revokeLease(
  service: KvService,
  ctx: RequestContext,
  id: number,
): Promise<Shown> {
  const { revision, removed, isSwept } = await service.leases.revoke(ctx, id);
  return { body: { revoked: true, revision, removed, complete: isSwept }, clock: revision };
}

/** `keys`: with what is attached to it, as far as an answer reaches. */
export async function showLease(
  service: KvService,
  ctx: RequestContext,
  id: number,
  keys: boolean,
): Promise<Shown> {
  const { lease, clock } = await service.leases.look(ctx, id);
  const shape = leaseToJson(lease);
  if (!keys) return { body: shape, clock };
  const attached = await service.leases.attached(ctx, id, ATTACHED_MAX);
  const shown = attached.keys.map(({ key }) => keyToJson(key));
  return {
    body: { ...shape, keys: shown, more: attached.more },
    clock: Math.max(clock, attached.clock),
  };
}

export async function listLeases(
  service: KvService,
  ctx: RequestContext,
  limit: unknown,
  cursor: unknown,
): Promise<Shown> {
  const after = cursor === undefined ? 0 : leaseIdOf(cursor);
  const wanted = limit ?? LIMITS.pageItemsDefault;
  if (typeof wanted !== 'number' || !Number.isSafeInteger(wanted) || wanted < 1) {
    throw new AppError('invalid_argument', 'limit must be a whole number above 0');
  }
  const page = await service.leases.list(ctx, after, pageLimit(wanted));
  const leases = page.leases.map(leaseToJson);
  const body = page.next === null ? { leases } : { leases, cursor: String(page.next) };
  return { body: { ...body, ...loweredLimit(wanted) }, clock: page.clock };
}
