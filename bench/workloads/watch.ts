import { startMinikv } from '../peers/minikv.ts';
import type { WatchFound } from '../results.ts';
import type { FanoutResult } from '../watch/plan.ts';
import { fanoutLines, watchFanout } from '../watch-fanout.ts';

/** The bar of 1,000 SSE subscribers, on one node; the best plan of ../watch/plan.ts, shorter when quick. */
export async function runWatch(
  seconds: number,
  folder: string,
  say: (line: string) => void,
): Promise<WatchFound> {
  const peer = await startMinikv({ nodes: 1, folder });
  try {
    const node = peer.nodes[0];
    if (node === undefined) throw new Error('there is no node');
    const found: FanoutResult = await watchFanout({ url: node.url, seconds }, node.pid);
    for (const line of fanoutLines(found)) say(`watch: ${line}`);
    return found;
  } finally {
    await peer.stop();
  }
}
