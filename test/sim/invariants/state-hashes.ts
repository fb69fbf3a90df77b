import type { GroupId } from '../../../protocol/types.ts';
import { SimViolation } from '../violation.ts';
import type { World } from '../world.ts';

/**
 * State machine safety (Raft 5.4.3): replicas that applied equally much hold the same state.
 * Hashes cost a pass over the state, so they are taken at intervals and at the end.
 */
export class StateHashes {
  readonly #world: World;
  readonly #known = new Map<string, { readonly hash: string; readonly by: string }>();
  comparisons = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Takes the hash of every replica that is up, and compares. */
  async sample(): Promise<void> {
    const taken: Promise<void>[] = [];
    for (const { node } of this.#world.nodes) {
      for (const replica of node?.inspect() ?? []) {
        const { appliedIndex, group } = replica;
        if (appliedIndex === 0) continue;
        const by = replica.replica;
        taken.push(replica.stateHash().then((hash) => this.#note(group, appliedIndex, hash, by)));
      }
    }
    await Promise.all(taken);
  }

  #note(group: GroupId, appliedIndex: number, hash: string, by: string): void {
    const key = `${group}/${appliedIndex}`;
    const known = this.#known.get(key);
    if (known === undefined) {
      this.#known.set(key, { hash, by });
      return;
    }
    this.comparisons++;
    if (known.hash === hash) return;
    throw new SimViolation(
      'state machine safety',
      `group ${group} at applied index ${appliedIndex}: ${by} has ${hash}, ${known.by} ${known.hash}`,
    );
  }
}
