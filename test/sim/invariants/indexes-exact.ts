import { checkQueries } from '../../check/index-query.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

/** Every page of every index and search is what a full scan at its revision gives. */
export const indexesExact: FinalCheck = {
  name: 'an index equals a full scan',
  source: 'architecture 9: entries are in the batch of their value',
  run: ({ history, truth }) => {
    const verdict = checkQueries(truth, history.queries);
    if (verdict.result === 'ok') return;
    throw new SimViolation('an index equals a full scan', verdict.reason);
  },
};
