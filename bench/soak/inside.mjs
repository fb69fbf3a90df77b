/**
 * Loaded into a node under soak (`--import`): answers its parent with what only the process knows. Plain
 * JavaScript, as it runs beside the build.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 10;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

process.on('message', (asked) => {
  if (asked !== 'sample') return;
  const lagMs = Math.max(0, delay.percentile(99) / 1e6 - RESOLUTION_MS);
  // After a full collection what is left is held by somebody.
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  delay.reset();
  process.send?.({ lagMs, rss, heapUsed, external });
});
// Not a reason to stay alive.
process.channel?.unref();
