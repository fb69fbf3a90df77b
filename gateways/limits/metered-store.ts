import { prefixEnd } from '../../protocol/bytes.ts';
import { AppError } from '../../protocol/errors.ts';
import type { IndexService } from '../../protocol/index-access.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { BatchOp, BatchResult, KvService, ScanPage, Watch } from '../../protocol/service.ts';
import { isKeyed, type TxnBody, type TxnOp } from '../../protocol/txn.ts';
import { type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import type { PrefixTable } from './prefix-table.ts';
import type { Meters } from './rate-limits.ts';

/** Names what a request is about, by asking a table of prefixes for it. */
type Touch = (table: PrefixTable, add: (scope: string) => void) => void;

/** What counts whatever comes under limits of prefixes. */
export interface PrefixMeters {
  /** Null: what is touched comes under none. */
  touched(tenant: string, touch: Touch): Meters | null;
  later(ms: number): Promise<void>;
}

/**
 * A tenant's store, as far as it is counted for limits of key prefixes: each call is one request to every prefix that it has
 * a key or a part of a range under. Rejects with `rate_limited` before anything is done.
 */
export function meteredStore(store: KvService, limits: PrefixMeters, tenant: string): KvService {
  const counted = async <T>(
    touch: Touch,
    bytesIn: number,
    work: () => Promise<T>,
    bytesOf: (done: T) => number = () => 0,
  ): Promise<T> => {
    const meters = admitted(limits.touched(tenant, touch), bytesIn);
    const done = await work();
    if (meters !== null) meters.move('bytesOut', bytesOf(done));
    return done;
  };
  return {
    identities: store.identities,
    indexes: meteredIndexes(store.indexes, counted),
    // Ids are no names; the keys of locks are, and come as such.
    leases: store.leases,
    put: (ctx, op) => counted(ofKeys([op.ref]), op.value.length, () => store.put(ctx, op)),
    delete: (ctx, ref, condition) =>
      counted(ofKeys([ref]), 0, () => store.delete(ctx, ref, condition)),
    get: (ctx, ref, options) =>
      counted(
        ofKeys([ref]),
        0,
        () => store.get(ctx, ref, options),
        ({ item }) => bytesOfItem(item),
      ),
    // What is counted has to be able to be refused: it goes the other way.
    getNow: (ctx, ref) =>
      limits.touched(tenant, ofKeys([ref])) === null ? store.getNow(ctx, ref) : null,
    batch: (ctx, ops, budget) =>
      counted(
        ofKeys(ops.map(refOf)),
        ops.reduce((sum, op) => sum + bytesPut(op.kind === 'write' ? op.op : null), 0),
        () => store.batch(ctx, ops, budget),
        ({ results }) => results.reduce((sum, result) => sum + bytesRead(result), 0),
      ),
    transact: (ctx, body) =>
      counted(
        ofTxn(body),
        opsOf(body).reduce((sum, op) => sum + bytesPut(op), 0),
        () => store.transact(ctx, body),
        ({ outcome }) =>
          outcome.results.reduce((sum, result) => {
            if (result.type === 'got') return sum + bytesOfItem(result.item);
            return result.type === 'page' ? sum + bytesOfItems(result.items) : sum;
          }, 0),
      ),
    async scan(ctx, options) {
      const touch = ofRange(options.space, options.start, options.end);
      const scan = () => store.scan(ctx, options);
      const bytesOf = ({ items }: ScanPage) => bytesOfItems(items);
      const read = () => counted(touch, 0, scan, bytesOf);
      // A page at a revision is mostly a further one: a stream is slowed down rather than broken off.
      return options.revision === null ? read() : patiently(read, ctx.deadlineMs, limits);
    },
    async watch(ctx, options) {
      const { space, prefix } = options;
      const meters = admitted(limits.touched(tenant, ofRange(space, prefix, prefixEnd(prefix))), 0);
      if (meters === null) return store.watch(ctx, options);
      const leave = meters.openWatch();
      try {
        return paced(await store.watch(ctx, options), meters, leave);
      } catch (error) {
        leave();
        throw error;
      }
    },
    status: () => store.status(),
    transferLeader: (ctx, group, to) => store.transferLeader(ctx, group, to),
    members: (group) => store.members(group),
  };
}

/** What is refused now is asked for again when there is room, up to a deadline. */
async function patiently<T>(
  work: () => Promise<T>,
  deadlineMs: number,
  limits: Pick<PrefixMeters, 'later'>,
): Promise<T> {
  for (let leftMs = deadlineMs; ; ) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'rate_limited') throw error;
      const waitMs = error.retryAfterMs ?? 0;
      leftMs -= waitMs;
      if (leftMs <= 0) throw error;
      await limits.later(waitMs);
    }
  }
}

