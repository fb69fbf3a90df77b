import type { Bus, BusState } from '../../actors/kit/ports.ts';
import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Lane } from '../../protocol/subjects.ts';
import type { NodeId } from '../../protocol/types.ts';
import { BusMetrics } from './bus-metrics.ts';

/**
 * The Bus of one process: nothing to install, everything else real. Several nodes of one process share a
 * hub. Delivery is asynchronous (Clock.soon), in order per receiver, at most once. P1: a payload is copied
 * before send returns. P2: a receiver's queue is bounded; what does not fit is dropped and counted. P3: a
 * listener that throws loses that payload only.
 */

/** A public event as subscribers of the same process see it. */
export interface InProcessEvent {
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Uint8Array;
}

type Listener = (lane: Lane | 'hello', payload: Uint8Array) => void;
type Absent = (node: NodeId) => void;

interface HubPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** Connects the in-process buses of one program. */
export class InProcessHub {
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  readonly metrics: BusMetrics;
  readonly #mailboxes = new Map<NodeId, Mailbox>();
  readonly #eventListeners = new Set<(event: InProcessEvent) => void>();

  constructor(ports: HubPorts) {
    this.#clock = ports.clock;
    this.#telemetry = ports.telemetry;
    this.metrics = new BusMetrics(ports.telemetry);
  }

  /** A bus for one node. */
  bus(): InProcessBus {
    return new InProcessBus(this);
  }

  /** Hands every public event to `handle`; returns the way to stop. */
  onEvent(handle: (event: InProcessEvent) => void): () => void {
    this.#eventListeners.add(handle);
    return () => {
      this.#eventListeners.delete(handle);
    };
  }

  /** Registers a node's mailbox; a restarted node takes the place of its former life. */
  open(nodeId: NodeId, handle: Listener, absent: Absent): Mailbox {
    this.#mailboxes.get(nodeId)?.close();
    const mailbox = new Mailbox(handle, absent, this.#clock, this.metrics);
    this.#mailboxes.set(nodeId, mailbox);
    return mailbox;
  }

  close(nodeId: NodeId, mailbox: Mailbox): void {
    mailbox.close();
    if (this.#mailboxes.get(nodeId) === mailbox) this.#mailboxes.delete(nodeId);
  }

  /** `from`: the mailboxes of the sender, which are told when the receiver is absent. */
  deliver(
    from: ReadonlyMap<NodeId, Mailbox>,
    to: NodeId,
    lane: Lane,
    payload: Uint8Array,
  ): boolean {
    const mailbox = this.#mailboxes.get(to);
    if (mailbox === undefined) {
      if (lane === 'raft' || lane === 'request') {
        this.#clock.soon(() => {
          for (const mailbox of from.values()) mailbox.tellAbsent(to);
        });
      }
      return this.metrics.dropped(lane, 'no_listener');
    }
    return mailbox.put(lane, payload);
  }

  deliverAll(payload: Uint8Array): boolean {
    for (const mailbox of this.#mailboxes.values()) mailbox.put('hello', payload);
    return true;
  }

  hasEventListeners(): boolean {
    return this.#eventListeners.size > 0;
  }

  publish(event: InProcessEvent): void {
    if (!this.hasEventListeners()) return;
    const copy = { ...event, payload: Buffer.from(event.payload) };
    this.metrics.sent('event', copy.payload.length);
    this.#clock.soon(() => {
      for (const handle of this.#eventListeners) {
        try {
          handle(copy);
        } catch (error) {
          this.metrics.handlerFailed('event', error);
        }
      }
    });
  }

  /** Resolves when everything that is queued now has been handed over. */
  settle(): Promise<void> {
    return new Promise((resolve) => this.#clock.soon(resolve));
  }

  warn(message: string): void {
    this.#telemetry.log('warn', message);
  }
}

/** One node's queue: filled by sends, emptied once per turn of the event loop. */
class Mailbox {
  readonly #handle: Listener;
  readonly #absent: Absent;
  readonly #clock: Clock;
  readonly #metrics: BusMetrics;
  #queue: (readonly [lane: Lane | 'hello', payload: Uint8Array])[] = [];
  #queuedBytes = 0;
  #scheduled = false;
  #closed = false;

  constructor(handle: Listener, absent: Absent, clock: Clock, metrics: BusMetrics) {
    this.#handle = handle;
    this.#absent = absent;
    this.#clock = clock;
    this.#metrics = metrics;
  }

  put(lane: Lane | 'hello', payload: Uint8Array): boolean {
    const full =
      this.#queue.length >= LIMITS.inboxCommandsMax ||
      this.#queuedBytes + payload.length > LIMITS.inboxBytesMax;
    if (full) return this.#metrics.dropped(lane, 'overflow');
    this.#queue.push([lane, Buffer.from(payload)]);
    this.#queuedBytes += payload.length;
    this.#metrics.sent(lane, payload.length);
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#clock.soon(() => this.#deliver());
    }
    return true;
  }

  tellAbsent(node: NodeId): void {
    if (!this.#closed) this.#absent(node);
  }

  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #deliver(): void {
    const batch = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#scheduled = false;
    for (const [lane, payload] of batch) {
      if (this.#closed) return;
      this.#metrics.received(lane, payload.length);
      try {
        this.#handle(lane, payload);
      } catch (error) {
        this.#metrics.handlerFailed(lane, error);
      }
    }
  }
}

/** One node's side of the hub. */
export class InProcessBus implements Bus {
  readonly payloadBytesMax = LIMITS.busPayloadBytesMax;
  readonly #hub: InProcessHub;
  readonly #mailboxes = new Map<NodeId, Mailbox>();
  #closed = false;

  constructor(hub: InProcessHub) {
    this.#hub = hub;
  }

  state(): BusState {
    return this.#closed ? 'closed' : 'connected';
  }

  send(to: NodeId, lane: Lane, payload: Uint8Array): boolean {
    if (this.#closed) return this.#hub.metrics.dropped(lane, 'closed');
    if (payload.length > this.payloadBytesMax) return this.#hub.metrics.dropped(lane, 'oversize');
    return this.#hub.deliver(this.#mailboxes, to, lane, payload);
  }

  broadcast(payload: Uint8Array): boolean {
    if (this.#closed) return this.#hub.metrics.dropped('hello', 'closed');
    if (payload.length > this.payloadBytesMax) {
      return this.#hub.metrics.dropped('hello', 'oversize');
    }
    return this.#hub.deliverAll(payload);
  }

  listen(nodeId: NodeId, handle: Listener, absent: Absent = () => {}): Promise<void> {
    if (this.#closed) this.#hub.warn('listen on a bus that has stopped');
    else this.#mailboxes.set(nodeId, this.#hub.open(nodeId, handle, absent));
    return Promise.resolve();
  }

  publishesEvents(): boolean {
    return this.#hub.hasEventListeners();
  }

  publishEvent(
    subject: string,
    headers: Readonly<Record<string, string>>,
    payload: Uint8Array,
  ): void {
    if (this.#closed) this.#hub.metrics.dropped('event', 'closed');
    else if (payload.length > this.payloadBytesMax) this.#hub.metrics.dropped('event', 'oversize');
    else this.#hub.publish({ subject, headers, payload });
  }

  async drain(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const [nodeId, mailbox] of this.#mailboxes) this.#hub.close(nodeId, mailbox);
    await this.#hub.settle();
  }
}

/** The embedded default: a hub with one node on it. */
export function inProcessBus(ports: HubPorts): InProcessBus {
  return new InProcessHub(ports).bus();
}
