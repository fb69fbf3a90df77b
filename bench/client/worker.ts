import type { FromWorker, ToWorker } from './job.ts';
import { runJob } from './load-run.ts';

/** The client process: runs one job after another as its parent says, and ends with it. */

const send = (message: FromWorker): void => {
  process.send?.(message);
};

process.on('message', (message: ToWorker) => {
  runJob(message.job, () => send({ type: 'window' })).then(
    (result) => send({ type: 'result', result }),
    (error: unknown) => {
      throw error;
    },
  );
});
process.on('disconnect', () => process.exit());
send({ type: 'ready' });
