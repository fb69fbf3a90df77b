import { DEMAND_EVERY_MS, type DemandsTold } from '../../protocol/demand.ts';
import type { NodeId } from '../../protocol/types.ts';

/**
 * How a limit of the cluster is divided among its nodes (ADR 0047). Each tells the others what it sees; a node's share is as its
 * demand to that of all. SH1: what a node counts as its own demand is the least of its last tellings, and of another
 * node's the last one that it heard. So while no more than TELLINGS - 2 tellings in a row are lost or late, everybody
 * counts at least as much for a node as it does itself, and all shares together are at most the limit, in every moment.
 */
export const TELLINGS = 4;

/** Part of the limit that counts as every node's demand: who sees nothing yet can begin. */
export const IDLE_PART = 0.02;

/** What a node told is true for so long. */
const TOLD_MS = 12 * DEMAND_EVERY_MS;
/** A node that has just begun has not heard everybody. */
export const HEARING_MS = 4 * DEMAND_EVERY_MS;

/** The part of `limit`, from 0 to 1, that a node with the demand `own` has beside `others`. Demands above the limit count as it. */
export function shareOf(
  limit: number,
  own: number,
  others: readonly number[],
  idlePart: number,
): number {
  const idle = limit * idlePart;
  const weight = (demand: number): number => Math.min(demand, limit) + idle;
  let sum = weight(own);
  for (const demand of others) sum += weight(demand);
  return weight(own) / sum;
}

interface Heard {
  readonly life: number;
  readonly sequence: number;
  readonly atMs: number;
  readonly demands: ReadonlyMap<string, readonly number[]>;
}

/** What other nodes have told last. */
export class HeardDemands {
  readonly #byNode = new Map<NodeId, Heard>();
  readonly #sinceMs: number;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  note({ from, life, sequence, demands }: DemandsTold, nowMs: number): void {
    const before = this.#byNode.get(from);
    if (before !== undefined && before.life === life && before.sequence >= sequence) return;
    const byScope = new Map(demands.map(({ scope, amounts }) => [scope, amounts]));
    this.#byNode.set(from, { life, sequence, atMs: nowMs, demands: byScope });
  }

  /** Of each of the other nodes, the demand of `scope` of this kind; `all` where it is not known yet. */
  of(
    others: readonly NodeId[],
    { scope, kind, all }: { readonly scope: string; readonly kind: number; readonly all: number },
    nowMs: number,
  ): number[] {
    const isNew = nowMs - this.#sinceMs < HEARING_MS;
    return others.map((node) => {
      const heard = this.#byNode.get(node);
      if (heard === undefined) return isNew ? all : 0;
      return nowMs - heard.atMs > TOLD_MS ? 0 : (heard.demands.get(scope)?.[kind] ?? 0);
    });
  }
}

/** What this node told last. */
export class Tellings {
  #told: number[] = [];

  push(amount: number): void {
    this.#told.push(amount);
    if (this.#told.length > TELLINGS) this.#told.shift();
  }

  /** What was pushed did not leave. */
  forget(): void {
    this.#told = [];
  }

  /** What this node counts as its own (SH1). */
  get own(): number {
    return this.#told.length < TELLINGS ? 0 : Math.min(...this.#told);
  }
}

/** How fast the past is forgotten. */
const SMOOTH_MS = 1_000;

/** The demand of one kind of one scope at this node, per second. */
export class DemandMeter {
  readonly tellings = new Tellings();
  #count = 0;
  #perSecond = 0;

  add(count: number): void {
    this.#count += count;
  }

  /** Ends a window of `ms`. More than `max` per second counts as that. Returns what is to be told. */
  tick(ms: number, max: number): number {
    const keep = Math.exp(-ms / SMOOTH_MS);
    const seen = Math.min(max, this.#count / (ms / 1_000));
    this.#perSecond = this.#perSecond * keep + (1 - keep) * seen;
    this.#count = 0;
    this.tellings.push(this.#perSecond);
    return this.#perSecond;
  }

  /** As of the last window. */
  get perSecond(): number {
    return this.#perSecond;
  }
}
