import type { Span } from '../../observability/port.ts';
import type { Command } from '../../protocol/commands.ts';
import type { ReplicaContext } from './context.ts';

/** Spans kept open at once per replica; a burst beyond it is not traced. */
const OPEN_MAX = 256;

/**
 * The spans of traced writes on one replica: `raft.propose` from request to outcome, within it
 * `wal.sync`; and `apply` on every replica, under the proposer's span (its traceparent travels in the
 * log entry). When nobody collects spans every call returns after one comparison.
 */
export class WriteSpans {
  readonly #context: ReplicaContext;
  #proposed: string[] = [];
  #syncing: Span[] = [];

  constructor(context: ReplicaContext) {
    this.#context = context;
  }

  /** The span of a proposal, or null when the request is not traced. */
  propose(traceparent: string | null): Span | null {
    const { telemetry } = this.#context.ports;
    if (!telemetry.tracing || traceparent === null) return null;
    const span = telemetry.span('raft.propose', traceparent);
    span.set('minikv.group', this.#context.group);
    if (span.traceparent !== null && this.#proposed.length < OPEN_MAX) {
      this.#proposed.push(span.traceparent);
    }
    return span;
  }

  /** The records of this turn go to the WAL. */
  syncBegins(): void {
    if (this.#proposed.length === 0) return;
    const { telemetry } = this.#context.ports;
    for (const parent of this.#proposed) this.#syncing.push(telemetry.span('wal.sync', parent));
    this.#proposed = [];
  }

  synced(): void {
    if (this.#syncing.length === 0) return;
    for (const span of this.#syncing) span.end();
    this.#syncing = [];
  }

  /** Begins `apply` for one command of a batch, when it is traced. */
  apply(command: Command | null): Span | null {
    const { telemetry } = this.#context.ports;
    if (!telemetry.tracing || command?.type !== 'write' || command.traceparent === null)
      return null;
    const span = telemetry.span('apply', command.traceparent);
    span.set('minikv.group', this.#context.group);
    span.set('minikv.revision', command.revision);
    return span;
  }
}
