import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

/**
 * Which machines lost or damaged what they had stored and are not yet whole again. At most a
 * minority may be in here: with more, data that was acknowledged is really gone (the fault atlas).
 */
export class DamageBook {
  readonly #world: World;
  /** By node index: the replica ids it had before, which must be out of all configurations. */
  readonly #damaged = new Map<number, { readonly lifeNumber: number }>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Nodes that are not whole. */
  get nodes(): readonly number[] {
    this.#forgetRepaired();
    return [...this.#damaged.keys()];
  }

  /** Whether one more machine may lose its data now. */
  mayDamage(node: SimNode): boolean {
    this.#forgetRepaired();
    if (this.#damaged.size > 0 || this.#damaged.has(node.index)) return false;
    return this.#world.nodeCount >= 3 && this.#isClusterWhole() && this.#isSaidToBeWhole();
  }

  note(node: SimNode): void {
    this.#damaged.set(node.index, { lifeNumber: node.lifeNumber });
  }

  /** A node is whole when every group it is in counts its present replica and that has caught up. */
  #forgetRepaired(): void {
    for (const [index, { lifeNumber }] of this.#damaged) {
      const node = this.#world.nodes[index] as SimNode;
      if (node.node === null || node.lifeNumber <= lifeNumber) continue;
      if (this.#isWhole(node)) this.#damaged.delete(index);
    }
  }

  #isWhole(node: SimNode): boolean {
    const replica = node.node?.replicaId;
    if (replica === undefined) return false;
    for (const group of this.#world.groups()) {
      const leader = this.#leaderView(group);
      if (leader === null) return false;
      const isOldMember = leader.config.voters.some(
        (v) => v !== replica && v.startsWith(`${node.id}:`),
      );
      if (isOldMember || leader.config.votersOld !== null) return false;
      if (!leader.config.voters.includes(replica)) continue;
      const track = this.#world.probe.track(replica, group);
      if (track === undefined || track.view.commitIndex < leader.commitIndex - 50) return false;
    }
    return true;
  }

  /** What an operator waits for before another disk may go: the nodes themselves say it of all objects. */
  #isSaidToBeWhole(): boolean {
    if (this.#world.config.chunkClientCount === 0) return true;
    const running = this.#world.nodes.flatMap(({ node }) => node ?? []);
    return running.every(({ service }) => service.status().copies === 'whole');
  }

  /** Every voter of every group is the present replica of its node. */
  #isClusterWhole(): boolean {
    const present = new Set(this.#world.nodes.map((node) => node.node?.replicaId));
    return this.#world.groups().every((group) => {
      const leader = this.#leaderView(group);
      if (leader === null || leader.config.votersOld !== null) return false;
      return leader.config.voters.every((voter) => present.has(voter));
    });
  }

  #leaderView(group: number) {
    let best: { term: number; view: import('./probe.ts').ReplicaView } | null = null;
    for (const track of this.#world.probe.tracks()) {
      if (track.group !== group || track.view.role !== 'leader') continue;
      if (best === null || track.view.currentTerm > best.term) {
        best = { term: track.view.currentTerm, view: track.view };
      }
    }
    return best?.view ?? null;
  }
}
