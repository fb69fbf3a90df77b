import { createHash } from 'node:crypto';
import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import {
  DEMAND_EVERY_MS,
  DEMANDS_MAX,
  type Demand,
  type DemandExchange,
  type RateKind,
  SCOPE_CHARS_MAX,
} from '../../protocol/demand.ts';
import { AppError, onlyRefusals } from '../../protocol/errors.ts';
import type { Identities } from '../../protocol/identities.ts';
import type { KvService } from '../../protocol/service.ts';
import type { Revision } from '../../protocol/types.ts';
import { addressScope } from './address-scope.ts';
import { LIMIT_ROWS, limitsOf, prefixTables, type RateLimit } from './limit-row.ts';
import { meteredStore, type PrefixMeters } from './metered-store.ts';
import type { PrefixTable } from './prefix-table.ts';
import { type Exhausted, ScopeMeters, type Standing, type Surroundings } from './scope-meters.ts';
import { HeardDemands } from './shares.ts';

/** Whom a request is counted for. */
export interface Asker {
  /** `key:<id>`, `s3-user:<name>`, `s3-account`, `issuer:<subject>`; null: somebody without credentials. */
  readonly who: string | null;
  readonly tenant: string;
  /** Where they are. */
  readonly address: string;
  /** '' where it is about none. */
  readonly bucket: string;
}

/** What is counted of one request, for all whose limits it comes under. */
export interface Meters {
  /** Once, before anything is done. `bytesIn`: of its body, as far as it says. Null: it may go on. */
  admit(bytesIn: number): AppError | null;
  /** Bytes of a body, or of an answer, that nobody waits for. */
  move(kind: 'bytesIn' | 'bytesOut', bytes: number): void;
  /** The same of a stream: resolves when it may go on. Null: at once. */
  pace(kind: 'bytesIn' | 'bytesOut', bytes: number): Promise<void> | null;
  /** Opens a watch; returns how it is closed. Throws `rate_limited`. */
  openWatch(): () => void;
  /** Null: requests have no limit here. */
  standing(): Standing | null;
}

export interface RateLimitParts {
  readonly identities: Identities;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Null while the node is starting. */
  readonly exchange: () => DemandExchange | null;
}

/** Rows are read so often where no request asks who somebody is. */
const LOOK_EVERY_MS = 2_000;
/** Scopes that are known at once: addresses are without number. */
const SCOPES_MAX = 4_096;
/** A stream that waits looks so often whether its share has grown. */
const WAIT_MS_MAX = DEMAND_EVERY_MS;

/**
 * Limits of rates, as this node keeps its part of them (ADR 0047). They are rows of the meta group; what is used is in
 * memory only. Where there is no limit, a request costs one comparison.
 */
export class RateLimits implements PrefixMeters {
  readonly #parts: RateLimitParts;
  readonly #heard: HeardDemands;
  readonly #scopes = new Map<string, ScopeMeters>();
  #limits: ReadonlyMap<string, RateLimit> = new Map();
  #limitsOf: Revision = 0;
  /** By tenant. */
  #prefixes: ReadonlyMap<string, PrefixTable> = new Map();
  readonly #metered = new WeakMap<KvService, KvService>();
  readonly #refusals = new Refusals();
  #exchange: DemandExchange | null = null;
  #sequence = 0;
  #tickedMs: number;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;
  #cancelTick: () => void = () => {};

  constructor(parts: RateLimitParts) {
    this.#parts = parts;
    this.#tickedMs = parts.clock.monotonicMs();
    this.#heard = new HeardDemands(this.#tickedMs);
    this.#arm();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTick();
  }

