import type { RouteOptions } from 'fastify';
import { AppError } from '../../protocol/errors.ts';
import { pathOf } from './url.ts';

interface Row {
  readonly segments: readonly string[];
  readonly methods: Set<string>;
}

/** Every route that was registered: tells 405 from 404, and which names are no keys. */
export class RouteTable {
  readonly #rows = new Map<string, Row>();

  add(route: Pick<RouteOptions, 'url' | 'method'>): void {
    const row = this.#rows.get(route.url) ?? {
      segments: route.url.split('/').slice(1),
      methods: new Set<string>(),
    };
    for (const method of [route.method].flat()) row.methods.add(method);
    this.#rows.set(route.url, row);
  }

  /** What there is, as `METHOD /path`. */
  list(): string[] {
    const out: string[] = [];
    for (const [url, row] of this.#rows)
      for (const method of row.methods) out.push(`${method} ${url}`);
    return out.sort();
  }

  /** Whether a one-segment path is the beginning of another route, so that it is no key of `/{key}`. */
  isReserved(path: string): boolean {
    const name = path.slice(1);
    for (const { segments } of this.#rows.values()) if (segments[0] === name) return true;
    return false;
  }

  /** The answer to a request that no route takes: 405 where another method would be taken. */
  missing(method: string, url: string): AppError {
    const path = pathOf(url);
    const parts = path.split('/').slice(1);
    const exact = this.#rows.get(path);
    const rows = exact !== undefined || this.isReserved(path) ? [exact] : [...this.#rows.values()];
    const allowed = new Set<string>();
    for (const row of rows) {
      if (row === undefined || !(row === exact || matches(row.segments, parts))) continue;
      for (const taken of row.methods) allowed.add(taken);
    }
    allowed.delete(method);
    if (allowed.size === 0) return new AppError('not_found', 'there is no such path');
    const allow = [...allowed].sort().join(', ');
    return new AppError('method_not_allowed', `this path takes ${allow}`, { details: { allow } });
  }
}

function matches(pattern: readonly string[], parts: readonly string[]): boolean {
  for (const [i, segment] of pattern.entries()) {
    if (segment === '*') return true;
    const part = parts[i];
    if (part === undefined) return false;
    if (segment.startsWith(':') ? part === '' : segment !== part) return false;
  }
  // A key takes the slashes that follow.
  return parts.length === pattern.length || (pattern[0] === 'v1' && pattern[2] === ':key');
}
