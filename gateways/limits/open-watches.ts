import type { NodeId } from '../../protocol/types.ts';
import { type HeardDemands, shareOf, Tellings } from './shares.ts';

/** Where they stand in `Demand.amounts`. */
export interface WatchAmounts {
  readonly open: number;
  readonly wanted: number;
}

/** Of what was refused, so much is remembered in the next window: clients come again after a second or more. */
const REFUSED_KEPT = 0.85;
/** As IDLE_PART, but small: shares are rounded up, so every node can open one anyway. */
const IDLE_WATCHES = 0.001;

/**
 * The watches of one scope that are open at this node. It opens no more than its share (SH1), rounded up, and no more
 * than the limit leaves beside those that the others have told of.
 */
export class OpenWatches {
  readonly #tellings = new Tellings();
  #open = 0;
  #refused = 0;
  #refusedNow = 0;
  /** How many may be open here, until the next window. */
  #most = 0;

  get count(): number {
    return this.#open;
  }

  /** True: one more is open. */
  open(): boolean {
    if (this.#open >= this.#most) {
      this.#refusedNow++;
      return false;
    }
    this.#open++;
    return true;
  }

  close(): void {
    this.#open--;
  }

  /** Ends a window. Returns what is to be told. */
  tick(): WatchAmounts {
    this.#refused = Math.max(this.#refusedNow, this.#refused * REFUSED_KEPT);
    this.#refusedNow = 0;
    if (this.#refused < 0.5) this.#refused = 0;
    const wanted = this.#open + Math.ceil(this.#refused);
    this.#tellings.push(wanted);
    return { open: this.#open, wanted };
  }

  untold(): void {
    this.#tellings.forget();
  }

  /** `kinds`: where `open` and `wanted` stand. `max` null: as many as they like. */
  divide(
    max: number | null,
    scope: string,
    kinds: WatchAmounts,
    { others, heard, nowMs }: { others: readonly NodeId[]; heard: HeardDemands; nowMs: number },
  ): void {
    if (max === null) {
      this.#most = Number.POSITIVE_INFINITY;
      return;
    }
    const of = (kind: number) => heard.of(others, { scope, kind, all: max }, nowMs);
    const share = shareOf(max, this.#tellings.own, of(kinds.wanted), IDLE_WATCHES);
    const theirs = of(kinds.open).reduce((sum, open) => sum + open, 0);
    this.#most = max === 0 ? 0 : Math.min(Math.ceil(max * share), max - theirs);
  }
}
