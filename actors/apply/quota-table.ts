import { assert } from '../../protocol/assert.ts';
import {
  type Amounts,
  addAmounts,
  type Bounds,
  parseQuotaScope,
  QUOTA_KINDS,
  type QuotaScope,
} from '../../protocol/quotas.ts';
import { KV_SPACE } from '../../protocol/vshard.ts';
import { BODY_OFFSET, metaKey } from '../../storage/kv/keyspace.ts';
import { quotaKey } from '../../storage/kv/quota-rows.ts';
import { scopeOf } from '../../storage/kv/usage-rows.ts';
import type { StateStore } from '../../storage/ports.ts';
import { decodeShare, decodeShares, encodeShare, encodeShares } from './quota-codec.ts';

/** This group's share of one quota. Its one owner is the table. */
export interface Share {
  readonly scope: string;
  readonly parsed: QuotaScope;
  /** The round that began it. */
  readonly since: number;
  round: number;
  allowed: Bounds | null;
  readonly used: number[];
  isCounted: boolean;
  /** What prepared transactions will add at most: in memory, a function of them and of what they have locked. */
  readonly held: number[];
  /** Local, not replicated: what is about to be added, by whoever has just been given room for it. */
  readonly reserved: number[];
  /** Used and held at the beginning of this entry, if it has changed. */
  before: number[] | null;
}

/** What a prepared transaction will add to a share at most. */
export interface Hold {
  readonly share: Share;
  readonly amounts: Amounts;
}

/** Spaces whose shares are remembered. */
const SPACES_KEPT = 4_096;
const NO_SHARES: readonly Share[] = Object.freeze([]);

/**
 * The shares of quotas that a group has (ADR 0043), as the open batch has left them.
 *
 *   S1  What a share uses is the sum over the rows of its scope in this group, as usage is (Q1): it is changed where
 *       usage is, in the batch of the change. Until it is counted it is the change since the share began.
 *   S2  No entry leaves a share above its allowance by growth: what it uses, with what prepared transactions will
 *       add, is within the allowance or no more than it was.
 *   S3  An allowance rises only by an order of the round that was the last to lower it.
 */
export class QuotaTable {
  readonly #prefix: string;
  readonly #shares = new Map<string, Share>();
  /** By tenant, NUL and space. */
  readonly #bySpace = new Map<string, readonly Share[]>();
  readonly #changed = new Set<Share>();
  readonly #touched: Share[] = [];
  /** By transaction; null: they are to be worked out. */
  #holds: Map<object, readonly Hold[]> | null = null;
  #removedUpTo = 0;
  #isListChanged = false;
  /** Local, not replicated: rises when shares begin, end or are counted. */
  changes = 0;

  constructor(store: StateStore, prefix: string) {
    this.#prefix = prefix;
    const row = store.get(metaKey(prefix, 'quotas'));
    if (row === null) return;
    const { scopes, removedUpTo } = decodeShares(row);
    this.#removedUpTo = removedUpTo;
    for (const scope of scopes) {
      const share = store.get(quotaKey(prefix, scope));
      assert(share !== null, 'a share of a quota has no row');
      const { used, ...rest } = decodeShare(share);
      this.#set({ scope, parsed: parsed(scope), ...rest, used, ...localParts() });
    }
  }

  get size(): number {
    return this.#shares.size;
  }

  get removedUpTo(): number {
    return this.#removedUpTo;
  }

  get(scope: string): Share | null {
    return this.#shares.get(scope) ?? null;
  }

  all(): IterableIterator<Share> {
    return this.#shares.values();
  }

