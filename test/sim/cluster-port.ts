import type { ObjectService } from '../../protocol/object-access.ts';
import type { Quotas } from '../../protocol/quotas.ts';
import type { KvService } from '../../protocol/service.ts';

/** The node could not be reached: the request certainly did not arrive. */
export class NodeDown extends Error {
  override readonly name = 'NodeDown';
}

/** The connection broke, or nothing came in time: it may or may not have happened. */
export class NodeLost extends Error {
  override readonly name = 'NodeLost';
}

/** What is asked of a node. */
export type Ask<T> = (service: KvService, objects: ObjectService, quotas: Quotas) => Promise<T>;

/** A client's connection to one life of one node. */
export interface Connection {
  readonly isOpen: boolean;
  /**
   * Hands a request to the node. Rejects with NodeLost, or with what the service rejects with.
   * `giveUpMs`: the client's own patience, after which it is NodeLost.
   */
  call<T>(giveUpMs: number, request: Ask<T>): Promise<T>;
}

/** The cluster as its clients reach it. */
export interface ClusterPort {
  readonly nodeCount: number;
  nowMs(): number;
  sleep(ms: number): Promise<void>;
  /** Rejects with NodeDown when nobody listens there. */
  connect(node: number): Promise<Connection>;
}
