import type { Bus, BusState } from '../../actors/kit/ports.ts';
import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import {
  absenceSubject,
  helloSubject,
  LANES,
  type Lane,
  nodeSubject,
} from '../../protocol/subjects.ts';
import type { NodeId } from '../../protocol/types.ts';
import { BusMetrics, type Channel } from './bus-metrics.ts';
import {
  type Headers,
  type LinkMessage,
  type LinkName,
  type LinkOwner,
  NatsLink,
  type NatsPorts,
  processToken,
} from './nats-link.ts';
import * as options from './nats-options.ts';
import type { ClientRequest, RequestServer } from './request-server.ts';

/**
 * The Bus over NATS core. Bulk lanes and public subjects have connections of their own, so that a server
 * which cuts one off for being slow does not touch Raft's. What holds for each connection is in nats-link.ts.
 */

type NodeSubjects = Readonly<Record<Lane | 'absence', string>>;

/** NATS for one token of any text. */
const ANY = '*' as NodeId;

/** A node's three NATS connections behind the Bus port. Made by openNatsBus. */
export class NatsBus implements Bus, RequestServer {
  readonly #cluster: string;
  readonly #metrics: BusMetrics;
  readonly #telemetry: Telemetry;
  readonly #links: Readonly<Record<LinkName, NatsLink>>;
  readonly #subjects = new Map<NodeId, NodeSubjects>();
  /** Unguessable, so that only the servers know where to tell of absent nodes. */
  readonly #token = processToken();
  readonly #stateListeners = new Set<(state: BusState) => void>();
  #lastState: BusState = 'disconnected';
  readonly #servers: string;
  readonly #clock: Clock;
  #complainedMs = Number.NEGATIVE_INFINITY;

