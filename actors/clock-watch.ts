import { LIMITS } from '../protocol/limits.ts';
import type { NodeId } from '../protocol/types.ts';

const WINDOW_MS = 10_000;

interface Sample {
  /** The peer's wall clock minus our monotonic clock: a jump of our own wall clock cannot hide in it. */
  readonly anchorMs: number;
  readonly atMs: number;
}

/**
 * Watches how far the peers' wall clocks are from this node's. A message shows the sender's clock at
 * sending, so it can only make the sender look slow by the time it travelled (up to seconds over NATS):
 * the best sample of a window is the highest, unless the sender's clock was set back since. Pure: times come in
 * as values.
 */
export class ClockWatch {
  readonly #peers = new Map<NodeId, { best: Sample; latest: Sample }>();

  /** Notes a peer's wall clock (Unix ms) as it arrived, at monotonic `nowMs`. */
  note(peer: NodeId, theirWallMs: number, nowMs: number): void {
    const sample = { anchorMs: theirWallMs - nowMs, atMs: nowMs };
    const known = this.#peers.get(peer);
    if (known === undefined) {
      this.#peers.set(peer, { best: sample, latest: sample });
      return;
    }
    known.latest = sample;
    const isOld = nowMs - known.best.atMs > WINDOW_MS;
    if (isOld || sample.anchorMs >= known.best.anchorMs) known.best = sample;
  }

  /** The peer's clock minus ours, ms, by the best sample; null without a recent one. */
  offsetMs(peer: NodeId, myWallMs: number, nowMs: number): number | null {
    const known = this.#peers.get(peer);
    if (known === undefined || nowMs - known.best.atMs > 2 * WINDOW_MS) return null;
    return known.best.anchorMs - (myWallMs - nowMs);
  }

  /**
   * Whether this node may assign revisions: its clock is within clockOffsetMsMax of a majority of the
   * nodes it hears (itself counted). A node that hears nobody cannot commit anything anyway. A peer
   * whose best sample says one thing and whose latest the other has sent it late or was set back: it has no voice.
   */
  isTrusted(myWallMs: number, nowMs: number): boolean {
    let heard = 1;
    let near = 1;
    for (const [peer, { best, latest }] of this.#peers) {
      const offset = this.offsetMs(peer, myWallMs, nowMs);
      if (offset === null) continue;
      const isNear = Math.abs(offset) <= LIMITS.clockOffsetMsMax;
      const isNearNow =
        Math.abs(offset + latest.anchorMs - best.anchorMs) <= LIMITS.clockOffsetMsMax;
      if (isNear !== isNearNow) continue;
      heard++;
      if (isNear) near++;
    }
    return near * 2 > heard || heard === 1;
  }
}
