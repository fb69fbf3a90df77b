import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { latestResults, publish } from './publish.ts';

/** `npm run bench:report`: docs/benchmarks.md and its drawings from the latest results. */
const root = fileURLToPath(new URL('../..', import.meta.url));
const latest = latestResults(join(root, 'bench', 'results'));
if (latest === null) {
  process.stderr.write('bench/results has no results: npm run bench\n');
  process.exitCode = 1;
} else {
  publish(root, latest.path, latest.results);
}
