import type { MayAttach } from '../../protocol/attachment.ts';
import type { OpResult, PutOp } from '../../protocol/commands.ts';
import { AppError } from '../../protocol/errors.ts';
import { homeOfLease } from '../../protocol/lease.ts';
import type { ReplyOf, RequestBody } from '../../protocol/messages/request.ts';
import type { RequestContext } from '../../protocol/service.ts';
import type { TxnBody, TxnOp } from '../../protocol/txn.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { Calls } from './calls.ts';
import { followingMap, type MapSource } from './following-map.ts';
import { writeOptions } from './options.ts';

/** New promises that a put may need: its group's clock may be ahead of the lease's home. */
const PROMISES_MAX = 5;

/** Of those that a request needs: a key is attached to leases of its tenant, and to no other. */
type Promises = ReadonlyMap<string, Revision>;
type Attaching = MayAttach & { readonly ref: KeyRef };

function promiseName(tenant: string, lease: number): string {
  return `${lease}/${tenant}`;
}

/** What the home of a lease says, and puts that attach to leases under its promises (ADR 0030). */
export class LeasePromises {
  readonly #calls: Calls;
  readonly #source: MapSource;

  constructor(calls: Calls, source: MapSource) {
    this.#calls = calls;
    this.#source = source;
  }

  /**
   * Puts that attach to leases, each with a promise of the lease's home. A lease that is not there has 0, which
   * apply refuses (W4): the request's idempotency row may know that it was done before.
   */
  async #promised(ctx: RequestContext, ops: readonly Attaching[]): Promise<Promises> {
    const leases = new Map<string, { readonly tenant: string; readonly lease: number }>();
    for (const { attach, ref } of ops) {
      if (attach === null || attach === undefined) continue;
      const { lease } = attach;
      leases.set(promiseName(ref.tenant, lease), { tenant: ref.tenant, lease });
    }
    const promises = new Map<string, Revision>();
    await Promise.all(
      [...leases].map(async ([name, { tenant, lease }]) => {
        promises.set(name, await this.#promise(ctx, tenant, lease));
      }),
    );
    return promises;
  }

  /** Writes with promises, and again with newer ones while the answer is that they have run out. */
  async write<T extends { readonly results: readonly OpResult[] }>(
    ctx: RequestContext,
    ops: readonly PutOp[],
    send: (promises: Promises, deadlineMs: number) => Promise<T>,
  ): Promise<T> {
    const endMs = this.#nowMs() + ctx.deadlineMs;
    for (let attempt = 1; ; attempt++) {
      const deadlineMs = endMs - this.#nowMs();
      const promises = await this.#promised({ ...ctx, deadlineMs }, ops);
      const isDead = ops.length === 1 && [...promises.values()].includes(0);
      if (isDead && ctx.idempotency === null) throw gone();
      const reply = await send(promises, endMs - this.#nowMs());
      if (!reply.results.some(isOver)) return reply;
      if (attempt === PROMISES_MAX) throw tooFast();
    }
  }

  /**
   * Sends a transaction with promises, and again with newer ones while it is refused because they have run
   * out. A lease that is not there counts only in the branch that is done, so the refusal is left to apply.
   */
  async transact<T>(
    ctx: RequestContext,
    body: TxnBody,
    send: (body: TxnBody, deadlineMs: number) => Promise<T>,
  ): Promise<T> {
    const endMs = this.#nowMs() + ctx.deadlineMs;
    const puts = [...body.then, ...(body.otherwise ?? [])].filter((op) => op.type === 'put');
    for (let attempt = 1; ; attempt++) {
      const deadlineMs = endMs - this.#nowMs();
      const promises = await this.#promised({ ...ctx, deadlineMs }, puts);
      const within = (ops: readonly TxnOp[]) => ops.map((op) => withPromise(op, promises));
      const { compares, then, otherwise } = body;
      const promised = {
        ...{ compares, then: within(then) },
        otherwise: otherwise === null ? null : within(otherwise),
      };
      try {
        return await send(promised, endMs - this.#nowMs());
      } catch (error) {
        const isOver = error instanceof AppError && error.details['beyondPromise'] !== undefined;
        if (!isOver) throw error;
      }
      if (attempt === PROMISES_MAX) throw tooFast();
    }
  }

  async #promise(ctx: RequestContext, tenant: string, lease: number): Promise<Revision> {
    const body = (epoch: number) =>
      ({ type: 'LeaseCheck', epoch, lease, purpose: 'attach', tenant }) as const;
    try {
      return (await this.home(ctx, lease, body, 'Lease')).until;
    } catch (error) {
      if (error instanceof AppError && error.code === 'lease_not_found') return 0;
      throw error;
    }
  }

  /** Asks the lease's home, by a newer map where it has moved. All of it can be asked twice. */
  home<T extends 'Lease' | 'Done'>(
    ctx: RequestContext,
    lease: number,
    body: (epoch: number) => RequestBody,
    wanted: T,
  ): Promise<ReplyOf<T>> {
    return followingMap(this.#source, ctx.deadlineMs, (map, leftMs) => {
      const group = map.groups[homeOfLease(lease)] as GroupId;
      const options = { ...writeOptions(ctx, leftMs), repeatable: true };
      return this.#calls.call(group, body(map.epoch), wanted, options);
    });
  }

  #nowMs(): number {
    return this.#source.clock.monotonicMs();
  }
}

/** Refused with all of its command because a promise had run out; 0 is a lease that is not there. */
function isOver(result: OpResult): boolean {
  return result.type === 'lease_stale' && result.revision !== 0;
}

function tooFast(): AppError {
  return new AppError('conflict', 'promises about a lease run out faster than they are used');
}

/** Whether a transaction has a put that attaches to a lease. */
export function attachesAny({ then, otherwise }: TxnBody): boolean {
  return then.some(attaches) || (otherwise ?? []).some(attaches);
}

function attaches(op: MayAttach): boolean {
  return op.attach !== null && op.attach !== undefined;
}

function gone(): AppError {
  return new AppError('lease_not_found', 'there is no such lease, or it has ended');
}

/** The operation as it travels, with the promise about its lease. */
export function withPromise<T extends MayAttach & { readonly ref?: KeyRef }>(
  op: T,
  promises: Promises,
): T {
  const { attach, ref } = op;
  if (attach === null || attach === undefined || ref === undefined) return op;
  const until = promises.get(promiseName(ref.tenant, attach.lease)) ?? 0;
  return { ...op, attach: { lease: attach.lease, until } };
}
