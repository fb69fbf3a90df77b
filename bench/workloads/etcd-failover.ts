import { sleep, until } from '../../test/kit/wait.ts';
import { type EtcdPeer, startEtcd } from '../peers/etcd.ts';
import { SteadyWriter } from './steady-writer.ts';

/** What ../failover.ts does to minikv, done to etcd: the same writers, the leader killed in each round. */

const WRITERS = 8;
const QUIET_MS = 1_200;
/** A write sent to a dead leader is only given up by etcd after 7 s; a client that cares asks again. */
const TIMEOUT_MS = 250;

export interface EtcdFailoverOptions {
  readonly rounds: number;
  readonly folder: string;
  readonly say: (line: string) => void;
}

/** The longest gap of each round, in ms. */
export async function measureEtcdFailover(options: EtcdFailoverOptions): Promise<number[]> {
  const etcd = await startEtcd(3, options.folder);
  const gaps: number[] = [];
  try {
    for (let round = 1; round <= options.rounds; round++) {
      const gapMs = await oneRound(etcd);
      gaps.push(gapMs);
      options.say(`etcd kill ${round}/${options.rounds}: gap ${gapMs} ms`);
    }
  } finally {
    await etcd.stop();
  }
  return gaps;
}

async function oneRound(etcd: EtcdPeer): Promise<number> {
  const victim = await leaderOf(etcd);
  const asked = (victim + 1) % etcd.members.length;
  const url = `http://127.0.0.1:${etcd.members[asked]?.port}/v3/kv/put`;
  const writers = Array.from({ length: WRITERS }, (_, i) => {
    const body = JSON.stringify({ key: btoa(`failover-${i}`), value: btoa('x'.repeat(100)) });
    return new SteadyWriter(url, { method: 'POST', body, timeoutMs: TIMEOUT_MS });
  });
  try {
    await until(() => writers.every(({ successes }) => successes.length > 20), 'a steady load');
    const atMs = performance.now();
    await etcd.members[victim]?.kill();
    const isBack = (writer: SteadyWriter) => writer.firstBegunAfter(atMs) !== null;
    await until(() => writers.every(isBack), 'writes again', 30_000);
    await sleep(QUIET_MS);
    const endMs = performance.now();
    return Math.round(Math.max(...writers.map((writer) => writer.longestGap(atMs, endMs))));
  } finally {
    await Promise.all(writers.map((writer) => writer.stop()));
    await etcd.members[victim]?.start();
  }
}

async function leaderOf(etcd: EtcdPeer): Promise<number> {
  for (;;) {
    const leader = await etcd.leader();
    if (leader !== null) return leader;
    await sleep(50);
  }
}
