import { checkBank } from '../../check/bank.ts';
import { BANK } from '../bank-operations.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

const NAME = 'money is neither made nor lost';

/** Accounts hold one sum in every read and at every revision. */
export const moneyKept: FinalCheck = {
  name: NAME,
  source: 'architecture 7: all or nothing; bug classes B21, B22',
  run: ({ history, truth }) => {
    const verdict = checkBank(BANK, history.banks, truth.changes);
    if (verdict.result === 'violation') throw new SimViolation(NAME, verdict.reason);
  },
};
