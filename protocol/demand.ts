import type { NodeId } from './types.ts';

/** What a node has seen of whoever has a limit, lately: as it tells the others. */
export interface Demand {
  /** Whose: as `key:<id>`. */
  readonly scope: string;
  /** Of each kind of limit, in the order of RATE_KINDS: thousandths per second. Then watches: those that are open, and with those that were asked for. */
  readonly amounts: readonly number[];
}

/** Limits that are shares of a rate, in the order of `Demand.amounts`. */
export const RATE_KINDS = ['requests', 'bytesIn', 'bytesOut'] as const;
export const DEMAND_AMOUNTS = RATE_KINDS.length + 2;
export type RateKind = (typeof RATE_KINDS)[number];

/** Nodes tell each other so often what they see. */
export const DEMAND_EVERY_MS = 250;
/** Scopes in one telling, and characters in the name of one. */
export const DEMANDS_MAX = 256;
export const SCOPE_CHARS_MAX = 176;

/** One telling of another node. */
export interface DemandsTold {
  readonly from: NodeId;
  /** Of the sender's process. */
  readonly life: number;
  /** Rises with each telling of a life. */
  readonly sequence: number;
  readonly demands: readonly Demand[];
}

/** Tells all nodes of a cluster what each sees. At most once, unordered, like all messages. */
export interface DemandExchange {
  tell(sequence: number, demands: readonly Demand[]): void;
  /** The other nodes that live, as far as this one knows. */
  others(): readonly NodeId[];
  /** `run` gets what other nodes tell. Returns how to end that. */
  onTold(run: (told: DemandsTold) => void): () => void;
}
