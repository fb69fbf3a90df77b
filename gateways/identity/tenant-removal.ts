import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Identities, IdentityRow } from '../../protocol/identities.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ObjectService } from '../../protocol/object-access.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import { KV_SPACE } from '../../protocol/vshard.ts';
import { encodeKeyRecord, keyRowName, parseKeyRecord } from './api-key.ts';
import {
  encodeS3Row,
  fullUserName,
  parseS3KeyRow,
  parseS3UserRow,
  s3KeyRow,
  s3UserRow,
  tenantOfUser,
} from './s3-user.ts';
import type { TenantDeletion } from './tenant.ts';
import { removeObjects } from './tenant-objects.ts';
import type { StoreOf } from './tenant-store.ts';
import type { ShownTenant, Tenants } from './tenants.ts';

/** Longer than any request that was admitted before: what they write is there by then, and is seen. */
const SETTLE_MS = LIMITS.requestDeadlineMsMax + 2 * LIMITS.clockOffsetMsMax;
/** Keys of one step, each removed by an operation of its own. */
const STEP_KEYS = 500;
/** Each is an entry of its own, and a look into every group. */
const LEASES_AT_ONCE = 32;
/** Steps of one turn: then others get one, and what is done is written down. */
const STEPS_PER_TURN = 20;
/** Between turns, while there is something to do and while there is not. */
const WORK_AGAIN_MS = 1_000;
const LOOK_AGAIN_MS = 15_000;
const REQUESTS = 'requests that had begun before';
const LOCKED = 'objects that a retention or a legal hold keeps';

/** What tenants are held to: quotas, limits of rates. */
interface Bounds {
  list(ctx: RequestContext): Promise<readonly { readonly scope: string }[]>;
  /** Rejects with `not_found` where the scope has none. */
  delete(ctx: RequestContext, scope: string): Promise<void>;
}

/** The tenant that a scope of a bound names. */
const TENANT_OF_SCOPE = /^(?:tenant:([^/]+)$|(?:bucket|prefix|s3-user):([^/]+)\/)/;

interface Parts {
  readonly identities: Identities;
  readonly storeOf: StoreOf;
  readonly objects: ObjectService;
  readonly tenants: Tenants;
  readonly bounds: readonly Bounds[];
  readonly clock: Pick<Clock, 'wallMs' | 'after'>;
  /** Whether it is this node's turn: only one works at a time, and nothing breaks where two do. */
  readonly isInCharge: () => boolean;
  readonly log: (text: string, more: Readonly<Record<string, unknown>>) => void;
}

/**
 * Takes away what tenants have who are being deleted: credentials, leases, indexes, keys, buckets, bounds; then their names are free. Each step looks at
 * what is there and can be done again, and how far it is stands in the tenant's row: so it goes on after a crash, on whichever node.
 * The name is free only when nothing was left after all requests of theirs had ended.
 */
