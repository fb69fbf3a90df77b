import type { Bus, BusState } from '../../actors/kit/ports.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Random } from '../../protocol/random.ts';
import type { Lane } from '../../protocol/subjects.ts';
import type { NodeId } from '../../protocol/types.ts';
import type { Life, Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';

/** What every link does while nothing is wrong with it in particular. */
export interface LinkWeather {
  latencyMsMin: number;
  /** Mean of the exponential part on top. */
  jitterMsMean: number;
  /** Probabilities per message. */
  loss: number;
  duplicate: number;
  /** A message that is overtaken: late by up to `reorderMsMax`. */
  reorder: number;
  reorderMsMax: number;
  /** Bytes per ms one link carries; large payloads queue behind each other. */
  bytesPerMs: number;
  /** The bus says when nobody listens for the receiver of a payload. */
  tellsAbsence: boolean;
  /** Probability per payload that it says so of a node that is there. */
  falseAbsence: number;
}

export const FAIR_WEATHER: LinkWeather = {
  latencyMsMin: 0.2,
  jitterMsMean: 0.3,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  reorderMsMax: 0,
  bytesPerMs: 100_000,
  tellsAbsence: true,
  falseAbsence: 0,
};

/** One direction between two nodes. */
interface Link {
  readonly from: NodeId;
  readonly to: NodeId;
  /** Cut links lose messages; clogged ones hold them until the clog ends, then deliver a burst. */
  cut: boolean;
  clogged: boolean;
  held: Packet[];
  busyUntilMs: number;
  lastDeliveryMs: number;
}

interface Packet {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly lane: Lane | 'hello';
  readonly payload: Uint8Array;
  /** Only for this process; undefined for whoever listens. */
  readonly life?: Life | null;
}

interface Listener {
  readonly life: Life;
  readonly handle: (lane: Lane | 'hello', payload: Uint8Array) => void;
  readonly absent: (node: NodeId) => void;
}

/** What leaves a node for the public, see Bus.publishEvent. */
export interface PublishedEvent {
  readonly node: NodeId;
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Uint8Array;
}

const HELD_PER_LINK_MAX = 5000;
const NOBODY = 63;
/** Measured over NATS: what was sent before a cut came up to 13 s later. */
const LATE_MS_MIN = 500;
const LATE_MS_SPREAD = 12_500;

/**
 * The wires between all nodes: every message of every link passes here, may be late, lost, repeated
 * or overtaken, and reaches whatever process is then listening under the name it was sent to.
 */
export class SimNetwork {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #trace: Trace;
  /** By the ordinals of its ends. */
  readonly #links = new Map<number, Link>();
  readonly #listeners = new Map<NodeId, Listener>();
  readonly #ordinals = new Map<NodeId, number>();
  readonly #busDown = new Set<NodeId>();
  weather: LinkWeather = { ...FAIR_WEATHER };
  /** Sees every payload that leaves a node, before anything happens to it. */
  onSend: (from: NodeId, to: NodeId, lane: Lane | 'hello', payload: Uint8Array) => void = () => {};
  onPublish: (event: PublishedEvent) => void = () => {};
  deliveredCount = 0;
  /** Probability that a message comes once more, seconds later, to whichever process then listens (F6). */
  lateRepeats = 0;

  constructor(scheduler: Scheduler, random: Random, trace: Trace) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#trace = trace;
  }

  /** Makes a node known, so that broadcasts can reach it. */
  addNode(node: NodeId): void {
    this.#ordinals.set(node, this.#ordinals.size);
  }

  /** Cuts or mends one direction. */
  setCut(from: NodeId, to: NodeId, cut: boolean): void {
    this.#link(from, to).cut = cut;
  }

  /** Holds back all messages of one direction; ending it delivers them at once (F6, F30). */
  setClogged(from: NodeId, to: NodeId, clogged: boolean): void {
    const link = this.#link(from, to);
    link.clogged = clogged;
    if (clogged) return;
    for (const packet of link.held.splice(0)) {
      this.#deliverAfter(this.#random.next() * 2, packet);
    }
  }

  /** A dead bus server: this node can neither send nor receive (F25). */
  setBusDown(node: NodeId, down: boolean): void {
    if (down) this.#busDown.add(node);
    else this.#busDown.delete(node);
  }

  /** Everything is well again; what clogs held is delivered. */
  heal(weather: LinkWeather): void {
    this.weather = { ...weather };
    this.#busDown.clear();
    this.lateRepeats = 0;
    for (const link of this.#links.values()) {
      link.cut = false;
      if (link.clogged) this.setClogged(link.from, link.to, false);
    }
  }

  /** The Bus port of one life of a node. */
  bus(node: NodeId, life: Life): Bus {
    let closed = false;
    const state = (): BusState => {
      if (closed) return 'closed';
      return this.#busDown.has(node) ? 'disconnected' : 'connected';
    };
    const canSend = (payload: Uint8Array): boolean =>
      life.alive && state() === 'connected' && payload.length <= LIMITS.busPayloadBytesMax;
    return {
      payloadBytesMax: LIMITS.busPayloadBytesMax,
      state,
      send: (to, lane, payload) => {
        if (!canSend(payload)) return false;
        this.#transmit({ from: node, to, lane, payload: new Uint8Array(payload) });
        return true;
      },
      broadcast: (payload) => {
        if (!canSend(payload)) return false;
        const copy = new Uint8Array(payload);
        for (const to of this.#ordinals.keys()) {
          this.#transmit({ from: node, to, lane: 'hello', payload: copy });
        }
        return true;
      },
      listen: (nodeId, handle, absent = () => {}) => {
        if (life.alive) this.#listeners.set(nodeId, { life, handle, absent });
        return Promise.resolve();
      },
      publishesEvents: () => true,
      publishEvent: (subject, headers, payload) => {
        if (!life.alive || state() !== 'connected') return;
        this.onPublish({ node, subject, headers, payload });
      },
      drain: () => {
        closed = true;
        if (this.#listeners.get(node)?.life === life) this.#listeners.delete(node);
        return Promise.resolve();
      },
    };
  }

  #transmit(packet: Packet): void {
    this.onSend(packet.from, packet.to, packet.lane, packet.payload);
    const link = this.#link(packet.from, packet.to);
    if (packet.from === packet.to) {
      this.#deliverAfter(0.02, packet);
      return;
    }
    if (link.clogged) {
      if (link.held.length < HELD_PER_LINK_MAX) link.held.push(packet);
      return;
    }
    const { weather } = this;
    if (weather.falseAbsence > 0 && this.#random.next() < weather.falseAbsence) {
      this.#tellAbsence(packet);
    }
    if (link.cut || this.#random.next() < weather.loss) return;
    this.#deliverAfter(this.#latencyMs(link, packet.payload.length), packet);
    if (this.lateRepeats > 0 && this.#random.next() < this.lateRepeats) {
      this.#deliverAfter(LATE_MS_MIN + this.#random.next() * LATE_MS_SPREAD, packet);
    }
    if (weather.duplicate > 0 && this.#random.next() < weather.duplicate) {
      // A repeat comes over the connection of its original: a new process never sees it.
      const life = this.#listeners.get(packet.to)?.life ?? null;
      const delayMs = this.#latencyMs(link, 0) + this.#random.next() * 50;
      this.#deliverAfter(delayMs, { ...packet, life });
    }
  }

  /** Latency of one message; without the reorder fault a link keeps order, as TCP does. */
  #latencyMs(link: Link, bytes: number): number {
    const { weather } = this;
    const nowMs = this.#scheduler.nowMs();
    const jitterMs = -Math.log(1 - this.#random.next()) * weather.jitterMsMean;
    const sendMs = bytes / weather.bytesPerMs;
    link.busyUntilMs = Math.max(link.busyUntilMs, nowMs) + sendMs;
    const dueMs = link.busyUntilMs + weather.latencyMsMin + jitterMs;
    if (weather.reorder > 0 && this.#random.next() < weather.reorder) {
      return dueMs - nowMs + this.#random.next() * weather.reorderMsMax;
    }
    link.lastDeliveryMs = Math.max(link.lastDeliveryMs + 0.001, dueMs);
    return link.lastDeliveryMs - nowMs;
  }

  #deliverAfter(delayMs: number, packet: Packet): void {
    this.#scheduler.after(delayMs, null, () => {
      const link = this.#link(packet.from, packet.to);
      if (link.clogged) {
        if (link.held.length < HELD_PER_LINK_MAX) link.held.push(packet);
        return;
      }
      const listener = this.#listeners.get(packet.to);
      if (listener === undefined || !listener.life.alive || this.#busDown.has(packet.to)) {
        if (this.weather.tellsAbsence) this.#tellAbsence(packet);
        return;
      }
      if (packet.life !== undefined && packet.life !== listener.life) return;
      this.#scheduler.runIn(listener.life, () => this.#handOver(listener, packet));
    });
  }

  /** The bus answers the sender's present life, as a server does on the sender's connection. */
  #tellAbsence({ from, to, lane }: Packet): void {
    if (lane !== 'raft' && lane !== 'request') return;
    const listener = this.#listeners.get(from);
    if (listener === undefined || !listener.life.alive || this.#busDown.has(from)) return;
    this.#scheduler.after(this.weather.latencyMsMin, listener.life, () => listener.absent(to));
  }

  #handOver(listener: Listener, packet: Packet): void {
    this.deliveredCount++;
    const ends = this.#ordinal(packet.from) * 64 + this.#ordinal(packet.to);
    this.#trace.mix(2, ends, packet.payload.length, packet.payload);
    this.#trace.detail(packet.to, () => {
      return `<- ${packet.from} ${packet.lane} ${packet.payload.length} bytes`;
    });
    listener.handle(packet.lane, packet.payload);
  }

  /** Also of a name that nobody has: what is sent to it arrives nowhere. */
  #ordinal(node: NodeId): number {
    return this.#ordinals.get(node) ?? NOBODY;
  }

  #link(from: NodeId, to: NodeId): Link {
    const number = this.#ordinal(from) * 64 + this.#ordinal(to);
    let link = this.#links.get(number);
    if (link === undefined) {
      const ends = { from, to };
      link = { ...ends, cut: false, clogged: false, held: [], busyUntilMs: 0, lastDeliveryMs: 0 };
      this.#links.set(number, link);
    }
    return link;
  }
}
