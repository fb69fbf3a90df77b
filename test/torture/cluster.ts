import { join } from 'node:path';
import { isReady, statusOf } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';
import { Machine, type MachineOptions } from './machine.ts';
import type { NamespaceHosts } from './network/namespaces.ts';

export interface ClusterOptions {
  readonly folder: string;
  readonly logs: string;
  readonly main: string;
  readonly shim: string | null;
  readonly seed: number;
  readonly retentionSeconds: number;
  /** Network namespaces, one host each; null: all on loopback. */
  readonly hosts: NamespaceHosts | null;
  /** First port of those that machines on loopback use. */
  readonly basePort: number;
}

export const SIZE = 3;
/** Beside the meta group, 0. Few: three nodes, their nats-servers and the clients may share two cores. */
export const GROUPS = 3;
const READY_MS = 60_000;

/** Three machines. What a fault breaks is reached through them and through `hosts`. */
export class Cluster {
  readonly machines: readonly Machine[];
  readonly hosts: NamespaceHosts | null;

  constructor(options: ClusterOptions) {
    const { hosts, basePort } = options;
    this.hosts = hosts;
    const portsOf = (index: number): MachineOptions['ports'] => {
      const base = hosts === null ? basePort + index * 10 : basePort;
      return { http: base, nats: base + 4, routes: base + 5, link: base + 6 };
    };
    const addressOf = (index: number) => hosts?.address(index) ?? '127.0.0.1';
    const indexes = Array.from({ length: SIZE }, (_, index) => index);
    const routes = indexes.map((i) => `nats-route://${addressOf(i)}:${portsOf(i).routes}`);
    this.machines = indexes.map(
      (index) =>
        new Machine({
          ...{ index, routes, address: addressOf(index), ports: portsOf(index) },
          ...{ folder: join(options.folder, 'machines'), logs: options.logs },
          ...{ main: options.main, shim: options.shim, seed: options.seed + index },
          members: indexes.map((i) => `n${i + 1}`),
          ...{ groups: GROUPS, retentionSeconds: options.retentionSeconds },
          on: (command) => hosts?.on(index, command) ?? [...command],
        }),
    );
  }

  async open(): Promise<void> {
    await Promise.all(this.machines.map((machine) => machine.open()));
    await this.ready();
  }

  /** Waits until every node says that it can serve. */
  async ready(timeoutMs = READY_MS): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (const machine of this.machines) {
      while (!(await isReady(machine.url))) {
        if (performance.now() > deadline)
          throw new Error(`${machine.id} is not ready; see its log`);
        await sleep(50);
      }
    }
  }

  /** The machine whose node leads the group, as any of them says; null when none does. */
  async leaderOf(group: number): Promise<Machine | null> {
    for (const machine of this.machines) {
      const status = await statusOf(machine.url);
      const leader = status?.groups.find((candidate) => candidate.group === group)?.leader;
      const found = this.machines.find(({ id }) => id === leader);
      if (found !== undefined) return found;
    }
    return null;
  }

  /** Ends every fault and starts what does not run. */
  async heal(): Promise<void> {
    this.hosts?.heal();
    for (const machine of this.machines) await machine.heal();
    this.startMissing();
  }

  /** Starts the nodes whose processes have ended. */
  startMissing(): void {
    for (const machine of this.machines) if (machine.pid === null) machine.startNode();
  }

  async close(): Promise<void> {
    await Promise.all(this.machines.map((machine) => machine.close()));
  }
}
