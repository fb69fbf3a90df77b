import type { NodeId } from '../protocol/types.ts';

/** A leader speaks at least once per heartbeat; longer than this it is silent. */
const SILENT_AFTER_MS = 100;

/**
 * Which other nodes live, as far as this one can tell: when each was last heard, and whether the bus has
 * said since then that nobody listens for it. Pure: times come in as values.
 */
export class PeerWatch {
  readonly #heardMs = new Map<NodeId, number>();
  readonly #absent = new Set<NodeId>();

  heard(node: NodeId, nowMs: number): void {
    this.#heardMs.set(node, nowMs);
    if (this.#absent.size > 0) this.#absent.delete(node);
  }

  /** The bus knows of nobody who listens for the node. False when that was known. */
  missed(node: NodeId): boolean {
    if (this.#absent.has(node)) return false;
    this.#absent.add(node);
    return true;
  }

  isAbsent(node: NodeId): boolean {
    return this.#absent.has(node);
  }

  /** Ms since its last word; infinite when it was never heard. */
  silentMs(node: NodeId, nowMs: number): number {
    return nowMs - (this.#heardMs.get(node) ?? Number.NEGATIVE_INFINITY);
  }

  /** Whether a node that leads something here should have been heard by now. */
  isSilent(node: NodeId, nowMs: number): boolean {
    return this.silentMs(node, nowMs) > SILENT_AFTER_MS;
  }
}
