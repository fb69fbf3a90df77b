import { RateLimitRows } from '../../gateways/limits/rate-limit-rows.ts';
import { RateLimits } from '../../gateways/limits/rate-limits.ts';
import { NO_TELEMETRY } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { Identities } from '../../protocol/identities.ts';

/** Limits of rates at a listener that stands alone. */
export function rateLimitsFor(identities: Identities, clock: Clock) {
  const parts = { identities, clock, telemetry: NO_TELEMETRY, exchange: () => null };
  return { limits: new RateLimits(parts), rateLimitRows: new RateLimitRows(identities) };
}
