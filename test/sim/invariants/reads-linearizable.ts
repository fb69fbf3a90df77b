import { checkLinearizability } from '../../check/linearizability.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

/** Every single-key operation takes effect once, between its call and its answer. */
export const readsLinearizable: FinalCheck = {
  name: 'operations are linearizable',
  source: 'Raft 8; architecture 1 (strict serializable)',
  run: ({ history }) => {
    const verdict = checkLinearizability(history.operations);
    if (verdict.result === 'ok') return;
    throw new SimViolation(
      'operations are linearizable',
      `${verdict.result}, key ${verdict.key}: ${verdict.reason}`,
    );
  },
};
