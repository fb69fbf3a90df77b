import { type Random, randomInt } from '../../../protocol/random.ts';
import { type Cluster, GROUPS, SIZE } from '../cluster.ts';
import type { Machine } from '../machine.ts';

/** What a run has to break things with; each is null, with the reason, where it cannot be had. */
export interface Tools {
  /** Why there are no network namespaces; null: there are. */
  readonly noNamespaces: string | null;
  /** Why there is no disk and clock shim; null: there is one. */
  readonly noShim: string | null;
}

/**
 * A kind of fault. It begins, lasts as long as was drawn, and ends with Cluster.heal, which ends every
 * fault and starts what does not run.
 */
export interface FaultKind {
  readonly name: string;
  readonly what: string;
  /** How long it lasts, ms. */
  readonly lastsMs: readonly [number, number];
  readonly needs: 'nothing' | 'namespaces' | 'shim';
  /** A majority can go on: operations must succeed while it lasts. */
  readonly leavesMajority: boolean;
  /** One node loses its data: another may only be broken when this one has been replaced. */
  readonly losesData: boolean;
  /** Returns what was done, for the report. */
  begin(cluster: Cluster, random: Random): Promise<string>;
}

/** Why a kind cannot run; null: it can. */
export function missing(kind: FaultKind, tools: Tools): string | null {
  if (kind.needs === 'namespaces') return tools.noNamespaces;
  return kind.needs === 'shim' ? tools.noShim : null;
}

export function anyMachine(cluster: Cluster, random: Random): Machine {
  return cluster.machines[randomInt(random, 0, SIZE - 1)] as Machine;
}

/** The machine that leads a group drawn at random, or any where none does. */
export async function leadingMachine(cluster: Cluster, random: Random): Promise<Machine> {
  const group = randomInt(random, 0, GROUPS);
  const other = anyMachine(cluster, random);
  return (await cluster.leaderOf(group)) ?? other;
}

/** A leader's machine more often than not: that is where faults show. */
export function chosenMachine(cluster: Cluster, random: Random): Promise<Machine> {
  const wantsLeader = random.next() < 0.6;
  return wantsLeader
    ? leadingMachine(cluster, random)
    : Promise.resolve(anyMachine(cluster, random));
}
