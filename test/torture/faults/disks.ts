import { randomInt } from '../../../protocol/random.ts';
import { flipWalBit, tearWalTail } from '../../kit/wal-damage.ts';
import type { DiskControl } from '../disk/shim.ts';
import type { Machine } from '../machine.ts';
import { anyMachine, chosenMachine, type FaultKind } from './fault.ts';

const BASE = { needs: 'shim', leavesMajority: true, losesData: false } as const;

/** Under the shim: calls fail or take long, and what was not synced is lost. */
const SHIM_FAULTS: readonly FaultKind[] = [
  {
    ...BASE,
    name: 'fsync-eio',
    what: 'every fsync of one node fails with EIO: it ends and never acknowledges (F14)',
    lastsMs: [800, 2_000],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      machine.expectEnd();
      diskOf(machine).fsync('fails');
      return machine.id;
    },
  },
  {
    ...BASE,
    name: 'disk-filling',
    what: 'the disk of one node has no room left, but takes what Raft writes (F15)',
    lastsMs: [2_000, 4_000],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      diskOf(machine).room('filling');
      return machine.id;
    },
  },
  {
    ...BASE,
    name: 'disk-full',
    what: 'all at once the disk of one node is full, with short writes (F15)',
    lastsMs: [800, 2_500],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      machine.expectEnd();
      diskOf(machine).room('full');
      return machine.id;
    },
  },
  {
    ...BASE,
    name: 'disk-slow',
    what: 'every fsync of one node takes 140 ms longer (F18)',
    lastsMs: [2_000, 4_000],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      diskOf(machine).fsync('slow', 140);
      return machine.id;
    },
  },
  {
    ...BASE,
    name: 'power-cut',
    what: 'one machine loses power: what was not fsynced is gone (F9)',
    lastsMs: [200, 2_000],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      await machine.kill();
      return cutPower([machine]);
    },
  },
  {
    ...BASE,
    name: 'power-cut-all',
    what: 'all machines lose power at once (F9)',
    lastsMs: [0, 300],
    leavesMajority: false,
    begin: async (cluster) => {
      await Promise.all(cluster.machines.map((machine) => machine.kill()));
      return cutPower(cluster.machines);
    },
  },
  {
    ...BASE,
    name: 'clock-jump',
    what: 'the wall clock of one node jumps by an hour, back or forth (F19)',
    lastsMs: [2_000, 4_000],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      const sign = random.next() < 0.5 ? -1 : 1;
      diskOf(machine).clock(sign * 3_600_000, 1);
      return `${machine.id} ${sign > 0 ? '+' : '-'}1 h`;
    },
  },
  {
    ...BASE,
    name: 'clock-fast',
    what: 'the wall clock of one node runs twice as fast, or jumps by up to 3 s (F19)',
    lastsMs: [2_000, 4_000],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      const isFast = random.next() < 0.5;
      const offset = isFast ? 0 : randomInt(random, -3_000, 3_000);
      diskOf(machine).clock(offset, isFast ? 2 : 1);
      return `${machine.id} ${isFast ? 'x2' : `${offset} ms`}`;
    },
  },
];

/** Damage to the files of a killed node. */
const FILE_FAULTS: readonly FaultKind[] = [
  {
    ...BASE,
    needs: 'nothing',
    name: 'wal-torn',
    what: 'a node is killed, and its WAL ends in half a write (F10)',
    lastsMs: [100, 1_000],
    begin: async (cluster, random) => {
      const machine = await chosenMachine(cluster, random);
      await machine.kill();
      tearWalTail(machine.data);
      return machine.id;
    },
  },
  {
    ...BASE,
    needs: 'nothing',
    name: 'wal-flipped',
    what: 'a node is killed, and a bit of its WAL flips (F11)',
    lastsMs: [100, 1_000],
    losesData: true,
    begin: async (cluster, random) => {
      const machine = anyMachine(cluster, random);
      await machine.kill();
      return `${machine.id} ${flipWalBit(machine.data, 0.05 + 0.85 * random.next())}`;
    },
  },
  {
    ...BASE,
    needs: 'nothing',
    name: 'disk-lost',
    what: 'a node is killed and comes back with an empty disk (F13)',
    lastsMs: [100, 1_000],
    losesData: true,
    begin: async (cluster, random) => {
      const machine = anyMachine(cluster, random);
      await machine.kill();
      machine.emptyDisk();
      return machine.id;
    },
  },
];

export const DISK_FAULTS: readonly FaultKind[] = [...SHIM_FAULTS, ...FILE_FAULTS];

function diskOf(machine: Machine): DiskControl {
  if (machine.disk === null) throw new Error('there is no shim');
  return machine.disk;
}

function cutPower(machines: readonly Machine[]): string {
  const lost = machines.map((machine) => {
    const { lostBytes, lostNames } = machine.cutPower();
    return `${machine.id} (${lostBytes} bytes, ${lostNames} names lost)`;
  });
  return lost.join(' ');
}
