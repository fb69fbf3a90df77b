import type { Replica } from '../replica/replica.ts';
import type { QuotaGroup } from './keeper.ts';

/** A replica as quotas see it. */
export function quotaGroup(replica: Replica): QuotaGroup {
  return {
    group: replica.group,
    isLed: () => replica.isLeader() && replica.clockTrusted() && replica.state.epoch > 0,
    quotas: () => replica.state.quotas,
    view: () => replica.state.view(),
    counted: (scope, since, base) =>
      new Promise((resolve) => {
        replica.propose({ type: 'quotaCounted', scope, since, base: [...base] }, () => resolve());
      }),
  };
}
