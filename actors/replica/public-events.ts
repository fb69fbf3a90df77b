import type { Revision } from '../../protocol/types.ts';
import type { AppliedChange } from '../apply/change.ts';
import { comparePositions, positionOf } from '../apply/position.ts';
import type { ReplicaContext } from './context.ts';

interface Held {
  readonly event: AppliedChange;
  readonly traceparent: string | null;
  readonly term: number;
}

/** A transaction may stay prepared for as long as its home group is silent, and others go on writing. */
const HELD_EVENTS_MAX = 8_192;
const HELD_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Events on their way to the public subject, in the one order: what a prepared transaction may still come
 * before waits for its end. Each leaves at most once; what is held when leadership is lost never does, nor what is
 * more than may be held.
 */
export class PublicEvents {
  readonly #context: ReplicaContext;
  #held: Held[] = [];
  #bytes = 0;

  constructor(context: ReplicaContext) {
    this.#context = context;
  }

  /** Whether events may leave as they are applied. */
  get isEmpty(): boolean {
    return this.#held.length === 0;
  }

  publish(events: readonly AppliedChange[], traceparent: string | null): void {
    const { ports, group } = this.#context;
    for (const event of events) ports.publishChange(event, group, traceparent);
    ports.telemetry.count('events_published', events.length);
  }

  hold(events: readonly AppliedChange[], traceparent: string | null, term: number): void {
    for (const event of events) {
      this.#held.push({ event, traceparent, term });
      this.#bytes += event.bytes;
    }
    if (this.#held.length > HELD_EVENTS_MAX || this.#bytes > HELD_BYTES_MAX) this.#drop();
  }

  /** Whoever listens learns of it by the sequence. */
  #drop(): void {
    const { ports, group } = this.#context;
    ports.telemetry.count('events_dropped', this.#held.length, { group });
    this.#held = [];
    this.#bytes = 0;
  }

  /** Lets go of what is closed, if this replica still leads in the term it was applied in. */
  advance(closed: Revision, term: number): void {
    if (this.#held.length === 0) return;
    const ready = this.#held.filter(({ event }) => event.revision <= closed);
    if (ready.length === 0) return;
    this.#held = this.#held.filter(({ event }) => event.revision > closed);
    this.#bytes = this.#held.reduce((sum, { event }) => sum + event.bytes, 0);
    ready.sort((a, b) => comparePositions(positionOf(a.event), positionOf(b.event)));
    for (const one of ready) {
      if (one.term === term && this.#context.isLeader()) this.publish([one.event], one.traceparent);
    }
  }
}
