import { checkSnapshotReads } from '../../check/snapshot-read.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

/** Every page of every scan is exactly the state at its revision, over all groups. */
export const scansConsistent: FinalCheck = {
  name: 'scans are snapshots',
  source: 'architecture 2: snapshot reads',
  run: ({ history, truth }) => {
    const verdict = checkSnapshotReads(truth, history.scans, history.acked);
    if (verdict.result === 'ok') return;
    throw new SimViolation('scans are snapshots', verdict.reason);
  },
};
