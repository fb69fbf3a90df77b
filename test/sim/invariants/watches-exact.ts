import { checkWatchers } from '../../check/watch.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

/** Watchers see every change they asked for, once, in the one order, across reconnects. */
export const watchesExact: FinalCheck = {
  name: 'watches are exact',
  source: 'architecture 8: change feed',
  run: ({ history, truth }) => {
    const verdict = checkWatchers(truth, history.watchers);
    if (verdict.result === 'ok') return;
    throw new SimViolation('watches are exact', `${verdict.watcher}: ${verdict.reason}`);
  },
};
