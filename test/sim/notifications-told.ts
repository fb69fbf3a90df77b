import { isDeepStrictEqual } from 'node:util';
import type { ReplicaInspection } from '../../actors/node-port.ts';
import { META_GROUP } from '../../protocol/types.ts';
import { SimViolation } from './violation.ts';
import type { World } from './world.ts';

const NAME = 'totals of notifications are true';

/**
 * After the heal: nothing is left that somebody waits for, and every replica counts what was sent and what found no
 * room as the logs have it.
 */
export async function notificationsTold(world: World): Promise<void> {
  const { notifications } = world.model.objects;
  while (notifications.waiting.length > 0) await world.sleep(200);
  while (!(await areCounted(world))) await world.sleep(50);
}

/** False: a replica is behind, or something more happened meanwhile. */
async function areCounted(world: World): Promise<boolean> {
  const { notifications } = world.model.objects;
  const replicas = world.nodes.flatMap(({ node }) => node?.inspect() ?? []);
  for (const group of world.groups()) {
    if (group === META_GROUP) continue;
    const own = replicas.filter((one) => one.group === group);
    const leader = own.find(({ role }) => role === 'leader');
    if (leader === undefined) return false;
    const members = new Set([...leader.config.voters, ...leader.config.learners]);
    for (const one of own) {
      if (!members.has(one.replica)) continue;
      const last = notifications.lastIndex(group);
      if (one.appliedIndex < last) return false;
      const totals = await one.outboxTotals();
      if (notifications.lastIndex(group) !== last) return false;
      compare(world, one, totals);
    }
  }
  return true;
}

function compare(
  { model }: World,
  { group, replica }: ReplicaInspection,
  counted: Awaited<ReturnType<ReplicaInspection['outboxTotals']>>,
): void {
  const { notifications } = model.objects;
  const targets = notifications.all.flatMap((one) => (one.group === group ? [one.target] : []));
  for (const target of new Set([...targets, ...counted.keys()])) {
    const totals = counted.get(target);
    const wanted = notifications.totals(group, target);
    if (isDeepStrictEqual(totals, wanted)) continue;
    const shown = `${replica} group ${group} ${target}: ${JSON.stringify(totals)}`;
    throw new SimViolation(NAME, `${shown}, the logs have ${JSON.stringify(wanted)}`);
  }
}
