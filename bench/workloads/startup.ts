import { join } from 'node:path';
import { statusOf } from '../../test/kit/process-cluster.ts';
import { type MinikvPeer, startMinikv } from '../peers/minikv.ts';
import type { RecoveryFound, StartupFound } from '../results.ts';
import { folderBytes } from '../system/folder-bytes.ts';
import { LoadedPeer, type LoadSettings } from './load.ts';

/** From the start of the process to its first 200 at /health/ready. */

export async function runStartup(
  keys: number,
  folder: string,
  { rounds, seed, say }: LoadSettings,
): Promise<StartupFound> {
  const peer = await startMinikv({ nodes: 1, folder });
  const loaded = new LoadedPeer(peer, keys);
  const cleanMs: number[] = [];
  const killedMs: number[] = [];
  try {
    await loaded.fill(seed);
    for (let round = 1; round <= rounds; round++) {
      cleanMs.push(await restart(peer, 'SIGTERM'));
      killedMs.push(await restart(peer, 'SIGKILL'));
      say(`start-up ${keys} keys: ${cleanMs.at(-1)} ms, after kill -9 ${killedMs.at(-1)} ms`);
    }
    await verify(loaded, keys);
  } finally {
    await loaded.close();
  }
  return { keys, cleanMs, killedMs };
}

/**
 * `writes` single puts since the last flush are replayed from the WAL. All but the first restart may find
 * less to replay, so the longest is what counts.
 */
export async function runRecovery(
  writes: number,
  folder: string,
  { rounds, seed, say }: LoadSettings,
): Promise<RecoveryFound> {
  const peer = await startMinikv({ nodes: 1, folder });
  const loaded = new LoadedPeer(peer, writes);
  try {
    const before = await logEntriesOf(peer);
    const operation = { kind: 'fill', size: 1, from: 0, to: writes } as const;
    const sample = await loaded.run({
      ...{ operation, connections: 256, seed, windowMs: 0, warmupMs: 0 },
    });
    if (sample.flaw !== null) throw new Error(sample.flaw);
    const logEntries = (await logEntriesOf(peer)) - before;
    const walBytes = folderBytes(join(peer.nodes[0]?.data as string, 'wal'));
    const readyMs: number[] = [];
    for (let round = 1; round <= rounds; round++) readyMs.push(await restart(peer, 'SIGKILL'));
    say(
      `recovery: ${writes} writes in ${logEntries} entries, ready after ${readyMs.join(', ')} ms`,
    );
    await verify(loaded, writes);
    return { writes, logEntries, walBytes, readyMs };
  } finally {
    await loaded.close();
  }
}

async function restart(peer: MinikvPeer, signal: NodeJS.Signals): Promise<number> {
  const node = peer.nodes[0];
  if (node === undefined) throw new Error('there is no node');
  await node.stop(signal);
  return Math.round(await node.start());
}

/** The keys are there after all of it, as far as two seconds of drawn ones tell. */
async function verify(loaded: LoadedPeer, keys: number): Promise<void> {
  const sample = await loaded.run({
    ...{ operation: { kind: 'get' }, connections: 64, seed: 1, windowMs: 2_000, warmupMs: 0 },
  });
  if (sample.flaw !== null) throw new Error(`after a restart with ${keys} keys: ${sample.flaw}`);
}

async function logEntriesOf(peer: MinikvPeer): Promise<number> {
  const status = await statusOf(peer.nodes[0]?.url as string);
  if (status === null) throw new Error('no status');
  return status.groups.reduce((sum, { local }) => sum + (local?.appliedIndex ?? 0), 0);
}
