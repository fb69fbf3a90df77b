import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';

interface Ways {
  readonly took: (ms: number) => void;
  /** By status. */
  readonly answered: ((by: number) => void)[];
}

/** A route's requests; `method` comes from the route table. */
export class RouteTraffic {
  readonly #telemetry: Telemetry;
  readonly #route: string;
  readonly #ways = new Map<string, Ways>();

  constructor(telemetry: Telemetry, route: string) {
    this.#telemetry = telemetry;
    this.#route = route;
  }

  answered(method: string, status: number, tookMs: number): void {
    const ways = this.#ways.get(method) ?? this.#add(method);
    ways.took(tookMs);
    (ways.answered[status] ?? this.#addStatus(ways, method, status))(1);
  }

  #add(method: string): Ways {
    const labels = { method, route: this.#route };
    const ways = { took: this.#telemetry.timerOf('http_request_seconds', labels), answered: [] };
    this.#ways.set(method, ways);
    return ways;
  }

  #addStatus(ways: Ways, method: string, status: number): (by: number) => void {
    const labels = { method, route: this.#route, status };
    const count = this.#telemetry.counterOf('http_requests', labels);
    ways.answered[status] = count;
    return count;
  }
}

/** Counts requests, the same way for every way an answer may take. */
export class Traffic {
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;
  readonly #routes = new Map<string, RouteTraffic>();
  readonly #showOpen: (count: number) => void;
  #open = 0;

  constructor(telemetry: Telemetry, clock: Clock) {
    this.#telemetry = telemetry;
    this.#clock = clock;
    this.#showOpen = telemetry.gaugeOf('http_requests_in_flight');
  }

  /** Returns when the request began, for `end`. */
  begin(): number {
    this.#showOpen(++this.#open);
    return this.#clock.monotonicMs();
  }

  /** `route` is the pattern, as `/v1/kv/:key`. */
  route(route: string): RouteTraffic {
    const found = this.#routes.get(route);
    if (found !== undefined) return found;
    const made = new RouteTraffic(this.#telemetry, route);
    this.#routes.set(route, made);
    return made;
  }

  end(startedMs: number, method: string, route: RouteTraffic, status: number): void {
    this.#showOpen(--this.#open);
    route.answered(method, status, this.#clock.monotonicMs() - startedMs);
  }
}
