import type { Random } from '../../../protocol/random.ts';
import { type Cluster, SIZE } from '../cluster.ts';
import type { Machine } from '../machine.ts';
import { HEALTHY, type LinkState } from '../network/link.ts';
import type { NamespaceHosts } from '../network/namespaces.ts';
import { chosenMachine, type FaultKind } from './fault.ts';

const BASE = { leavesMajority: true, losesData: false } as const;
const PACKETS = { ...BASE, needs: 'namespaces' } as const;
const MESSAGES = { ...BASE, needs: 'nothing' } as const;

/** Between hosts, in the kernel. What is dropped there, TCP sends again, late. */
const PACKET_FAULTS: readonly FaultKind[] = [
  {
    ...PACKETS,
    name: 'cut',
    what: 'one host is cut off from the others, both ways (F3)',
    lastsMs: [1_500, 4_000],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      const at = machine.options.index;
      for (const other of othersThan(at)) cutBoth(hostsOf(cluster), at, other);
      return machine.id;
    },
  },
  {
    ...PACKETS,
    name: 'cut-partial',
    what: 'two hosts do not reach each other, the third reaches both (F4)',
    lastsMs: [1_500, 4_000],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      const at = machine.options.index;
      const other = drawn(othersThan(at), random);
      cutBoth(hostsOf(cluster), at, other);
      return `${machine.id} n${other + 1}`;
    },
  },
  {
    ...PACKETS,
    name: 'cut-one-way',
    what: 'one host hears nothing from the others, or they nothing from it (F5)',
    lastsMs: [1_500, 4_000],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      const at = machine.options.index;
      const isDeaf = random.next() < 0.5;
      for (const other of othersThan(at)) {
        if (isDeaf) hostsOf(cluster).cut(other, at);
        else hostsOf(cluster).cut(at, other);
      }
      return `${machine.id} ${isDeaf ? 'deaf' : 'mute'}`;
    },
  },
  {
    ...PACKETS,
    name: 'packet-loss',
    what: '30 % of all packets between the hosts are lost (F7)',
    lastsMs: [2_000, 4_000],
    begin: async (cluster) => {
      for (let at = 0; at < SIZE; at++) {
        for (const other of othersThan(at)) hostsOf(cluster).lose(at, other);
      }
      return 'all';
    },
  },
];

/** Between a node and its nats-server, message by message: what is lost there is lost. */
const MESSAGE_FAULTS: readonly FaultKind[] = [
  linkFault(
    'link-stall',
    'one node and its nats-server do not reach each other (F3)',
    (random) => ({
      stalled: drawn(['up', 'down', 'both'] as const, random),
    }),
  ),
  linkFault('message-loss', '30 % of the messages from and to one node are lost (F7)', () => ({
    loss: 0.3,
  })),
  everyLink('message-repeat', '30 % of all messages come twice, up to 60 ms apart (F7)', () => ({
    repeat: 0.3,
    delayMs: [0, 60],
  })),
  everyLink('message-delay', 'every message takes 20 to 80 ms, so they overtake (F7)', () => ({
    delayMs: [10, 40],
  })),
  {
    ...MESSAGES,
    name: 'link-reset',
    what: "a node's connections to its nats-server are reset, again and again (F25)",
    lastsMs: [1_000, 2_500],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      for (let n = 0; n < 4; n++) {
        await machine.link.reset();
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      return machine.id;
    },
  },
];

export const NETWORK_FAULTS: readonly FaultKind[] = [...PACKET_FAULTS, ...MESSAGE_FAULTS];

type Draw = (random: Random) => Partial<LinkState>;

function linkFault(name: string, what: string, draw: Draw): FaultKind {
  return {
    ...MESSAGES,
    ...{ name, what, lastsMs: [1_500, 4_000] },
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      const state = draw(random);
      await machine.link.set({ ...HEALTHY, ...state });
      return `${machine.id} ${JSON.stringify(state)}`;
    },
  };
}

function everyLink(name: string, what: string, draw: Draw): FaultKind {
  return {
    ...MESSAGES,
    ...{ name, what, lastsMs: [2_000, 4_000] },
    begin: async (cluster, random) => {
      const state = draw(random);
      const set = (machine: Machine) => machine.link.set({ ...HEALTHY, ...state });
      await Promise.all(cluster.machines.map(set));
      return `all ${JSON.stringify(state)}`;
    },
  };
}

function hostsOf(cluster: Cluster): NamespaceHosts {
  if (cluster.hosts === null) throw new Error('there are no namespaces');
  return cluster.hosts;
}

function othersThan(index: number): number[] {
  return [0, 1, 2].filter((other) => other !== index);
}

function cutBoth(hosts: NamespaceHosts, a: number, b: number): void {
  hosts.cut(a, b);
  hosts.cut(b, a);
}

function drawn<T>(choices: readonly T[], random: Random): T {
  return choices[Math.floor(random.next() * choices.length)] as T;
}
