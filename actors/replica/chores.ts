import { LIMITS } from '../../protocol/limits.ts';
import { revisionAtWallMs } from '../../protocol/revision.ts';
import { META_GROUP } from '../../protocol/types.ts';
import { nextExpiry, soonestExpiryMs } from '../apply/expire.ts';
import { readFeed } from '../apply/feed.ts';
import { gcStep } from '../apply/gc.ts';
import { readMeta } from '../apply/meta-state.ts';
import { positionAfter } from '../apply/position.ts';
import { dropOldGenerations } from '../apply/snapshot-rows.ts';
import { WorkMeter } from '../apply/work-meter.ts';
import { encodeShardMap, initialShardMap, vshardsOf } from '../router/shard-map.ts';
import { type ReplicaContext, trustedWallMs } from './context.ts';

/** What is tended beside the chores. */
export interface Tended {
  isDue(nowMs: number): boolean;
  tick(nowMs: number): void;
  stop?(): void;
}

const EXPIRY_EVERY_MS = 250;
const FLOOR_EVERY_MS = 30_000;
const HAND_OVER_EVERY_MS = 1_000;
const COLLECT_EVERY_MS = 1_000;
const COLLECT_ROWS = 512;
/** An emptied step is followed by a longer pause. */
const COLLECT_IDLE_MS = 10_000;

/**
 * What a replica does besides serving: as leader it proposes expiries and raises the floor of the
 * retention window, and looks after its leases; every replica removes rows below the floor, a few at a time.
 */
export class Chores {
  readonly #context: ReplicaContext;
  readonly #tended: readonly Tended[];
  #expiryDueMs = 0;
  /** Where the next look for due keys begins, when the last one met too many that are locked. */
  #expiryFrom: string | null = null;
  #floorDueMs = 0;
  #collectDueMs = 0;
  #handOverDueMs = 0;
  #expiring = false;
  #flooring = false;
  #seeding = false;
  #isSeeded = false;
  #collecting = false;
  #stopped = false;

  constructor(context: ReplicaContext, tended: readonly Tended[]) {
    this.#context = context;
    this.#tended = tended;
  }

