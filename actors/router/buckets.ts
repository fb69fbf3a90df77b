import type { Clock } from '../../protocol/clock.ts';
import { AppError, onlyRefusals } from '../../protocol/errors.ts';
import type { NotificationRule } from '../../protocol/notifications.ts';
import type { Bucket, BucketChange, BucketQuery, Buckets } from '../../protocol/object-access.ts';
import type { BucketRule } from '../../protocol/object-ops.ts';
import { type Random, randomHex } from '../../protocol/random.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { type GroupId, META_GROUP } from '../../protocol/types.ts';
import {
  BUCKET_ROW_BYTES_MAX,
  type BucketRow,
  bucketRowName,
  bucketRowPrefix,
  encodeBucketRow,
  isLive,
  parseBucketRow,
  withRule,
} from './bucket-row.ts';
import { BucketRows, type ReadRow } from './bucket-rows.ts';
import type { Calls } from './calls.ts';
import { readOptions } from './options.ts';
import { dataGroups } from './scan.ts';
import type { ShardMap } from './shard-map.ts';

export interface BucketHost {
  readonly clock: Clock;
  readonly random: Random;
  map(): ShardMap;
}

/** Rows of the meta group that are looked at for one page of names. */
const LIST_ROWS = 256;

/**
 * Buckets (ADR 0034). A bucket is a row of the meta group, replaced by compare-and-set. A change of its rule has a
 * higher epoch, is then entered in every group's log, and acknowledged when all have it; what was begun and not
 * finished says so in the row, and anybody may finish it.
 */
export class RoutedBuckets implements Buckets {
  readonly #calls: Calls;
  readonly #host: BucketHost;
  readonly #rows: BucketRows;

  constructor(calls: Calls, host: BucketHost) {
    this.#calls = calls;
    this.#host = host;
    this.#rows = new BucketRows(calls, host.clock);
  }

  async get(ctx: RequestContext, tenant: string, name: string): Promise<Bucket | null> {
    const { row } = await this.#read(tenant, name, this.#nowMs() + ctx.deadlineMs);
    return row !== null && isLive(row) ? row.bucket : null;
  }

  async list(
    ctx: RequestContext,
    tenant: string,
    { prefix, after, limit, owner }: BucketQuery,
  ): Promise<readonly Bucket[]> {
    const endMs = this.#nowMs() + ctx.deadlineMs;
    const found: Bucket[] = [];
    let from = after === '' ? '' : bucketRowName(tenant, after);
    for (;;) {
      const body = {
        type: 'MetaList' as const,
        prefix: bucketRowPrefix(tenant) + prefix,
        after: from,
        limit: LIST_ROWS,
      };
      const own = { ...ctx, deadlineMs: endMs - this.#nowMs() };
      const page = await this.#calls.call(
        META_GROUP,
        body,
        'MetaListed',
        readOptions(own, 'leader'),
      );
      for (const { name, json } of page.rows) {
        from = name;
        const row = parseBucketRow(json);
        const isWanted = owner === null || row.bucket.owner === owner;
        if (isLive(row) && isWanted) found.push(row.bucket);
        if (found.length >= limit) return found;
      }
      if (!page.more) return found;
    }
  }

