import type { NodeId } from '../../protocol/types.ts';

/** Request ids of one sender that are told apart; older ones count as repeats. */
const WINDOW = 1 << 20;
const HALF = WINDOW / 2;
/** Lives of one node whose requests may still be on their way. */
const LIVES_MAX = 4;

/** The writes of one life of one node. Its ids only grow, and are close together: a bit for each, 128 KiB. */
class Seen {
  #base = 0;
  /** Ids in [base, base + HALF) and in [base - HALF, base). */
  #current = new Uint8Array(HALF / 8);
  #previous = new Uint8Array(HALF / 8);

  isRepeat(id: number): boolean {
    if (id >= this.#base + HALF) this.#advance(id);
    if (id >= this.#base) return !added(this.#current, id - this.#base);
    if (id < this.#base - HALF) return true;
    return !added(this.#previous, id - this.#base + HALF);
  }

  #advance(id: number): void {
    const isNext = id < this.#base + WINDOW;
    const oldest = this.#previous;
    this.#previous = this.#current;
    this.#current = oldest;
    this.#current.fill(0);
    if (!isNext) this.#previous.fill(0);
    this.#base = isNext ? this.#base + HALF : id;
  }
}

/**
 * Which writes came in, so that one that the bus delivers twice is not proposed twice (FAULTS B9). An
 * id that is too old to tell counts as a repeat: then its sender hears nothing and must take the
 * outcome as unknown, which is safe. This process knows nothing of an earlier one's requests: those
 * name that earlier life and are refused (see node-routing.ts).
 */
export class RecentRequests {
  readonly #nodes = new Map<NodeId, Map<number, Seen>>();

  /** True when this write of this life of this node was noted before. Notes it. */
  isRepeat(from: NodeId, life: number, requestId: number): boolean {
    let lives = this.#nodes.get(from);
    if (lives === undefined) {
      lives = new Map();
      this.#nodes.set(from, lives);
    }
    let seen = lives.get(life);
    if (seen === undefined) {
      seen = new Seen();
      lives.set(life, seen);
      const oldest = lives.keys().next().value;
      if (lives.size > LIVES_MAX && oldest !== undefined) lives.delete(oldest);
    }
    return seen.isRepeat(requestId);
  }
}

function added(bits: Uint8Array, at: number): boolean {
  const byte = bits[at >> 3] as number;
  const bit = 1 << (at & 7);
  if ((byte & bit) !== 0) return false;
  bits[at >> 3] = byte | bit;
  return true;
}
