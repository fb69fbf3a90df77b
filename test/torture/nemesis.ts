import { type Random, randomInt, seededRandom } from '../../protocol/random.ts';
import { sleep } from '../kit/wait.ts';
import type { Cluster } from './cluster.ts';
import { awaitConvergence, awaitRepair } from './convergence.ts';
import { DISK_FAULTS } from './faults/disks.ts';
import type { FaultKind } from './faults/fault.ts';
import { NETWORK_FAULTS } from './faults/network.ts';
import { PROCESS_FAULTS } from './faults/processes.ts';
import type { FaultSeen } from './history-file.ts';
import type { Workload } from './workload/port.ts';
import { now } from './workload/recorder.ts';

export const FAULT_KINDS: readonly FaultKind[] = [
  ...PROCESS_FAULTS,
  ...NETWORK_FAULTS,
  ...DISK_FAULTS,
];

/** Operations that succeed before each fault begins, and again after it has ended. */
const CALM = 300;
const RECOVERED = 30;

export interface Planned {
  readonly number: number;
  readonly kind: FaultKind;
  readonly lastsMs: number;
  /** For what is drawn when it happens. */
  readonly random: Random;
}

/** Round after round of all kinds, each round in an order of its own; the same for the same seed. */
export function* schedule(seed: number, kinds: readonly FaultKind[]): Generator<Planned> {
  const order = seededRandom(seed, 'order of faults');
  for (let number = 1; ; ) {
    const round = [...kinds];
    while (round.length > 0) {
      const [kind] = round.splice(randomInt(order, 0, round.length - 1), 1) as [FaultKind];
      const random = seededRandom(seed, `fault ${number}`);
      const lastsMs = randomInt(random, ...kind.lastsMs);
      yield { number: number++, kind, lastsMs, random };
    }
  }
}

export interface NemesisEvents {
  say(line: string): void;
  fault(fault: FaultSeen): void;
  flaw(what: string): void;
}

/**
 * One fault from the calm before it to the calm after it. False when the run cannot go on: after
 * `giveUpMs` the nodes are not level.
 */
export async function happen(
  { number, kind, lastsMs, random }: Planned,
  cluster: Cluster,
  workload: Workload,
  giveUpMs: number,
  events: NemesisEvents,
): Promise<boolean> {
  if (!(await workload.succeeds(CALM, giveUpMs))) {
    events.flaw(`nothing succeeds before fault ${number}, ${kind.name}`);
    return false;
  }
  for (const machine of cluster.machines) machine.expectLife();
  const start = now();
  const what = await kind.begin(cluster, random);
  for (const machine of cluster.machines) machine.note(`fault ${number}: ${kind.name} ${what}`);
  await sleep(lastsMs);
  noteOwnExits(cluster, kind, number, events);
  await cluster.heal();
  const end = now();
  const recovers = await workload.succeeds(RECOVERED, giveUpMs);
  if (!recovers) events.flaw(`nothing succeeds after fault ${number}, ${kind.name} ${what}`);
  await workload.tell('pause');
  const silenced = now();
  const { levelAt: converged, reason, divergence } = await awaitConvergence(cluster, giveUpMs);
  if (divergence !== null) events.flaw(`replicas differ: ${divergence}`);
  const open = converged === null ? { open: reason } : {};
  events.fault({ number, kind: kind.name, what, start, end, silenced, converged, ...open });
  const lasted = ((end - start) / 1000).toFixed(1);
  const took = converged === null ? 'never' : `${((converged - end) / 1000).toFixed(1)} s`;
  const why = converged === null ? `: ${reason}` : '';
  events.say(`${number} ${kind.name} ${what}: ${lasted} s, level after ${took}${why}`);
  if (converged === null) return false;
  noteOwnExits(cluster, kind, number, events);
  const left = kind.losesData ? await awaitRepair(cluster, giveUpMs) : '';
  await workload.tell('resume');
  if (left !== '') events.flaw(`not repaired after fault ${number}, ${kind.name} ${what}: ${left}`);
  return left === '';
}

/** A node that ends without being killed has broken a promise, whatever it says in its log. */
function noteOwnExits(
  cluster: Cluster,
  kind: FaultKind,
  number: number,
  events: NemesisEvents,
): void {
  for (const machine of cluster.machines) {
    if (machine.ownExits === 0) continue;
    machine.ownExits = 0;
    events.flaw(`${machine.id} ended by itself in fault ${number}, ${kind.name}; see its log`);
  }
}
