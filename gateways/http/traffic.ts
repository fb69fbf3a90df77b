import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';

interface Ways {
  readonly took: (ms: number) => void;
  /** By status. */
  readonly answered: ((by: number) => void)[];
}

/** Counts requests, the same way for every way an answer may take. */
export class Traffic {
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;
  /** By route, then method: both come from the route table, so there are few. */
  readonly #ways = new Map<string, Map<string, Ways>>();
  #open = 0;

  constructor(telemetry: Telemetry, clock: Clock) {
    this.#telemetry = telemetry;
    this.#clock = clock;
  }

  /** Returns when the request began, for `end`. */
  begin(): number {
    this.#telemetry.gauge('http_requests_in_flight', ++this.#open);
    return this.#clock.monotonicMs();
  }

  /** `route` is the pattern, as `/v1/kv/:key`. */
  end(startedMs: number, method: string, route: string, status: number): void {
    this.#telemetry.gauge('http_requests_in_flight', --this.#open);
    const { answered, took } = this.#waysOf(method, route);
    let count = answered[status];
    if (count === undefined) {
      count = this.#telemetry.counterOf('http_requests', { method, route, status });
      answered[status] = count;
    }
    count(1);
    took(this.#clock.monotonicMs() - startedMs);
  }

  #waysOf(method: string, route: string): Ways {
    const found = this.#ways.get(route)?.get(method);
    if (found !== undefined) return found;
    const took = this.#telemetry.timerOf('http_request_seconds', { method, route });
    const ways: Ways = { took, answered: [] };
    const byMethod = this.#ways.get(route) ?? new Map<string, Ways>();
    this.#ways.set(route, byMethod.set(method, ways));
    return ways;
  }
}
