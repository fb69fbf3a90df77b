import type { Labels, Telemetry } from '../../observability/port.ts';
import type { Lane } from '../../protocol/subjects.ts';

/** What a payload travels on: a peer lane, the hello subject, or the public events. */
export type Channel = Lane | 'hello' | 'event';

export const CHANNELS: readonly Channel[] = [
  'raft',
  'request',
  'blob',
  'snapshot',
  'hello',
  'event',
];

/** Why a payload did not leave or was not handed over. */
export type DropReason =
  | 'closed'
  | 'disconnected'
  | 'oversize'
  | 'overflow'
  | 'no_listener'
  | 'invalid'
  | 'listener_failed'
  | 'forged';

/** Counters of one bus. Labels are made once: these run for every payload. */
export class BusMetrics {
  readonly #telemetry: Telemetry;
  readonly #labels = new Map<Channel, Labels>();

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
    for (const channel of CHANNELS) this.#labels.set(channel, { lane: channel });
  }

  sent(channel: Channel, bytes: number): void {
    const labels = this.#labels.get(channel) as Labels;
    this.#telemetry.count('bus_messages_sent', 1, labels);
    this.#telemetry.count('bus_bytes_sent', bytes, labels);
  }

  received(channel: Channel, bytes: number): void {
    const labels = this.#labels.get(channel) as Labels;
    this.#telemetry.count('bus_messages_received', 1, labels);
    this.#telemetry.count('bus_bytes_received', bytes, labels);
  }

  /** Counts a payload that is gone; returns false so that `send` can return it. */
  dropped(channel: Channel, reason: DropReason): false {
    this.#telemetry.count('bus_messages_dropped', 1, { lane: channel, reason });
    return false;
  }

  /** A listener broke its promise and threw; the bus goes on. */
  handlerFailed(channel: Channel, error: unknown): void {
    this.dropped(channel, 'listener_failed');
    this.#telemetry.log('error', 'a bus listener threw', { lane: channel, error });
  }
}