  constructor(busOptions: options.NatsBusOptions, ports: NatsPorts) {
    this.#cluster = busOptions.cluster;
    this.#metrics = new BusMetrics(ports.telemetry);
    this.#telemetry = ports.telemetry;
    this.#servers = busOptions.servers.join(',');
    this.#clock = ports.clock;
    const owner: LinkOwner = {
      changed: () => this.#noteState(),
      connectFailed: (name, error) => this.#complain(name, error),
    };
    const link = (name: LinkName, windowBytes: number): NatsLink =>
      new NatsLink(name, windowBytes, busOptions, ports, owner);
    this.#links = {
      control: link('control', options.CONTROL_WINDOW_BYTES),
      bulk: link('bulk', options.BULK_WINDOW_BYTES),
      public: link('public', options.PUBLIC_WINDOW_BYTES),
    };
  }

  /** Connects in the background; resolves when all connections were up once. */
  async open(): Promise<void> {
    await Promise.all(Object.values(this.#links).map((link) => link.open()));
  }

  get payloadBytesMax(): number {
    return this.#links.control.payloadBytesMax();
  }

  /** The control connection's state: without it the node can neither lead nor follow. */
  state(): BusState {
    return this.#links.control.state();
  }

  /** Calls `listener` after each change of state(); returns the way to stop. */
  onState(listener: (state: BusState) => void): () => void {
    this.#stateListeners.add(listener);
    return () => {
      this.#stateListeners.delete(listener);
    };
  }

  send(to: NodeId, lane: Lane, payload: Uint8Array): boolean {
    const subjects = this.#subjectsOf(to);
    // A reply subject makes the server answer when nobody listens; peers never answer there.
    const reply = lane === 'raft' || lane === 'request' ? subjects.absence : '';
    return this.#publish(lane, subjects[lane], payload, null, reply);
  }

  broadcast(payload: Uint8Array): boolean {
    return this.#publish('hello', helloSubject(this.#cluster), payload, null, '');
  }

  async listen(
    nodeId: NodeId,
    handle: (lane: Lane | 'hello', payload: Uint8Array) => void,
    absent: (node: NodeId) => void = () => {},
  ): Promise<void> {
    const receive = (lane: Lane | 'hello', message: LinkMessage): void => {
      this.#metrics.received(lane, message.payload.length);
      try {
        handle(lane, message.payload);
      } catch (error) {
        this.#metrics.handlerFailed(lane, error);
      }
    };
    for (const lane of LANES) {
      const subject = nodeSubject(this.#cluster, nodeId, lane);
      this.#linkOf(lane).subscribe(subject, null, (message) => receive(lane, message));
    }
    this.#links.control.subscribe(
      absenceSubject(this.#cluster, this.#token, ANY),
      null,
      (message) => {
        const node = message.subject.slice(message.subject.lastIndexOf('.') + 1);
        if (message.isNoResponders) absent(node as NodeId);
      },
    );
    const hello = helloSubject(this.#cluster);
    this.#links.control.subscribe(hello, null, (message) => receive('hello', message));
    await Promise.all([this.#links.control.settle(), this.#links.bulk.settle()]);
  }

  /** Whether somebody subscribes is known to the servers only. */
  publishesEvents(): boolean {
    return true;
  }

  publishEvent(
    subject: string,
    headers: Readonly<Record<string, string>>,
    payload: Uint8Array,
  ): void {
    this.#publish('event', subject, payload, headers, '');
  }

  /** Publishes, and resolves when the server has it. Rejects with an Error otherwise: it may have it all the same. */
  async publishConfirmed(subject: string, headers: Headers, payload: Uint8Array): Promise<void> {
    const dropped = this.#links.public.publish(subject, payload, headers, '');
    if (dropped !== null) {
      this.#metrics.dropped('event', dropped);
      throw new Error(`NATS did not take it: ${dropped}`);
    }
    this.#metrics.sent('event', payload.length);
    await this.#links.public.confirmed(subject);
  }

  serveRequests(subject: string, queue: string, handle: (request: ClientRequest) => void): void {
    this.#links.public.subscribe(subject, queue, (message) => {
      try {
        handle(this.#clientRequest(message));
      } catch (error) {
        this.#metrics.handlerFailed('event', error);
      }
    });
  }

  async drain(): Promise<void> {
    await Promise.all(Object.values(this.#links).map((link) => link.drain()));
  }

  #publish(
    channel: Channel,
    subject: string,
    payload: Uint8Array,
    headers: Headers | null,
    reply: string,
  ): boolean {
    const dropped = this.#linkOf(channel).publish(subject, payload, headers, reply);
    if (dropped !== null) return this.#metrics.dropped(channel, dropped);
    this.#metrics.sent(channel, payload.length);
    return true;
  }

  #clientRequest(message: LinkMessage): ClientRequest {
    return {
      subject: message.subject,
      reply: message.reply,
      payload: message.payload,
      header: (name) => message.header(name),
      respond: (payload, headers) => {
        if (message.reply === '') return false;
        return this.#publish('event', message.reply, payload, headers, '');
      },
    };
  }

  #linkOf(channel: Channel): NatsLink {
    if (channel === 'blob' || channel === 'snapshot') return this.#links.bulk;
    return channel === 'event' ? this.#links.public : this.#links.control;
  }

  #subjectsOf(to: NodeId): NodeSubjects {
    const known = this.#subjects.get(to);
    if (known !== undefined) return known;
    const lanes = Object.fromEntries(
      LANES.map((lane) => [lane, nodeSubject(this.#cluster, to, lane)]),
    ) as Record<Lane, string>;
    const subjects = { ...lanes, absence: absenceSubject(this.#cluster, this.#token, to) };
    this.#subjects.set(to, subjects);
    return subjects;
  }

  /** One line now and then for all connections: they mostly fail together. */
  #complain(link: LinkName, error: unknown): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#complainedMs < options.COMPLAINT_INTERVAL_MS) return;
    this.#complainedMs = nowMs;
    const reason = error instanceof Error ? error.message : String(error);
    const fields = { servers: this.#servers, link, reason };
    this.#telemetry.log('warn', 'cannot connect to NATS; trying again', fields);
  }

  #noteState(): void {
    const state = this.state();
    if (state === this.#lastState) return;
    this.#lastState = state;
    this.#telemetry.gauge('bus_connected', state === 'connected' ? 1 : 0);
    for (const listener of this.#stateListeners) listener(state);
  }
}

/**
 * Connects to NATS. Returns after the first connection, or after connectWaitMs: then the bus is
 * `disconnected`, goes on trying, and drops what is sent meanwhile.
 */
export async function openNatsBus(
  busOptions: options.NatsBusOptions,
  ports: NatsPorts,
): Promise<NatsBus> {
  const bus = new NatsBus(busOptions, ports);
  await new Promise<void>((resolve) => {
    const cancel = ports.clock.after(busOptions.connectWaitMs, resolve);
    void bus.open().then(() => {
      cancel();
      resolve();
    });
  });
  return bus;
}