/** Throws `rate_limited`. */
function admitted(meters: Meters | null, bytesIn: number): Meters | null {
  const refusal = meters?.admit(bytesIn) ?? null;
  if (refusal !== null) throw refusal;
  return meters;
}

function ofKeys(refs: readonly KeyRef[]): Touch {
  return (table, add) => {
    for (const { space, key } of refs) if (space === KV_SPACE) table.ofKey(key, add);
  };
}

function ofRange(space: string, start: string, end: string | null): Touch {
  return (table, add) => {
    if (space === KV_SPACE) table.ofRange(start, end, add);
  };
}

/** Both branches: which one is done is not known before. */
function ofTxn(body: TxnBody): Touch {
  return (table, add) => {
    ofKeys(body.compares.map(({ ref }) => ref))(table, add);
    for (const op of opsOf(body)) {
      if (isKeyed(op)) ofKeys([op.ref])(table, add);
      else ofRange(op.space, op.start, op.end)(table, add);
    }
  };
}

function opsOf({ then, otherwise }: TxnBody): readonly TxnOp[] {
  return otherwise === null ? then : [...then, ...otherwise];
}

function refOf(op: BatchOp): KeyRef {
  return op.kind === 'get' ? op.ref : op.op.ref;
}

function bytesPut(op: object | null): number {
  if (op === null || !('value' in op)) return 0;
  return op.value instanceof Uint8Array ? op.value.length : 0;
}

function bytesRead(result: BatchResult): number {
  return result.kind === 'get' ? bytesOfItem(result.item) : 0;
}

function bytesOfItem(item: Item | null): number {
  return item === null ? 0 : item.value.length;
}

function bytesOfItems(items: readonly Item[]): number {
  return items.reduce((sum, item) => sum + item.value.length, 0);
}

/** A watch that is slowed down to the rate at which values may go out. */
function paced(watch: Watch, meters: Meters, leave: () => void): Watch {
  let isOpen = true;
  let wait: Promise<void> | null = null;
  return {
    async next() {
      if (wait !== null) await wait;
      wait = null;
      const messages = await watch.next();
      let bytes = 0;
      for (const message of messages ?? []) {
        if (message.type !== 'event') continue;
        bytes += bytesOfItem(message.event.item) + bytesOfItem(message.event.prev);
      }
      if (bytes > 0) wait = meters.pace('bytesOut', bytes);
      return messages;
    },
    close() {
      if (isOpen) leave();
      isOpen = false;
      watch.close();
    },
  };
}

type Counted = <T>(
  touch: Touch,
  bytesIn: number,
  work: () => Promise<T>,
  bytesOf?: (done: T) => number,
) => Promise<T>;

/** A query of an index is about every key of the prefix that it is defined for. */
function meteredIndexes(indexes: IndexService, counted: Counted): IndexService {
  return {
    ofTenant: (tenant) => indexes.ofTenant(tenant),
    define: (ctx, index) => indexes.define(ctx, index),
    list: (ctx) => indexes.list(ctx),
    inspect: (ctx, name) => indexes.inspect(ctx, name),
    drop: (ctx, name) => indexes.drop(ctx, name),
    pause: (ctx, name, paused) => indexes.pause(ctx, name, paused),
    async query(ctx, name, options) {
      const index = (await indexes.list(ctx)).find((one) => one.name === name);
      if (index === undefined) return indexes.query(ctx, name, options);
      return counted(
        ofRange(index.space, index.prefix, prefixEnd(index.prefix)),
        0,
        () => indexes.query(ctx, name, options),
        ({ hits }) => hits.reduce((sum, { item }) => sum + bytesOfItem(item), 0),
      );
    },
    search: (ctx, options) =>
      counted(
        ofRange(KV_SPACE, options.prefix, prefixEnd(options.prefix)),
        0,
        () => indexes.search(ctx, options),
        ({ items }) => bytesOfItems(items),
      ),
  };
}