  /** Null: nothing of this request is limited. */
  of({ who, tenant, address, bucket }: Asker): Meters | null {
    if (this.#parts.identities.revision() !== this.#limitsOf) this.#readLimits();
    if (this.#limits.size === 0) return null;
    const scopes: ScopeMeters[] = [];
    const add = (scope: string): void => {
      const limit = this.#limitOf(scope);
      if (limit !== null) scopes.push(this.#scope(scope, limit));
    };
    add(who === null ? addressScope(address) : shortened(who));
    add(`tenant:${tenant}`);
    if (bucket !== '') add(`bucket:${bucket}`);
    return scopes.length === 0 ? null : new ScopesMeters(this.#parts, scopes, this.#refusals);
  }

  /** A tenant's store as those may use it who have limits: it counts what comes under limits of prefixes, where there are any. */
  storeOf(tenant: string, store: KvService): KvService {
    if (this.#parts.identities.revision() !== this.#limitsOf) this.#readLimits();
    if (!this.#prefixes.has(tenant)) return store;
    const known = this.#metered.get(store);
    if (known !== undefined) return known;
    const made = meteredStore(store, this, tenant);
    this.#metered.set(store, made);
    return made;
  }

  // PrefixMeters.

  touched(tenant: string, touch: Parameters<PrefixMeters['touched']>[1]): Meters | null {
    if (this.#parts.identities.revision() !== this.#limitsOf) this.#readLimits();
    const table = this.#prefixes.get(tenant);
    if (table === undefined) return null;
    const found = new Set<string>();
    touch(table, (scope) => found.add(scope));
    if (found.size === 0) return null;
    const scopes = [...found].map((scope) => {
      return this.#scope(scope, this.#limits.get(scope) as RateLimit);
    });
    return new ScopesMeters(this.#parts, scopes, this.#refusals);
  }

  later(ms: number): Promise<void> {
    return new Promise((resolve) => this.#parts.clock.after(Math.ceil(ms), resolve));
  }

  /** Ends a window: tells the others what was asked for here, and takes this node's part anew. */
  tick(): void {
    const { clock } = this.#parts;
    const nowMs = clock.monotonicMs();
    this.#look(nowMs);
    const ms = nowMs - this.#tickedMs;
    this.#tickedMs = nowMs;
    const exchange = this.#connect();
    if (ms <= 0 || this.#scopes.size === 0) return;
    const demands: Demand[] = [];
    const surroundings = this.#surroundings();
    for (const [scope, meters] of this.#scopes) {
      const amounts = meters.tick(ms);
      if (amounts !== null) demands.push({ scope, amounts });
      else if (meters.isIdle(nowMs)) this.#scopes.delete(scope);
      meters.divide(surroundings);
    }
    if (demands.length === 0) return;
    // Of too many, the others hear of those that ask for most; the rest cannot count on what nobody has heard.
    if (demands.length > DEMANDS_MAX) demands.sort((a, b) => busyness(b) - busyness(a));
    for (const { scope } of demands.splice(DEMANDS_MAX)) this.#scopes.get(scope)?.untold();
    exchange?.tell(++this.#sequence, demands);
  }

  #arm(): void {
    if (this.#isStopped) return;
    this.#cancelTick = this.#parts.clock.after(DEMAND_EVERY_MS, () => {
      this.tick();
      this.#arm();
    });
  }

  #connect(): DemandExchange | null {
    if (this.#exchange !== null) return this.#exchange;
    const exchange = this.#parts.exchange();
    if (exchange === null) return null;
    exchange.onTold((told) => this.#heard.note(told, this.#parts.clock.monotonicMs()));
    this.#exchange = exchange;
    return exchange;
  }

  /** Nodes that ask nobody who they are have no view that is confirmed all the time. */
  #look(nowMs: number): void {
    if (nowMs - this.#lookedMs < LOOK_EVERY_MS) return;
    this.#lookedMs = nowMs;
    this.#parts.identities.renewed(LOOK_EVERY_MS).then(() => this.#readLimits(), onlyRefusals);
  }

  #readLimits(): void {
    const { identities } = this.#parts;
    const revision = identities.revision();
    if (revision === this.#limitsOf) return;
    this.#limitsOf = revision;
    this.#limits = limitsOf(identities.rows(LIMIT_ROWS));
    this.#prefixes = prefixTables(this.#limits);
    const surroundings = this.#surroundings();
    for (const [scope, meters] of this.#scopes) {
      const limit = this.#limitOf(scope);
      if (limit === null) this.#scopes.delete(scope);
      else meters.setLimit(limit, surroundings);
    }
  }

  #limitOf(scope: string): RateLimit | null {
    const own = this.#limits.get(scope) ?? null;
    if (own !== null) return own;
    if (scope.startsWith('address:')) return this.#limits.get('anonymous') ?? null;
    return HAS_DEFAULT.test(scope) ? (this.#limits.get('default') ?? null) : null;
  }

  #scope(scope: string, limit: RateLimit): ScopeMeters {
    const found = this.#scopes.get(scope);
    if (found !== undefined) return found;
    if (this.#scopes.size >= SCOPES_MAX) this.#makeRoom();
    const made = new ScopeMeters(scope, limit, this.#surroundings());
    this.#scopes.set(scope, made);
    return made;
  }

  /** What has nothing to lose goes, else addresses that are there longest; an eighth, so that it is not done each time. */
  #makeRoom(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    for (const [scope, meters] of this.#scopes) {
      if (meters.isIdle(nowMs)) this.#scopes.delete(scope);
    }
    for (const scope of this.#scopes.keys()) {
      if (this.#scopes.size <= SCOPES_MAX * (7 / 8)) return;
      if (scope.startsWith('address:')) this.#scopes.delete(scope);
    }
  }

  #surroundings(): Surroundings {
    const others = this.#connect()?.others() ?? [];
    return { others, heard: this.#heard, nowMs: this.#parts.clock.monotonicMs() };
  }
}

/** What `default` is for. */
const HAS_DEFAULT = /^(?:key|s3-user|issuer):/;

function busyness({ amounts }: Demand): number {
  return Math.max(...amounts);
}

/** Subjects of issuers can be as long as they like. */
function shortened(scope: string): string {
  if (scope.length <= SCOPE_CHARS_MAX) return scope;
  const kind = scope.slice(0, scope.indexOf(':') + 1);
  return kind + createHash('sha256').update(scope).digest('hex');
}

class ScopesMeters implements Meters {
  readonly #parts: RateLimitParts;
  readonly #scopes: readonly ScopeMeters[];
  readonly #refusals: Refusals;

  constructor(parts: RateLimitParts, scopes: readonly ScopeMeters[], refusals: Refusals) {
    this.#parts = parts;
    this.#scopes = scopes;
    this.#refusals = refusals;
  }

  admit(bytesIn: number): AppError | null {
    const nowMs = this.#nowMs();
    for (const scope of this.#scopes) {
      const exhausted = scope.refusal(nowMs);
      if (exhausted !== null) return this.#refusal(exhausted);
    }
    for (const scope of this.#scopes) scope.take(nowMs);
    if (bytesIn > 0) this.move('bytesIn', bytesIn);
    return null;
  }

  move(kind: RateKind, bytes: number): void {
    const nowMs = this.#nowMs();
    for (const scope of this.#scopes) scope.move(kind, bytes, nowMs);
  }

  pace(kind: RateKind, bytes: number): Promise<void> | null {
    this.move(kind, bytes);
    return this.#debtMs(kind) === 0 ? null : this.#paid(kind);
  }

  openWatch(): () => void {
    const open: ScopeMeters[] = [];
    const close = (): void => {
      for (const scope of open.splice(0)) scope.closeWatch();
    };
    for (const scope of this.#scopes) {
      const exhausted = scope.openWatch();
      if (exhausted !== null) {
        close();
        throw this.#refusal(exhausted);
      }
      open.push(scope);
    }
    return close;
  }

  /** The one that is nearest to its end. */
  standing(): Standing | null {
    const nowMs = this.#nowMs();
    let nearest: Standing | null = null;
    for (const scope of this.#scopes) {
      const standing = scope.standing(nowMs);
      if (standing === null) continue;
      if (nearest === null || standing.remaining < nearest.remaining) nearest = standing;
    }
    return nearest;
  }

  async #paid(kind: RateKind): Promise<void> {
    for (;;) {
      const ms = this.#debtMs(kind);
      if (ms === 0) return;
      await new Promise<void>((resolve) => {
        this.#parts.clock.after(Math.min(Math.ceil(ms), WAIT_MS_MAX), resolve);
      });
    }
  }

  #debtMs(kind: RateKind): number {
    const nowMs = this.#nowMs();
    return Math.max(...this.#scopes.map((scope) => scope.debtMs(kind, nowMs)));
  }

  #nowMs(): number {
    return this.#parts.clock.monotonicMs();
  }

  #refusal(exhausted: Exhausted): AppError {
    const [kind = ''] = exhausted.scope.split(':');
    this.#parts.telemetry.count('rate_limited', 1, { limit: exhausted.limit, scope: kind });
    return this.#refusals.of(exhausted);
  }
}

/** Refusals as they are shown: of many that say the same the first is shown again. */
class Refusals {
  readonly #made = new WeakMap<Exhausted, AppError>();

  of(exhausted: Exhausted): AppError {
    const known = this.#made.get(exhausted);
    if (known !== undefined) return known;
    const made = refusalOf(exhausted);
    this.#made.set(exhausted, made);
    return made;
  }
}

function refusalOf({ scope, limit, max, retryAfterMs }: Exhausted): AppError {
  const what = limit === 'watchers' ? `${max} watches at one time` : `${max} ${UNITS[limit]}`;
  return new AppError('rate_limited', `the limit of ${shown(scope)} is ${what}`, {
    retryAfterMs: Math.max(1, Math.ceil(retryAfterMs)),
    details: { limit, max, scope: shown(scope) },
  });
}

const UNITS = {
  requests: 'requests per second',
  bytesIn: 'bytes per second, in',
  bytesOut: 'bytes per second, out',
} as const;

/** What a client may know: nobody is told the name of a subject, or an address. */
function shown(scope: string): string {
  if (scope.startsWith('address:')) return 'anonymous';
  return scope.startsWith('issuer:') ? 'issuer' : scope;
}
