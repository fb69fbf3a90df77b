import { anyMachine, chosenMachine, type FaultKind, leadingMachine } from './fault.ts';

const BASE = { needs: 'nothing', leavesMajority: true, losesData: false } as const;

export const PROCESS_FAULTS: readonly FaultKind[] = [
  {
    ...BASE,
    name: 'kill',
    what: 'kill -9 of any node (F1)',
    lastsMs: [100, 2_500],
    begin: async (cluster, random) => {
      const machine = anyMachine(cluster, random);
      await machine.kill();
      return machine.id;
    },
  },
  {
    ...BASE,
    name: 'kill-leader',
    what: "kill -9 of a group's leader (F1)",
    lastsMs: [1_000, 2_500],
    begin: async (cluster, random) => {
      const machine = await leadingMachine(cluster, random);
      await machine.kill();
      return machine.id;
    },
  },
  {
    ...BASE,
    name: 'kill-all',
    what: 'kill -9 of all nodes at once (F8)',
    lastsMs: [0, 300],
    leavesMajority: false,
    begin: async (cluster) => {
      await Promise.all(cluster.machines.map((machine) => machine.kill()));
      return 'n1 n2 n3';
    },
  },
  {
    ...BASE,
    name: 'pause',
    what: 'SIGSTOP of any node, then SIGCONT (F2)',
    lastsMs: [500, 5_000],
    begin: async (cluster, random) => {
      const machine = anyMachine(cluster, random);
      machine.signal('SIGSTOP');
      return machine.id;
    },
  },
  {
    ...BASE,
    name: 'pause-leader',
    what: "SIGSTOP of a group's leader, then SIGCONT (F2)",
    lastsMs: [1_000, 3_000],
    begin: async (cluster, random) => {
      const machine = await leadingMachine(cluster, random);
      machine.signal('SIGSTOP');
      return machine.id;
    },
  },
  {
    ...BASE,
    name: 'terminate',
    what: 'SIGTERM of a node, which hands its groups over, and a restart',
    lastsMs: [100, 1_500],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      await machine.stop();
      return machine.id;
    },
  },
  {
    ...BASE,
    name: 'restart-all',
    what: 'SIGTERM of all nodes at once, and a restart',
    lastsMs: [0, 300],
    leavesMajority: false,
    begin: async (cluster) => {
      await Promise.all(cluster.machines.map((machine) => machine.stop()));
      return 'n1 n2 n3';
    },
  },
  {
    ...BASE,
    name: 'nats-kill',
    what: 'kill -9 of one nats-server (F25)',
    lastsMs: [500, 2_500],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      await machine.killNats();
      return machine.id;
    },
  },
  {
    ...BASE,
    name: 'nats-kill-all',
    what: 'kill -9 of all nats-servers (F25)',
    lastsMs: [500, 1_500],
    leavesMajority: false,
    begin: async (cluster) => {
      await Promise.all(cluster.machines.map((machine) => machine.killNats()));
      return 'all';
    },
  },
];
