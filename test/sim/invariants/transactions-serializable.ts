import { tornTransaction } from '../../check/all-or-nothing.ts';
import { checkTransactions } from '../../check/transactions.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

const NAME = 'transactions are strict serializable';

/**
 * No anomaly in what clients saw of lists over all groups, in real time; every group ended each one alike; what
 * clients were told to be done is there, whole.
 */
export const transactionsSerializable: FinalCheck = {
  name: NAME,
  source: 'architecture 7: transactions; bug classes B21, B22; F24',
  run: ({ history, model, truth }) => {
    const { flaws } = model.txns;
    if (flaws.length > 0) throw new SimViolation(NAME, flaws.slice(0, 5).join('; '));
    const open = model.txns.open();
    if (open.length > 0) {
      throw new SimViolation(NAME, `locks left behind: ${open.slice(0, 5).join(', ')}`);
    }
    const torn = tornTransaction(history.together, truth.changes);
    if (torn !== null) throw new SimViolation(NAME, `called at ${torn.at}: ${torn.reason}`);
    for (const seen of [history.txns, history.apart]) {
      const verdict = checkTransactions(seen);
      if (verdict.result === 'ok') continue;
      throw new SimViolation(NAME, `${verdict.anomaly}: ${verdict.reason}`);
    }
  },
};
