import type { Replica } from '../replica/replica.ts';
import type { NotifyGroup } from './keeper.ts';

/** A replica as its notifications see it. */
export function notifyGroup(replica: Replica): NotifyGroup {
  return {
    group: replica.group,
    isLed: () => replica.isLeader() && replica.clockTrusted() && replica.state.epoch > 0,
    changes: () => replica.state.outbox.changes,
    view: () => replica.state.view(),
    trim: (target, rows) =>
      new Promise((resolve) => {
        replica.propose({ type: 'outboxTrim', target, rows: [...rows] }, ({ type }) => {
          resolve(type === 'applied');
        });
      }),
  };
}
