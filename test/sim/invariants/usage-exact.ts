import { SimViolation } from '../violation.ts';
import type { World } from '../world.ts';

/**
 * What a replica has counted is what a scan of it finds, whatever it has applied, loaded or lost meanwhile (ADR 0042).
 * A pass over the state, so it is made at intervals and at the end.
 */
export async function usageExact(world: World): Promise<void> {
  const looks: Promise<void>[] = [];
  for (const { node } of world.nodes) {
    for (const replica of node?.inspect() ?? []) {
      const { group, replica: by, appliedIndex } = replica;
      const look = replica.usageFlaw().then((flaw) => {
        if (flaw === null) return;
        const at = `group ${group} of ${by} at applied index ${appliedIndex}`;
        throw new SimViolation('usage is what is stored', `${at}: ${flaw}`);
      });
      looks.push(look);
      const quotas = replica.quotaFlaw().then((flaw) => {
        if (flaw === null) return;
        const at = `group ${group} of ${by} at applied index ${appliedIndex}`;
        throw new SimViolation('shares of quotas are what is stored', `${at}: ${flaw}`);
      });
      looks.push(quotas);
    }
  }
  await Promise.all(looks);
}
