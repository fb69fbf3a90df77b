import type { Revision } from '../../protocol/types.ts';
import type { AppliedChange } from '../apply/change.ts';
import { comparePositions, positionOf } from '../apply/position.ts';
import type { ReplicaContext } from './context.ts';

interface Held {
  readonly event: AppliedChange;
  readonly traceparent: string | null;
  readonly term: number;
}

/**
 * Events on their way to the public subject, in the one order: what a prepared transaction may still come
 * before waits for its end. Each leaves at most once; what is held when leadership is lost never does.
 */
export class PublicEvents {
  readonly #context: ReplicaContext;
  #held: Held[] = [];

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
    for (const event of events) this.#held.push({ event, traceparent, term });
  }

  /** Lets go of what is closed, if this replica still leads in the term it was applied in. */
  advance(closed: Revision, term: number): void {
    if (this.#held.length === 0) return;
    const ready = this.#held.filter(({ event }) => event.revision <= closed);
    this.#held = this.#held.filter(({ event }) => event.revision > closed);
    ready.sort((a, b) => comparePositions(positionOf(a.event), positionOf(b.event)));
    for (const one of ready) {
      if (one.term === term && this.#context.isLeader()) this.publish([one.event], one.traceparent);
    }
  }
}
