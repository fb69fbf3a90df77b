import type { Node } from '../actors/node-port.ts';
import type { HttpServerOptions } from '../gateways/http/server.ts';
import { RateLimitRows } from '../gateways/limits/rate-limit-rows.ts';
import { RateLimits } from '../gateways/limits/rate-limits.ts';
import type { Telemetry } from '../observability/port.ts';
import type { Clock } from '../protocol/clock.ts';
import type { Identities } from '../protocol/identities.ts';

/** Limits of rates, of a node that may still be starting. */
export function rateLimits(
  identities: Identities,
  { clock, telemetry }: { readonly clock: Clock; readonly telemetry: Telemetry },
  node: () => Node | null,
  ends: (() => unknown)[],
): Required<Pick<HttpServerOptions, 'limits' | 'rateLimitRows'>> {
  const exchange = () => node()?.demands ?? null;
  const limits = new RateLimits({ identities, clock, telemetry, exchange });
  ends.push(() => limits.stop());
  return { limits, rateLimitRows: new RateLimitRows(identities) };
}