  stop(): void {
    for (const one of this.#tended) one.stop?.();
    this.#stopped = true;
  }

  /** Whether `tick` would do anything now. */
  isDue(nowMs: number): boolean {
    if (nowMs >= this.#collectDueMs && !this.#collecting) return true;
    if (this.#tended.some((one) => one.isDue(nowMs))) return true;
    if (!this.#context.isLeader()) return false;
    if (!this.#context.clockTrusted()) return nowMs >= this.#handOverDueMs;
    if (nowMs >= this.#floorDueMs || (nowMs >= this.#expiryDueMs && !this.#expiring)) return true;
    return !this.#isSeeded && !this.#seeding;
  }

  /** Called on ticks, with a monotonic time. */
  tick(nowMs: number): void {
    for (const one of this.#tended) if (one.isDue(nowMs)) one.tick(nowMs);
    if (this.#context.isLeader()) {
      if (this.#context.clockTrusted()) this.#lead(nowMs);
      else this.#handOver(nowMs);
    }
    if (nowMs >= this.#collectDueMs) this.#collect(nowMs);
  }

  #lead(nowMs: number): void {
    this.#seed();
    if (nowMs >= this.#expiryDueMs) this.#expire(nowMs);
    if (nowMs >= this.#floorDueMs) this.#raiseFloor(nowMs);
  }

  #mayPropose(): boolean {
    return this.#context.isLeader() && this.#context.clockTrusted();
  }

  /** An expiry is a write: it is assigned nothing while a snapshot is being taken. */
  #mayExpire(): boolean {
    return this.#mayPropose() && !this.#context.clock.isHeld;
  }

  /** A leader whose clock is too far from the others' proposes nothing and passes on. */
  #handOver(nowMs: number): void {
    if (nowMs < this.#handOverDueMs) return;
    this.#handOverDueMs = nowMs + HAND_OVER_EVERY_MS;
    const { ports, group } = this.#context;
    ports.telemetry.log('warn', 'the clock of this leader is too far off; handing over', { group });
    this.#context.command({ type: 'TransferLeader', to: null });
  }

  /** First leader of a new group: writes down what it owns, or the shard map in the meta group. */
  #seed(): void {
    const { group, state, config } = this.#context;
    if (this.#seeding || this.#isSeeded) return;
    this.#isSeeded = group === META_GROUP ? readMeta(state, 'shard-map') !== null : state.epoch > 0;
    if (this.#isSeeded) return;
    this.#seeding = true;
    const map = initialShardMap(this.#context.groupCount());
    const settle = () => {
      this.#seeding = false;
    };
    if (group !== META_GROUP) {
      const vshards = vshardsOf(map, group);
      this.#context.propose({ type: 'own', epoch: map.epoch, vshards }, settle);
    } else {
      const revision = this.#context.clock.assign(1, trustedWallMs(this.#context));
      const json = encodeShardMap(map);
      this.#context.propose(
        { type: 'metaPut', revision, name: 'shard-map', json, ifRevision: 0 },
        settle,
      );
    }
    this.#context.ports.telemetry.log('debug', 'seeding a new group', {
      group,
      nodeId: config.nodeId,
    });
  }

  #expire(nowMs: number): void {
    this.#expiryDueMs = nowMs + EXPIRY_EVERY_MS;
    const { state, ports } = this.#context;
    const wallMs = ports.clock.wallMs();
    if (this.#expiring || wallMs < state.expiryFromMs || !this.#mayExpire()) return;
    this.#expiring = true;
    // Puts lower it from now on; what the view holds is added when it has been looked at.
    state.expiryFromMs = Number.POSITIVE_INFINITY;
    const view = state.view();
    const { locks } = state.txns;
    const isLocked = (triple: string): boolean => !locks.isFree(triple);
    nextExpiry(view, LIMITS.feedPageEventsMax, wallMs, isLocked, this.#expiryFrom)
      .then(async ({ keys, next }) => {
        this.#expiryFrom = next;
        if (next !== null) this.#expiryDueMs = 0;
        const fromMs = keys.length > 0 ? 0 : await soonestExpiryMs(view);
        state.expiryFromMs = Math.min(state.expiryFromMs, fromMs);
        return keys;
      })
      .then(
        (keys) => {
          if (keys.length === 0 || this.#stopped || !this.#mayExpire()) {
            this.#expiring = false;
            return;
          }
          const revision = this.#context.clock.assign(keys.length, trustedWallMs(this.#context));
          this.#context.propose({ type: 'expire', revision, keys }, (outcome) => {
            this.#expiring = false;
            // There may be more. What was locked meanwhile stays due: that is no reason to hurry.
            const hasRemoved = outcome.type === 'applied' && outcome.applied.events.length > 0;
            if (hasRemoved) this.#expiryDueMs = 0;
          });
        },
        (error: unknown) => ports.fatal('the applied state could not be read', error),
      )
      .finally(() => view.close());
  }

  /** Only when something lies below it: a young group can be watched from its very beginning. */
  #raiseFloor(nowMs: number): void {
    this.#floorDueMs = nowMs + Math.min(FLOOR_EVERY_MS, this.#context.config.retentionMs);
    const { ports, config, state } = this.#context;
    const floor = revisionAtWallMs(ports.clock.wallMs() - config.retentionMs);
    if (this.#flooring || floor <= state.floor || state.sequence === 0) return;
    this.#flooring = true;
    const view = state.view();
    readFeed(view, positionAfter(state.floor), floor, 1, 0, false)
      .then(
        (older) => {
          if (older.length === 0 || this.#stopped || !this.#mayPropose()) {
            this.#flooring = false;
            return;
          }
          this.#context.propose({ type: 'compact', floor }, () => {
            this.#flooring = false;
          });
        },
        (error: unknown) => ports.fatal('the applied state could not be read', error),
      )
      .finally(() => view.close());
  }

  #collect(nowMs: number): void {
    if (this.#collecting) return;
    this.#collecting = true;
    const { state, group } = this.#context;
    this.#collectDueMs = nowMs + COLLECT_EVERY_MS;
    const { clock } = this.#context.ports;
    gcStep(state, COLLECT_ROWS, new WorkMeter((run) => clock.soon(run)))
      .then(async (collected) => {
        const dropped = await dropOldGenerations(state.store, group, COLLECT_ROWS);
        if (collected + dropped === 0) this.#collectDueMs = nowMs + COLLECT_IDLE_MS;
        // There is more: writes may come faster than a step a second removes.
        else if (collected + dropped >= COLLECT_ROWS) this.#collectDueMs = nowMs;
      })
      .catch((error: unknown) => {
        this.#context.ports.fatal('old rows could not be removed', error);
      })
      .finally(() => {
        this.#collecting = false;
      });
  }
}
