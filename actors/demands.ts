import {
  DEMANDS_MAX,
  type Demand,
  type DemandExchange,
  type DemandsTold,
} from '../protocol/demand.ts';
import type { MessageOf } from '../protocol/envelope.ts';
import type { NodeId } from '../protocol/types.ts';
import { nodeMessage } from './formation.ts';
import type { Ports } from './kit/ports.ts';
import type { PostOffice } from './kit/post-office.ts';
import type { PeerWatch } from './peer-watch.ts';
import type { Presence } from './presence.ts';

export interface DemandParts {
  readonly ports: Pick<Ports, 'bus' | 'clock'>;
  readonly post: Pick<PostOffice, 'encode'>;
  readonly presence: Presence;
  readonly peers: PeerWatch;
  readonly nodeId: NodeId;
}

/** Who was not heard for this long is not counted among the living: it says hello each second. */
const LIVING_MS = 5_000;

/** What nodes tell each other of their demand, each time in an envelope of its own: nothing else waits for it. */
export class NodeDemands implements DemandExchange {
  readonly #parts: DemandParts;
  readonly #listeners = new Set<(told: DemandsTold) => void>();

  constructor(parts: DemandParts) {
    this.#parts = parts;
  }

  tell(sequence: number, demands: readonly Demand[]): void {
    const { ports, post } = this.#parts;
    const told = demands.slice(0, DEMANDS_MAX).map(({ scope, amounts }) => ({
      scope,
      amounts: [...amounts],
    }));
    const message = nodeMessage({ type: 'Demands', sequence, demands: told });
    for (const node of this.others()) {
      ports.bus.send(node, 'request', post.encode(node, [message]));
    }
  }

  others(): readonly NodeId[] {
    const { ports, presence, peers, nodeId } = this.#parts;
    const nowMs = ports.clock.monotonicMs();
    return presence
      .list(nowMs)
      .filter(({ seenAtMs }) => nowMs - seenAtMs <= LIVING_MS)
      .map((seen) => seen.nodeId)
      .filter((node) => node !== nodeId && !peers.isAbsent(node));
  }

  onTold(run: (told: DemandsTold) => void): () => void {
    this.#listeners.add(run);
    return () => this.#listeners.delete(run);
  }

  onMessage(from: NodeId, life: number, { sequence, demands }: MessageOf<'Demands'>): void {
    for (const run of this.#listeners) run({ from, life, sequence, demands });
  }
}
