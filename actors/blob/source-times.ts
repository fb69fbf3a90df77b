import type { NodeId } from '../../protocol/types.ts';

/** How much the last one counts. */
const WEIGHT = 0.3;
/** One that was slow once is asked again in time: old times count less. */
const FORGET = 0.98;

/** How soon each node began to give what it was asked for: who is near. */
export class SourceTimes {
  readonly #ms = new Map<NodeId, number>();

  note(node: NodeId, ms: number): void {
    for (const [other, known] of this.#ms) this.#ms.set(other, known * FORGET);
    const known = this.#ms.get(node);
    this.#ms.set(node, known === undefined ? ms : known + (ms - known) * WEIGHT);
  }

  /** 0 for one that was never asked. */
  msOf(node: NodeId): number {
    return this.#ms.get(node) ?? 0;
  }
}