  async create(
    ctx: RequestContext,
    wanted: {
      readonly tenant: string;
      readonly name: string;
      readonly owner: string;
      readonly objectLock: boolean;
      readonly documents: Readonly<Record<string, string>>;
    },
  ): Promise<{ readonly type: 'created' | 'exists'; readonly bucket: Bucket }> {
    const { tenant, name, owner, objectLock, documents } = wanted;
    const createdAtMs = this.#host.clock.wallMs();
    const { row, isOwn } = await this.#replace(ctx, tenant, name, (known, writer) => {
      if (known !== null && isLive(known)) return known;
      const epoch = (known?.bucket.rule.epoch ?? 0) + 1;
      const versioning = objectLock ? ('enabled' as const) : ('off' as const);
      const kept = { tenant, name, id: epoch, epoch, versioning, objectLock, retention: null };
      const rule: BucketRule = { ...kept, state: 'live' };
      // Groups hear of it from whoever brings the first object.
      return { bucket: { rule, createdAtMs, owner, documents }, isSettled: true, writer };
    });
    return { type: isOwn ? 'created' : 'exists', bucket: (row as BucketRow).bucket };
  }

  async change(
    ctx: RequestContext,
    tenant: string,
    name: string,
    change: BucketChange,
  ): Promise<
    | { readonly type: 'changed'; readonly bucket: Bucket }
    | { readonly type: 'no_such_bucket' | 'refused' }
  > {
    let isRefused = false;
    const endMs = this.#nowMs() + ctx.deadlineMs;
    const { row, isOwn } = await this.#replace(ctx, tenant, name, (known, writer) => {
      isRefused = false;
      if (known === null || !isLive(known)) return known;
      const next = changed(known, change, writer);
      isRefused = next === null;
      return next ?? known;
    });
    if (row === null || !isLive(row)) return { type: 'no_such_bucket' };
    if (isRefused) return { type: 'refused' };
    if (isOwn && !row.isSettled) {
      await this.#tellAll(row.bucket.rule, endMs);
      this.#settle(row, endMs).catch(onlyRefusals);
    }
    return { type: 'changed', bucket: row.bucket };
  }

  async delete(
    ctx: RequestContext,
    tenant: string,
    name: string,
  ): Promise<'deleted' | 'not_empty' | 'no_such_bucket'> {
    const endMs = this.#nowMs() + ctx.deadlineMs;
    const known = await this.get(ctx, tenant, name);
    if (known === null) return 'no_such_bucket';
    // Nobody is kept from a bucket that has something in it.
    if (!(await this.#isEmpty(known.rule, endMs))) return 'not_empty';
    const own = { ...ctx, deadlineMs: endMs - this.#nowMs() };
    const { row, isOwn } = await this.#replace(own, tenant, name, (now, writer) => {
      return now === null || !isLive(now) ? now : withRule(now, { state: 'deleting' }, writer);
    });
    if (row === null || !isOwn) return 'no_such_bucket';
    const ended = await this.#endDeletion(row, endMs);
    this.#settle(ended, endMs).catch(onlyRefusals);
    const { id, state } = ended.bucket.rule;
    // An id that is there again in another state was live in between.
    return id !== row.bucket.rule.id || state === 'gone' ? 'deleted' : 'not_empty';
  }

  /** The bucket as it is now, live; a deletion that is under way is brought to its end first. Null: there is none. */
  async settled(ctx: RequestContext, tenant: string, name: string): Promise<Bucket | null> {
    const row = await this.#undeleting(tenant, name, this.#nowMs() + ctx.deadlineMs);
    return row !== null && isLive(row) ? row.bucket : null;
  }

  async #undeleting(tenant: string, name: string, endMs: number): Promise<BucketRow | null> {
    const { row } = await this.#read(tenant, name, endMs);
    return row?.bucket.rule.state === 'deleting' ? this.#endDeletion(row, endMs) : row;
  }

  /** Enters the rule in the log of one group. */
  async tell(group: GroupId, rule: BucketRule, deadlineMs: number): Promise<void> {
    const options = { deadlineMs, traceparent: null, target: 'leader', repeatable: true } as const;
    await this.#calls.call(group, { type: 'BucketSet', rule }, 'Done', options);
  }

  /** Finishes what somebody has begun and not finished, in up to `deadlineMs`; looks at every bucket. */
  async finishAll(deadlineMs: number): Promise<number> {
    const endMs = this.#nowMs() + deadlineMs;
    let finished = 0;
    for await (const row of this.#allRows(endMs)) {
      if (row.isSettled) continue;
      const isDeleting = row.bucket.rule.state === 'deleting';
      await this.#settle(isDeleting ? await this.#endDeletion(row, endMs) : row, endMs);
      finished++;
    }
    return finished;
  }

  /** Live buckets of all tenants that have this document. Looks at every bucket, in up to `deadlineMs`. */
  async withDocument(name: string, deadlineMs: number): Promise<Bucket[]> {
    const found: Bucket[] = [];
    for await (const row of this.#allRows(this.#nowMs() + deadlineMs)) {
      if (isLive(row) && row.bucket.documents[name] !== undefined) found.push(row.bucket);
    }
    return found;
  }

  async *#allRows(endMs: number): AsyncGenerator<BucketRow> {
    for (let after = '', more = true; more; ) {
      const prefix = bucketRowPrefix(null);
      const body = { type: 'MetaList' as const, prefix, after, limit: LIST_ROWS };
      const options = { deadlineMs: endMs - this.#nowMs(), ...FROM_LEADER };
      const page = await this.#calls.call(META_GROUP, body, 'MetaListed', options);
      for (const { name, json } of page.rows) {
        after = name;
        yield parseBucketRow(json);
      }
      ({ more } = page);
    }
  }

  /** All groups have `deleting`, so what they find is so for good: the bucket is gone, or live again. */
  async #endDeletion(row: BucketRow, endMs: number): Promise<BucketRow> {
    const { rule } = row.bucket;
    await this.#tellAll(rule, endMs);
    const state = (await this.#isEmpty(rule, endMs)) ? 'gone' : 'live';
    const ended = await this.#swap(rule.tenant, rule.name, endMs, (now, writer) => {
      if (now === null || now.bucket.rule.epoch !== rule.epoch) return now;
      const next = withRule(now, { state }, writer);
      return state === 'live' ? next : { ...next, bucket: { ...next.bucket, documents: {} } };
    });
    return ended.row as BucketRow;
  }

  /** Tells all groups of the rule, and writes down that they know. */
  async #settle({ bucket, isSettled }: BucketRow, endMs: number): Promise<void> {
    const { rule } = bucket;
    if (isSettled || rule.state === 'deleting') return;
    await this.#tellAll(rule, endMs);
    await this.#swap(rule.tenant, rule.name, endMs, (now, writer) => {
      const isSame = now !== null && now.bucket.rule.epoch === rule.epoch && !now.isSettled;
      return isSame ? { ...now, isSettled: true, writer } : now;
    });
  }

  async #tellAll(rule: BucketRule, endMs: number): Promise<void> {
    const leftMs = endMs - this.#nowMs();
    const groups = dataGroups(this.#host.map());
    await Promise.all(groups.map((group) => this.tell(group, rule, leftMs)));
  }

  async #isEmpty({ tenant, name }: BucketRule, endMs: number): Promise<boolean> {
    const body = { type: 'BucketLook' as const, tenant, name };
    const options = { deadlineMs: endMs - this.#nowMs(), ...FROM_LEADER };
    const states = await Promise.all(
      dataGroups(this.#host.map()).map((group) =>
        this.#calls.call(group, body, 'BucketState', options),
      ),
    );
    return states.every(({ isEmpty }) => isEmpty);
  }

  #read(tenant: string, name: string, endMs: number): Promise<ReadRow> {
    return this.#rows.read(bucketRowName(tenant, name), endMs - this.#nowMs());
  }

  /** The same for what is not being deleted; a deletion that is under way is brought to its end first. */
  async #replace(
    ctx: RequestContext,
    tenant: string,
    name: string,
    change: Change,
  ): Promise<Replaced> {
    const endMs = this.#nowMs() + ctx.deadlineMs;
    for (;;) {
      await this.#undeleting(tenant, name, endMs);
      const replaced = await this.#swap(tenant, name, endMs, (row, writer) =>
        row?.bucket.rule.state === 'deleting' ? row : change(row, writer),
      );
      const { row, isOwn } = replaced;
      if (isOwn || row?.bucket.rule.state !== 'deleting') return replaced;
    }
  }

  /**
   * Replaces the row by what `change` makes of it, again from the start where somebody was quicker, or nobody can
   * tell what became of it: a row that was written here is known again by its writer.
   */
  async #swap(tenant: string, name: string, endMs: number, change: Change): Promise<Replaced> {
    const writers = new Set<string>();
    let unknown: AppError | null = null;
    for (;;) {
      const { row, revision } = await this.#read(tenant, name, endMs);
      if (row !== null && writers.has(row.writer)) return { row, isOwn: true };
      const writer = randomHex(this.#host.random, 8);
      const next = change(row, writer);
      if (next === row || next === null) {
        if (unknown !== null) throw unknown;
        return { row, isOwn: false };
      }
      const json = encodeBucketRow(next);
      if (Buffer.byteLength(json) > BUCKET_ROW_BYTES_MAX) {
        throw new AppError('too_large', 'the configurations of a bucket are too large together');
      }
      writers.add(writer);
      try {
        const put = { name: bucketRowName(tenant, name), json, ifRevision: revision };
        const options = { deadlineMs: endMs - this.#nowMs(), ...FROM_LEADER };
        await this.#calls.call(META_GROUP, { type: 'MetaPut', ...put }, 'Done', options);
        return { row: next, isOwn: true };
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        if (error.code === 'outcome_unknown') unknown = error;
        else if (error.code !== 'precondition_failed') throw unknown ?? error;
      }
    }
  }

  #nowMs(): number {
    return this.#host.clock.monotonicMs();
  }
}

