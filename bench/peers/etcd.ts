import { join } from 'node:path';
import { freePort } from '../../test/kit/nats-server.ts';
import { findBinary, versionOf } from '../system/binaries.ts';
import { ServerProcess } from '../system/server-process.ts';
import type { Peer, PeerKind } from './peer.ts';

const BINARY = 'etcd';
const READY_MS_MAX = 30_000;

/** etcd as Debian has it, asked through its JSON gateway; larger transactions and quota than by default. */
export const etcd: PeerKind = {
  name: 'etcd',
  version: () => {
    const file = findBinary(BINARY);
    return file === null ? null : versionOf(file);
  },
  install: 'apt-get install etcd-server',
  maxNodes: 3,
  start: ({ nodes, folder }) => startEtcd(nodes, folder),
};

/** A member can be killed and started again, for the failover workload. */
export interface EtcdPeer extends Peer {
  readonly members: readonly EtcdMember[];
  /** The index of the leader; null while there is none. */
  leader(): Promise<number | null>;
}

export interface EtcdMember {
  readonly port: number;
  kill(): Promise<void>;
  /** Starts it with the data it has; resolves when it answers. */
  start(): Promise<void>;
}

export async function startEtcd(nodes: number, folder: string): Promise<EtcdPeer> {
  const plans: { name: string; port: number; peerPort: number }[] = [];
  for (let i = 1; i <= nodes; i++) {
    plans.push({ name: `e${i}`, port: await freePort(), peerPort: await freePort() });
  }
  const cluster = plans.map(({ name, peerPort }) => `${name}=${urlOf(peerPort)}`).join(',');
  const processes = plans.map(
    ({ name, port, peerPort }) =>
      () =>
        new ServerProcess(findBinary(BINARY) as string, [
          ...['--name', name, '--data-dir', join(folder, name), '--logger', 'zap'],
          ...['--listen-client-urls', urlOf(port), '--advertise-client-urls', urlOf(port)],
          ...['--listen-peer-urls', urlOf(peerPort)],
          ...['--initial-advertise-peer-urls', urlOf(peerPort), '--initial-cluster', cluster],
          ...['--max-txn-ops', '10000', '--max-request-bytes', String(16 * 1024 * 1024)],
          ...['--quota-backend-bytes', String(8 * 1024 ** 3), '--log-level', 'error'],
        ]),
  );
  const running = processes.map((start) => start());
  const members = plans.map(({ port }, i) => memberOf(port, running, i, processes[i]!));
  await Promise.all(plans.map(({ port }, i) => untilHealthy(running[i]!, port)));
  return {
    name: 'etcd',
    dialect: 'etcd',
    targets: plans.map(({ port }) => ({ host: '127.0.0.1', port })),
    pids: () => running.map(({ pid }) => pid),
    can: () => true,
    stop: async () => {
      await Promise.all(running.map((server) => server.stop('SIGKILL')));
    },
    members,
    leader: () => leaderOf(plans.map(({ port }) => port)),
  };
}

function memberOf(
  port: number,
  running: ServerProcess[],
  i: number,
  start: () => ServerProcess,
): EtcdMember {
  return {
    port,
    kill: () => running[i]!.stop('SIGKILL'),
    start: async () => {
      running[i] = start();
      await untilHealthy(running[i]!, port);
    },
  };
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}

function untilHealthy(server: ServerProcess, port: number): Promise<void> {
  return server.until(async () => {
    const answer = await fetch(`${urlOf(port)}/health`, { signal: AbortSignal.timeout(1_000) });
    return ((await answer.json()) as { health?: string }).health === 'true';
  }, READY_MS_MAX);
}

/** The member whose own id is the leader's. */
async function leaderOf(ports: readonly number[]): Promise<number | null> {
  for (const [i, port] of ports.entries()) {
    const answer = await fetch(`${urlOf(port)}/v3/maintenance/status`, {
      ...{ method: 'POST', body: '{}', signal: AbortSignal.timeout(1_000) },
    }).catch(() => null);
    if (answer === null || !answer.ok) continue;
    const status = (await answer.json()) as { header?: { member_id?: string }; leader?: string };
    if (status.leader !== undefined && status.leader === status.header?.member_id) return i;
  }
  return null;
}
