import { measureFailover } from '../failover.ts';
import { median } from '../report/statistics.ts';
import type { FailoverFound } from '../results.ts';
import { measureEtcdFailover } from './etcd-failover.ts';

/** The gap that writers see when the leader is killed with SIGKILL, of minikv and of etcd. */
export async function runFailover(options: {
  readonly rounds: number;
  readonly withEtcd: boolean;
  readonly folder: string;
  readonly say: (line: string) => void;
}): Promise<FailoverFound[]> {
  const { rounds, say } = options;
  const quiet = (line: string): void => {
    if (!line.startsWith('  ')) say(line);
  };
  const report = await measureFailover({ kind: 'kill', rounds, say: quiet });
  const found = [
    foundOf(
      'minikv',
      report.rounds.map(({ gapMs }) => gapMs),
    ),
  ];
  if (options.withEtcd) found.push(foundOf('etcd', await measureEtcdFailover(options)));
  for (const { peer, medianMs, maxMs } of found) {
    say(`failover of ${peer}: median ${medianMs} ms, longest ${maxMs} ms`);
  }
  return found;
}

function foundOf(peer: string, gapsMs: readonly number[]): FailoverFound {
  return { peer, gapsMs, medianMs: median(gapsMs), maxMs: Math.max(...gapsMs) };
}