export class TenantRemoval {
  readonly #parts: Parts;
  #isStopped = false;
  #cancel: (() => void) | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  start(): void {
    const look = (): void => {
      if (this.#isStopped) return;
      this.#running = this.turn().then((isBusy) => {
        const nextMs = isBusy ? WORK_AGAIN_MS : LOOK_AGAIN_MS;
        if (!this.#isStopped) this.#cancel = this.#parts.clock.after(nextMs, look);
      });
    };
    look();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel?.();
    await this.#running;
  }

  /** A bounded piece of work for each that is being deleted; whether there is one. Never rejects. */
  async turn(): Promise<boolean> {
    const { isInCharge, tenants, log } = this.#parts;
    if (!isInCharge()) return false;
    let isBusy = false;
    try {
      for (const tenant of await tenants.list(context())) {
        if (tenant.deletion === null || this.#isStopped) continue;
        isBusy = true;
        await this.#turnOf(tenant, tenant.deletion).catch((error: unknown) => {
          log('the deletion of a tenant goes on later', { tenant: tenant.name, error });
        });
      }
    } catch (error) {
      // The rows cannot be read at present.
      if (!(error instanceof AppError)) throw error;
    }
    return isBusy;
  }

  async #turnOf({ name }: ShownTenant, before: TenantDeletion): Promise<void> {
    const { tenants, clock, log } = this.#parts;
    // Looked at before anything is: what is written from here on was written too late to count.
    const isSettled = clock.wallMs() - before.sinceMs >= SETTLE_MS;
    const gone = {
      credentials: await this.#endCredentials(name),
      leases: await this.#revokeLeases(name),
      indexes: await this.#dropIndexes(name),
      ...(await this.#deleteKeys(name)),
    };
    const stored = await removeObjects(this.#parts.objects, name);
    const isAll = gone.isAll && stored.isAll;
    const { credentials, leases, indexes, keys } = gone;
    const removed = credentials + leases + indexes + keys + stored.buckets + stored.versions;
    const waitsFor = stored.isLocked ? LOCKED : isAll && !isSettled ? REQUESTS : null;
    if (removed > 0 || waitsFor !== before.waitsFor) {
      await tenants.change(context(), name, (now) => {
        const { deletion } = now;
        if (deletion === null) return now;
        return {
          ...now,
          deletion: {
            ...deletion,
            credentials: deletion.credentials + credentials,
            leases: deletion.leases + leases,
            indexes: deletion.indexes + indexes,
            keys: deletion.keys + keys,
            buckets: deletion.buckets + stored.buckets,
            versions: deletion.versions + stored.versions,
            waitsFor,
          },
        };
      });
    }
    if (removed > 0 || !isAll || !isSettled) return;
    await this.#endBounds(name);
    await tenants.forget(context(), name);
    log('a tenant was deleted', { tenant: name });
  }

  /** Last of all: whoever has the name next begins without them. */
  async #endBounds(tenant: string): Promise<void> {
    for (const bounds of this.#parts.bounds) {
      for (const { scope } of await bounds.list(context())) {
        const [, whole, part] = TENANT_OF_SCOPE.exec(scope) ?? [];
        if ((whole ?? part) !== tenant) continue;
        await bounds.delete(context(), scope).catch((error: unknown) => {
          if (!(error instanceof AppError) || error.code !== 'not_found') throw error;
        });
      }
    }
  }

  async #endCredentials(tenant: string): Promise<number> {
    const { identities } = this.#parts;
    await identities.renewed(LIMITS.requestDeadlineMsDefault);
    const apiKeys = identities.rows(keyRowName('')).filter((row) => {
      return parseKeyRecord(row.text)?.tenant === tenant;
    });
    const s3Keys = identities.rows(s3KeyRow('')).filter((row) => {
      const record = parseS3KeyRow(row.text);
      return record !== null && tenantOfUser(record.userName) === tenant;
    });
    const users = identities.rows(s3UserRow(fullUserName(tenant, ''))).filter((row) => {
      return parseS3UserRow(row.text) !== null;
    });
    const ending = [
      ...apiKeys.map((row) => ({ ...row, text: encodeKeyRecord(null) })),
      ...[...s3Keys, ...users].map((row) => ({ ...row, text: encodeS3Row(null) })),
    ];
    const ended = (row: IdentityRow) => identities.put(context(), row);
    const done = await Promise.all(ending.slice(0, STEP_KEYS).map(ended));
    return done.filter((isDone) => isDone).length;
  }

  /** Their keys go with them; what a group does not remove at once goes with the other keys. */
  async #revokeLeases(tenant: string): Promise<number> {
    const { leases } = this.#parts.storeOf(tenant);
    let revoked = 0;
    for (let after: number | null = 0; after !== null && revoked < STEP_KEYS; ) {
      const page = await leases.list(context(), after, LEASES_AT_ONCE);
      const ended = await Promise.allSettled(
        page.leases.map(({ lease }) => leases.revoke(context(), lease)),
      );
      for (const one of ended) {
        if (one.status === 'fulfilled') revoked++;
        // It ran out meanwhile.
        else if (!isGone(one.reason)) throw one.reason;
      }
      after = page.next;
    }
    return revoked;
  }

  async #dropIndexes(tenant: string): Promise<number> {
    const { indexes } = this.#parts.storeOf(tenant);
    let dropped = 0;
    for (const { name } of await indexes.list(context())) {
      if (await indexes.drop(context(), name)) dropped++;
    }
    return dropped;
  }

  async #deleteKeys(tenant: string): Promise<{ readonly keys: number; readonly isAll: boolean }> {
    const store = this.#parts.storeOf(tenant);
    let keys = 0;
    for (let step = 0; step < STEPS_PER_TURN && !this.#isStopped; step++) {
      const found = await keysOf(store, tenant);
      if (found.length === 0) return { keys, isAll: true };
      const ops = found.map((ref) => {
        return { kind: 'write' as const, op: { type: 'delete' as const, ref, condition: null } };
      });
      const { results } = await store.batch(context(), ops);
      const done = results.filter(({ kind }) => kind === 'write').length;
      keys += done;
      if (done < ops.length) return { keys, isAll: false };
    }
    return { keys, isAll: false };
  }
}

async function keysOf(store: KvService, tenant: string) {
  const { items } = await store.scan(context(), {
    ...{ tenant, space: KV_SPACE, start: '', end: null, reverse: false, limit: STEP_KEYS },
    ...{ values: false, consistency: 'linearizable', revision: null },
  });
  return items.map(({ ref }) => ref);
}

function isGone(error: unknown): boolean {
  return error instanceof AppError && error.code === 'lease_not_found';
}

function context(): RequestContext {
  return {
    ...{ deadlineMs: LIMITS.requestDeadlineMsDefault, traceparent: null, idempotency: null },
  };
}
