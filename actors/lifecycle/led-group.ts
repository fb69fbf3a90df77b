import type { Replica } from '../replica/replica.ts';
import type { LifecycleGroup } from './keeper.ts';

/** A replica as lifecycle rules see it. */
export function lifecycleGroup(replica: Replica): LifecycleGroup {
  return {
    group: replica.group,
    isLed: () => replica.isLeader() && replica.clockTrusted() && replica.state.epoch > 0,
    view: () => replica.state.view(),
  };
}