type Change = (row: BucketRow | null, writer: string) => BucketRow | null;

interface Replaced {
  readonly row: BucketRow | null;
  /** It is what was made here. */
  readonly isOwn: boolean;
}

const FROM_LEADER = { traceparent: null, target: 'leader', repeatable: true } as const;

/** The row with a change; null: it is refused. */
function changed(row: BucketRow, change: BucketChange, writer: string): BucketRow | null {
  const { rule } = row.bucket;
  const versioning = change.versioning ?? rule.versioning;
  const objectLock = change.objectLock ?? rule.objectLock;
  const retention = change.retention === undefined ? rule.retention : change.retention;
  const notifications =
    change.notifications === undefined
      ? (rule.notifications ?? null)
      : orNull(change.notifications);
  if (objectLock && versioning !== 'enabled') return null;
  if (retention !== null && !objectLock) return null;
  const documents = { ...row.bucket.documents };
  for (const [name, text] of Object.entries(change.documents ?? {})) {
    if (text === null) delete documents[name];
    else documents[name] = text;
  }
  const bucket = { ...row.bucket, documents };
  const isSame =
    versioning === rule.versioning &&
    objectLock === rule.objectLock &&
    retention?.mode === rule.retention?.mode &&
    retention?.periodMs === rule.retention?.periodMs &&
    JSON.stringify(notifications) === JSON.stringify(rule.notifications ?? null);
  if (isSame) return { ...row, bucket, writer };
  const next = { versioning, objectLock, retention, notifications };
  return withRule({ ...row, bucket }, next, writer);
}

function orNull(rules: readonly NotificationRule[]): NotificationRule[] | null {
  return rules.length === 0 ? null : [...rules];
}
