import { ENVELOPE_MESSAGES_MAX, encodeEnvelope, type Routed } from '../../protocol/envelope.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Lane } from '../../protocol/subjects.ts';
import type { NodeId, ReplicaId } from '../../protocol/types.ts';
import type { Ports } from './ports.ts';

interface Parcel {
  messages: Routed[];
  bytes: number;
}

/**
 * Gathers what a node's actors send during a turn and posts one envelope per peer and lane, so that
 * heartbeats of all groups between two nodes travel together. Oversize gatherings are cut.
 */
export class PostOffice {
  readonly #ports: Ports;
  readonly #from: ReplicaId;
  readonly #life: number;
  readonly #parcels = new Map<Lane, Map<NodeId, Parcel>>();
  readonly #onTooLarge: (node: NodeId, routed: Routed) => void;
  #clusterId: string;

  /** `onTooLarge` is told of each message that no envelope can hold. */
  constructor(
    ports: Ports,
    from: ReplicaId,
    clusterId: string,
    life: number,
    onTooLarge: (node: NodeId, routed: Routed) => void = () => {},
  ) {
    this.#onTooLarge = onTooLarge;
    this.#ports = ports;
    this.#from = from;
    this.#clusterId = clusterId;
    this.#life = life;
  }

  /** Queues one message; it leaves with the next flush. `bytes` estimates its encoded size. */
  post(node: NodeId, lane: Lane, routed: Routed, bytes: number): void {
    let byNode = this.#parcels.get(lane);
    if (byNode === undefined) {
      byNode = new Map();
      this.#parcels.set(lane, byNode);
    }
    const parcel = byNode.get(node);
    const room = this.#room() - 2 * LIMITS.envelopeOverheadBytesMax;
    if (parcel === undefined) {
      byNode.set(node, { messages: [routed], bytes });
    } else if (parcel.bytes + bytes > room || parcel.messages.length >= ENVELOPE_MESSAGES_MAX) {
      const { messages } = parcel;
      parcel.messages = [routed];
      parcel.bytes = bytes;
      // Last: what is too large in it may be answered by another message.
      this.#send(node, lane, messages);
    } else {
      parcel.messages.push(routed);
      parcel.bytes += bytes;
    }
  }

  /** Whether nothing waits for the next flush. */
  get isEmpty(): boolean {
    for (const byNode of this.#parcels.values()) {
      for (const parcel of byNode.values()) if (parcel.messages.length > 0) return false;
    }
    return true;
  }

  flush(): void {
    for (const [lane, byNode] of this.#parcels) {
      for (const [node, parcel] of byNode) {
        if (parcel.messages.length === 0) continue;
        const messages = parcel.messages;
        parcel.messages = [];
        parcel.bytes = 0;
        this.#send(node, lane, messages);
      }
    }
  }

  #send(node: NodeId, lane: Lane, messages: readonly Routed[]): void {
    if (messages.length === 0) return;
    const payload = this.encode(node, messages);
    if (payload.length <= this.#room()) {
      // What does not leave is counted by the bus; every message here may be lost anyway.
      this.#ports.bus.send(node, lane, payload);
    } else if (messages.length > 1) {
      const half = messages.length >> 1;
      this.#send(node, lane, messages.slice(0, half));
      this.#send(node, lane, messages.slice(half));
    } else {
      this.#ports.telemetry.count('bus_messages_dropped', 1, { lane, reason: 'oversize' });
      this.#ports.telemetry.log('error', 'a message is larger than the bus allows', {
        type: messages[0]?.message.type,
        bytes: payload.length,
      });
      for (const routed of messages) this.#onTooLarge(node, routed);
    }
  }

  #room(): number {
    return Math.min(this.#ports.bus.payloadBytesMax, LIMITS.busPayloadBytesMax);
  }

  /** One envelope from this node, e.g. for a broadcast. */
  encode(to: NodeId, messages: readonly Routed[]): Uint8Array {
    const wallMs = Math.max(0, Math.floor(this.#ports.clock.wallMs()));
    return encodeEnvelope({
      clusterId: this.#clusterId,
      from: this.#from,
      to,
      life: this.#life,
      wallMs,
      messages,
    });
  }
}
