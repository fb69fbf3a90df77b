import type { Bucket, BucketChange, BucketQuery, Buckets } from '../../protocol/object-access.ts';
import type { BucketRule } from '../../protocol/object-ops.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';

/** Buckets in memory. `isEmpty` is asked when one is to go. */
export class ModelBuckets implements Buckets {
  readonly #buckets = new Map<string, Bucket>();
  readonly #isEmpty: (bucket: Bucket) => boolean;
  readonly #wallMs: () => number;
  #lastId = 0;

  constructor(isEmpty: (bucket: Bucket) => boolean, wallMs: () => number) {
    this.#isEmpty = isEmpty;
    this.#wallMs = wallMs;
  }

  named(name: string, tenant: string = DEFAULT_TENANT): Bucket | null {
    return this.#buckets.get(`${tenant}/${name}`) ?? null;
  }

  async list(
    _ctx: unknown,
    tenant: string,
    { prefix, after, limit, owner }: BucketQuery,
  ): Promise<readonly Bucket[]> {
    return [...this.#buckets.values()]
      .filter(({ rule }) => rule.tenant === tenant && rule.name.startsWith(prefix))
      .filter((bucket) => bucket.rule.name > after && (owner === null || bucket.owner === owner))
      .sort((a, b) => (a.rule.name < b.rule.name ? -1 : 1))
      .slice(0, limit);
  }

  async get(_ctx: unknown, tenant: string, name: string): Promise<Bucket | null> {
    return this.named(name, tenant);
  }

  async create(
    _ctx: unknown,
    wanted: Parameters<Buckets['create']>[1],
  ): Promise<{ type: 'created' | 'exists'; bucket: Bucket }> {
    const before = this.named(wanted.name, wanted.tenant);
    if (before !== null) return { type: 'exists', bucket: before };
    const { tenant, name, owner, objectLock, documents } = wanted;
    const rule: BucketRule = {
      ...{ tenant, name, id: ++this.#lastId, epoch: 1, objectLock, retention: null, state: 'live' },
      versioning: objectLock ? 'enabled' : 'off',
    };
    const bucket = { rule, createdAtMs: this.#wallMs(), owner, documents };
    this.#buckets.set(`${tenant}/${name}`, bucket);
    return { type: 'created', bucket };
  }

  async change(
    _ctx: unknown,
    tenant: string,
    name: string,
    change: BucketChange,
  ): Promise<
    { type: 'changed'; bucket: Bucket } | { type: 'no_such_bucket' } | { type: 'refused' }
  > {
    const before = this.named(name, tenant);
    if (before === null) return { type: 'no_such_bucket' };
    const versioning = change.versioning ?? before.rule.versioning;
    const objectLock = change.objectLock ?? before.rule.objectLock;
    if (objectLock && versioning !== 'enabled') return { type: 'refused' };
    const retention = change.retention === undefined ? before.rule.retention : change.retention;
    const documents: Record<string, string> = { ...before.documents };
    for (const [key, text] of Object.entries(change.documents ?? {})) {
      if (text === null) delete documents[key];
      else documents[key] = text;
    }
    const epoch = before.rule.epoch + 1;
    const rule = { ...before.rule, versioning, objectLock, retention, epoch };
    const bucket = { ...before, rule, documents };
    this.#buckets.set(`${tenant}/${name}`, bucket);
    return { type: 'changed', bucket };
  }

  async delete(_ctx: unknown, tenant: string, name: string) {
    const bucket = this.named(name, tenant);
    if (bucket === null) return 'no_such_bucket' as const;
    if (!this.#isEmpty(bucket)) return 'not_empty' as const;
    this.#buckets.delete(`${tenant}/${name}`);
    return 'deleted' as const;
  }
}
