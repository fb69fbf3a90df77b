import { statusOf } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';
import { type Cluster, GROUPS } from './cluster.ts';
import { now } from './workload/recorder.ts';

const POLL_MS = 100;

interface ReplicaHash {
  readonly group: number;
  readonly replica: string;
  readonly appliedIndex: number;
  readonly hash: string;
}

export interface Converged {
  /**
   * When all nodes were seen at one applied index of every group, of which they told one hash later (in ms, as
   * the workload counts); null: that never was.
   */
  readonly levelAt: number | null;
  /** Why not, or what differs. */
  readonly reason: string;
  /** Two replicas of a group with one applied index and two hashes: never allowed, also not for a moment. */
  readonly divergence: string | null;
}

/**
 * Waits until all nodes are ready and have told the same state hash for the same applied index of every
 * group. The workload is silent meanwhile, or there would never be one index. Gives up after `giveUpMs`.
 */
export async function awaitConvergence(cluster: Cluster, giveUpMs: number): Promise<Converged> {
  const startedAt = performance.now();
  const seen = new HashBook(cluster.machines.length);
  let reason = 'no answer';
  while (performance.now() - startedAt < giveUpMs) {
    cluster.startMissing();
    const statuses = await look(cluster);
    reason = typeof statuses === 'string' ? statuses : '';
    if (typeof statuses !== 'string') {
      seen.abreast(statuses, now());
      const hashes = await Promise.all(cluster.machines.map(({ url }) => hashesOf(url)));
      for (const [node, replicas] of hashes.entries()) seen.note(node, replicas ?? []);
      const { divergence } = seen;
      if (divergence !== null) return { levelAt: null, reason: divergence, divergence };
      reason = seen.missing(GROUPS);
      if (reason === '') return { levelAt: seen.levelAt(), reason, divergence: null };
    }
    await sleep(POLL_MS);
  }
  return { levelAt: null, reason, divergence: null };
}

/**
 * Waits until every group's voters are one replica of each node, all of which know it: until then a
 * replaced node's former name may still count for a quorum, and no other node may lose its disk.
 */
export async function awaitRepair(cluster: Cluster, giveUpMs: number): Promise<string> {
  const deadline = performance.now() + giveUpMs;
  for (;;) {
    const seen = await Promise.all(cluster.machines.map(({ url }) => statusOf(url)));
    const open = seen.flatMap((status, i) => {
      if (status === null) return [`${cluster.machines[i]?.id} does not answer`];
      return status.groups.flatMap(({ group, local }) => {
        if (local === null) return [`${cluster.machines[i]?.id} has no replica of group ${group}`];
        const { voters, votersOld, learners } = local.config;
        const nodes = new Set(voters.map((voter) => voter.split(':')[0]));
        const isWhole = voters.length === seen.length && nodes.size === seen.length;
        if (
          isWhole &&
          votersOld === null &&
          learners.length === 0 &&
          voters.includes(local.replica)
        )
          return [];
        return [`group ${group} has voters ${voters.join(' ')}, learners ${learners.join(' ')}`];
      });
    });
    if (open.length === 0) return '';
    if (performance.now() > deadline) return open[0] as string;
    await sleep(POLL_MS * 2);
  }
}

/** Cheap: at which index all nodes are, by group; or what keeps them from being level, by their status. */
async function look(cluster: Cluster): Promise<ReadonlyMap<number, number> | string> {
  const seen = await Promise.all(cluster.machines.map(({ url }) => statusOf(url)));
  const applied = new Map<number, number>();
  for (const [i, status] of seen.entries()) {
    const { id } = cluster.machines[i] as { id: string };
    if (status === null) return `${id} does not answer`;
    if (!status.ready) return `${id} is not ready`;
    for (const { group, leader, local } of status.groups) {
      if (leader === null || local === null)
        return `${id}: group ${group} has no leader or replica`;
      const index = applied.get(group) ?? local.appliedIndex;
      if (index !== local.appliedIndex)
        return `${id}: group ${group} is at ${local.appliedIndex}, not ${index}`;
      applied.set(group, index);
    }
  }
  return applied;
}

async function hashesOf(url: string): Promise<ReplicaHash[] | null> {
  try {
    const answer = await fetch(`${url}/admin/state-hashes`, {
      signal: AbortSignal.timeout(30_000),
    });
    if (!answer.ok) return null;
    return ((await answer.json()) as { replicas: ReplicaHash[] }).replicas;
  } catch {
    return null;
  }
}

/**
 * Hashes by group and applied index. A group is level once all nodes have told one hash for one index: a
 * new leader's entry, which moves the index, does not undo what was shown. The hash reads the whole state, for
 * seconds where there is much of it; what it tells was so since the nodes had that index.
 */
export class HashBook {
  divergence: string | null = null;
  readonly #nodes: number;
  readonly #known = new Map<string, { first: ReplicaHash; nodes: Set<number> }>();
  /** When each group was level. */
  readonly #level = new Map<number, number>();
  /** When all nodes were seen at an index of a group first. */
  readonly #abreast = new Map<string, number>();

  constructor(nodes: number) {
    this.#nodes = nodes;
  }

  /** At `atMs` all nodes were at these indexes, by group. */
  abreast(indexes: ReadonlyMap<number, number>, atMs: number): void {
    for (const [group, index] of indexes) {
      const at = nameOf(group, index);
      if (!this.#abreast.has(at)) this.#abreast.set(at, atMs);
    }
  }

  note(node: number, replicas: readonly ReplicaHash[]): void {
    for (const replica of replicas) {
      const at = nameOf(replica.group, replica.appliedIndex);
      const known = this.#known.get(at) ?? { first: replica, nodes: new Set() };
      const { first, nodes } = known;
      this.#known.set(at, known);
      nodes.add(node);
      if (nodes.size === this.#nodes && !this.#level.has(replica.group)) {
        this.#level.set(replica.group, this.#abreast.get(at) ?? now());
      }
      if (first.hash === replica.hash) continue;
      this.divergence = `${at}: ${replica.replica} has ${replica.hash}, ${first.replica} ${first.hash}`;
    }
  }

  /** When the last of the groups was level, of those that are. */
  levelAt(): number {
    return Math.max(...this.#level.values());
  }

  /** The first of the groups 0 to `groups` that is not level yet; '' when all are. */
  missing(groups: number): string {
    for (let group = 0; group <= groups; group++) {
      if (!this.#level.has(group)) return `group ${group} was never at one index on all nodes`;
    }
    return '';
  }
}

function nameOf(group: number, index: number): string {
  return `group ${group} at ${index}`;
}
