import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { ChangeEvent } from '../../protocol/messages/request.ts';
import type { Notification } from '../../protocol/notifications.ts';
import type { Random } from '../../protocol/random.ts';
import type { Lane } from '../../protocol/subjects.ts';
import type { GroupId, NodeId } from '../../protocol/types.ts';
import type { StoragePorts } from '../../storage/ports.ts';

/** Bus state as the node sees it. */
export type BusState = 'connected' | 'disconnected' | 'closed';

/**
 * Transport between nodes: at most once, unordered, possibly duplicated, never durable. Adapters:
 * gateways/peer/in-process-bus.ts, gateways/peer/nats-bus.ts, and the simulator's network. One conformance
 * suite (test/conformance/bus.ts) holds for all.
 */
export interface Bus {
  /** Bytes one payload may have. */
  readonly payloadBytesMax: number;
  state(): BusState;
  /**
   * Sends to one node's lane, or drops: never throws for a lost connection, a slow peer or an
   * oversize payload (counted instead). Returns false when it certainly did not leave.
   */
  send(to: NodeId, lane: Lane, payload: Uint8Array): boolean;
  /** Sends to every node of the cluster that listens on the lane `hello` (finding each other). */
  broadcast(payload: Uint8Array): boolean;
  /**
   * Starts receiving for this node. `handle` is called once per payload and must not throw. `absent`
   * is called when something was sent on the lanes `raft` or `request` to a node for which nobody
   * listens: its process ended, or lost its connection. A hint that may be false (a node that is just
   * coming back), late, or never come (a node that hangs, a bus that cannot tell).
   */
  listen(
    nodeId: NodeId,
    handle: (lane: Lane | 'hello', payload: Uint8Array) => void,
    absent?: (node: NodeId) => void,
  ): Promise<void>;
  /** False while nobody can be listening to public events: then none need be made. */
  publishesEvents(): boolean;
  /** A public event, see protocol/subjects.ts eventSubject; fire and forget. */
  publishEvent(
    subject: string,
    headers: Readonly<Record<string, string>>,
    payload: Uint8Array,
  ): void;
  /** Sends what is queued, then stops. */
  drain(): Promise<void>;
}

/** Where notifications of buckets go. Made by gateways/notify, and by the simulator. */
export interface NotificationPort {
  /**
   * Sends one to a target (protocol/notifications.ts). Resolves when that has taken it; rejects with an Error where it has
   * not, or nobody can tell. Ends in about notificationTimeoutMs. `id` is of this notification for ever, in this cluster.
   */
  deliver(target: string, notification: Notification, id: string): Promise<void>;
}

/** Everything a node may touch. Built only by cli/compose.ts and test/sim/world.ts. */
export interface Ports {
  readonly clock: Clock;
  readonly random: Random;
  readonly bus: Bus;
  readonly storage: StoragePorts;
  readonly telemetry: Telemetry;
  readonly notifications: NotificationPort;
  /** Publishes one change on the public events subject; at most once, fire and forget. */
  publishChange(event: ChangeEvent, group: GroupId, traceparent: string | null): void;
  /** A fault that only a restart can mend (fsync error, engine error): the process exits non-zero. */
  fatal(reason: string, error: unknown): void;
}