  #set(share: Share): void {
    this.#shares.set(share.scope, share);
    this.#regrouped();
  }

  #regrouped(): void {
    this.#bySpace.clear();
    this.#holds = null;
    this.changes++;
  }

  /** Whether it is known what prepared transactions hold. */
  get knowsHolds(): boolean {
    return this.#holds !== null;
  }

  /** From here on each transaction that is prepared holds, and each that ends releases. */
  forgetHolds(): void {
    for (const { held } of this.#shares.values()) held.fill(0);
    this.#holds = new Map();
  }

  /** Returns what takes it back. */
  reserve(scope: string, amounts: Amounts): () => void {
    const share = this.#shares.get(scope);
    if (share === undefined) return () => {};
    addTo(share.reserved, amounts, 1);
    return () => addTo(share.reserved, amounts, -1);
  }

  hold(txn: object, holds: readonly Hold[]): void {
    if (this.#holds === null || holds.length === 0) return;
    this.#holds.set(txn, holds);
    for (const { share, amounts } of holds) addTo(share.held, amounts, 1);
  }

  release(txn: object): void {
    const holds = this.#holds?.get(txn);
    if (holds === undefined) return;
    this.#holds?.delete(txn);
    for (const { share, amounts } of holds) addTo(share.held, amounts, -1);
  }

  /** `used`: what its rows weigh now; null: that is not known without a scan. */
  begin(scope: string, round: number, used: Amounts | null): Share {
    const share: Share = {
      ...{ scope, parsed: parsed(scope), since: round, round, allowed: null },
      ...{ used: used === null ? [0, 0, 0] : [...used], isCounted: used !== null },
      ...localParts(),
    };
    this.#set(share);
    this.#changed.add(share);
    this.#isListChanged = true;
    return share;
  }

  remove(share: Share, round: number, stage: Stage): void {
    this.#removedUpTo = Math.max(this.#removedUpTo, round);
    this.#shares.delete(share.scope);
    this.#changed.delete(share);
    this.#isListChanged = true;
    this.#regrouped();
    stage(quotaKey(this.#prefix, share.scope), null);
  }

  /** There was none to remove: none of an earlier round begins. */
  removed(round: number): void {
    if (round <= this.#removedUpTo) return;
    this.#removedUpTo = round;
    this.#isListChanged = true;
  }

  /** What was there when it began. */
  counted(share: Share, base: Amounts): void {
    addTo(share.used, base, 1);
    share.isCounted = true;
    this.#changed.add(share);
    this.changes++;
  }

  /** Its row is to be written with the batch. */
  ordered(share: Share): void {
    this.#changed.add(share);
  }

  /** A row of the space has changed, which weighs this much more. `space`: tenant, NUL, space. */
  changed(space: string, key: string, change: Amounts): void {
    const shares = this.#sharesOf(space);
    for (let i = 0; i < shares.length; i++) {
      const share = shares[i] as Share;
      const { parsed } = share;
      const at = BODY_OFFSET + space.length + 1;
      if (parsed.kind === 'prefix' && !key.startsWith(parsed.prefix, at)) continue;
      if (share.before === null) {
        share.before = addAmounts(share.used, share.held);
        this.#touched.push(share);
      }
      addTo(share.used, change, 1);
      this.#changed.add(share);
    }
  }

  /** Those that count a key. */
  of(tenant: string, space: string, key: string): readonly Share[] {
    const shares = this.#sharesOf(scopeOf(tenant, space));
    if (shares.length === 0) return shares;
    return shares.filter(({ parsed }) => parsed.kind !== 'prefix' || key.startsWith(parsed.prefix));
  }

  #sharesOf(space: string): readonly Share[] {
    const known = this.#bySpace.get(space);
    if (known !== undefined) return known;
    const found = [...this.#shares.values()].filter(({ parsed }) => covers(parsed, space));
    if (this.#bySpace.size >= SPACES_KEPT) this.#bySpace.clear();
    const shares = found.length === 0 ? NO_SHARES : found;
    this.#bySpace.set(space, shares);
    return shares;
  }

  /** S2, after each entry. */
  endEntry(): void {
    for (let i = 0; i < this.#touched.length; i++) {
      const share = this.#touched[i] as Share;
      const { allowed, before } = share;
      share.before = null;
      if (allowed === null || before === null) continue;
      for (let kind = 0; kind < before.length; kind++) {
        const now = (share.used[kind] as number) + (share.held[kind] as number);
        const bound = allowed[kind] ?? Number.POSITIVE_INFINITY;
        assert(now <= Math.max(bound, before[kind] as number), 'an entry has passed a quota');
      }
    }
    this.#touched.length = 0;
  }

  /** Hands over the rows that the batch has changed. */
  flush(stage: Stage): void {
    if (this.#isListChanged) {
      const row = { scopes: [...this.#shares.keys()], removedUpTo: this.#removedUpTo };
      stage(metaKey(this.#prefix, 'quotas'), encodeShares(row));
      this.#isListChanged = false;
    }
    for (const share of this.#changed) {
      const { scope, round, since, allowed, used, isCounted } = share;
      const bounds = allowed === null ? null : [...allowed];
      const row = { round, since, allowed: bounds, used, isCounted };
      stage(quotaKey(this.#prefix, scope), encodeShare(row));
    }
    this.#changed.clear();
  }
}

function addTo(sum: number[], amounts: Amounts, times: 1 | -1): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + times * (amounts[i] as number);
}

type Stage = (key: string, row: Uint8Array | null) => void;

function localParts(): Pick<Share, 'held' | 'reserved' | 'before'> {
  return { held: [0, 0, 0], reserved: [0, 0, 0], before: null };
}

function parsed(scope: string): QuotaScope {
  const found = parseQuotaScope(scope);
  assert(found !== null, 'a share of what is no scope');
  return found;
}

function covers(scope: QuotaScope, space: string): boolean {
  if (scope.kind === 'tenant') return space.startsWith(`${scope.tenant}\x00`);
  return space === scopeOf(scope.tenant, scope.kind === 'bucket' ? scope.bucket : KV_SPACE);
}

/** Whether what is added, after `before`, leaves a share within its allowance, in each kind that grows. */
export function hasRoom({ allowed, used, held }: Share, growth: Amounts, before: Amounts): boolean {
  if (allowed === null) return true;
  for (let kind = 0; kind < QUOTA_KINDS.length; kind++) {
    const more = growth[kind] as number;
    const bound = allowed[kind] ?? null;
    if (more <= 0 || bound === null) continue;
    const now = (used[kind] as number) + (held[kind] as number) + (before[kind] as number);
    if (now + more > bound) return false;
  }
  return true;
}
