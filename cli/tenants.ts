import type { Node } from '../actors/node-port.ts';
import { TenantRemoval } from '../gateways/identity/tenant-removal.ts';
import { storesOf } from '../gateways/identity/tenant-store.ts';
import { Tenants } from '../gateways/identity/tenants.ts';
import { RateLimitRows } from '../gateways/limits/rate-limit-rows.ts';
import type { NodeTelemetry } from '../observability/telemetry.ts';
import type { Clock } from '../protocol/clock.ts';
import { META_GROUP } from '../protocol/types.ts';

/** Takes away what deleted tenants have left, beside the leader of the meta group. Returns how to end that. */
export function startTenantRemoval(
  { service, objects, quotas }: Node,
  clock: Clock,
  telemetry: NodeTelemetry,
): () => Promise<void> {
  const { identities } = service;
  const removal = new TenantRemoval({
    ...{ identities, clock, objects, storeOf: storesOf(service) },
    tenants: new Tenants({ identities, clock }),
    bounds: [quotas, new RateLimitRows(identities)],
    isInCharge: () => {
      const { nodeId, groups } = service.status();
      return groups.find(({ group }) => group === META_GROUP)?.leader === nodeId;
    },
    log: (text, more) => telemetry.log('info', text, more),
  });
  removal.start();
  return () => removal.stop();
}
