import type { RestoreCounts } from '../../protocol/chunk-care.ts';
import type { ChunksHeld } from '../../protocol/messages/node.ts';
import { type GroupId, META_GROUP } from '../../protocol/types.ts';
import type { GroupState } from '../apply/group-state.ts';
import type { Ports } from '../kit/ports.ts';
import { Chore } from './chore.ts';
import { type KeptGroup, type RestoreHost, restore } from './restore.ts';

/** A replica that has everything looks again this often. */
const FULL_EVERY_MS = 10 * 60_000;
/** After a round in which something could not be had. */
const AGAIN_MS = 10_000;
/** How soon it is seen that the configuration has changed, or the rows were replaced. */
const LOOK_MS = 1_000;
const START_MS = 1_000;
/** Lost chunks that one round tells of by name. */
const TOLD_MAX = 20;

export interface HoldingsHost {
  readonly ports: Pick<Ports, 'clock' | 'telemetry'>;
  /** Groups with a replica here. */
  groups(): readonly KeptGroup[];
  /** With names for whoever reads the log. */
  restoring(onLost: RestoreHost['onLost']): RestoreHost;
  onTrouble(error: unknown): void;
}

interface Holding {
  readonly chore: Chore;
  /** The rows that were gone through, and the last index applied to them when that began. */
  held: { readonly state: GroupState; readonly to: number } | null;
  counts: RestoreCounts;
  /** A round before this (monotonic) is too early. */
  nextMs: number;
}

/**
 * What each replica here can say of its chunks (ADR 0039). `heldTo` X: every chunk of data that an entry at or before X named,
 * and that still has a name, is on this disk, sealed. How it is known: X is what was applied when a round over all rows
 * began, and the round found or brought every chunk.
 *
 *   H1  It is said of the rows in use: a snapshot that replaces them voids it.
 *   H2  It is begun anew when the configuration has changed: only what is said at or above that one's index shows that
 *       what was named before it is here; what is named after it has a quorum of it (O7 in docs/protocol/objects.md).
 *   H3  A chunk that turns out damaged, and cannot be brought, voids all that was said.
 */
export class Holdings {
  readonly #host: HoldingsHost;
  readonly #holdings = new Map<GroupId, Holding>();
  #doubts = 0;
  #stopped = false;

  constructor(host: HoldingsHost) {
    this.#host = host;
  }

  /** Called about once a second. */
  tick(): void {
    const nowMs = this.#host.ports.clock.monotonicMs();
    for (const kept of this.#host.groups()) {
      if (kept.group === META_GROUP || !kept.isMember) continue;
      this.#of(kept.group).chore.tick(nowMs);
      this.#report(kept);
    }
  }

  /** What every replica here says now. */
  said(): ChunksHeld[] {
    return this.#host.groups().flatMap((kept) => (kept.isMember ? [this.#said(kept)] : []));
  }

  /** H3. */
  doubt(): void {
    this.#doubts++;
    for (const holding of this.#holdings.values()) {
      holding.held = null;
      holding.nextMs = 0;
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const { chore } of this.#holdings.values()) chore.stop();
  }

  #of(group: GroupId): Holding {
    const known = this.#holdings.get(group);
    if (known !== undefined) return known;
    const { ports, onTrouble } = this.#host;
    const host = { clock: ports.clock, onTrouble };
    const chore = new Chore(host, () => this.#look(group), START_MS);
    const made: Holding = { chore, held: null, counts: nothingRestored(), nextMs: 0 };
    this.#holdings.set(group, made);
    return made;
  }

  async #look(group: GroupId): Promise<number> {
    const holding = this.#of(group);
    const kept = this.#kept(group);
    if (kept === null || this.#stopped) return LOOK_MS;
    const nowMs = this.#host.ports.clock.monotonicMs();
    const isStale = holding.held !== null && heldTo(kept, holding) === null;
    const isDue = isStale || nowMs >= holding.nextMs;
    // Before the rows have the configuration a round would have to be done again.
    if (isDue && kept.state.appliedIndex >= kept.configIndex) await this.#round(kept, holding);
    return LOOK_MS;
  }

  async #round(kept: KeptGroup, holding: Holding): Promise<void> {
    const { ports, restoring } = this.#host;
    const { group, state } = kept;
    const to = state.appliedIndex;
    const doubts = this.#doubts;
    const counts = nothingRestored();
    if (heldTo(kept, holding) === null) holding.counts = counts;
    let told = 0;
    const host = restoring((data, number) => {
      if (told++ >= TOLD_MAX) return;
      const { id, triple } = data;
      const [tenant, bucket, key] = triple.split('\0');
      const names = { group, tenant, bucket, key, data: id, chunk: number };
      ports.telemetry.log('error', 'no node has this chunk of an object', names);
    });
    await restore(host, kept, { sinceMs: null, mends: true }, counts);
    if (this.#stopped) return;
    const isWhole = counts.missing === counts.mended;
    const isSame = this.#kept(group)?.state === state && this.#doubts === doubts;
    holding.counts = counts;
    holding.held = isWhole && isSame ? { state, to } : null;
    const waitMs = isWhole ? (isSame ? FULL_EVERY_MS : 0) : AGAIN_MS;
    holding.nextMs = ports.clock.monotonicMs() + waitMs;
    if (counts.missing === 0) return;
    const level = isWhole ? 'info' : 'warn';
    ports.telemetry.log(level, 'chunks that were missing here', { group, ...counts });
  }

  #kept(group: GroupId): KeptGroup | null {
    const kept = this.#host.groups().find((one) => one.group === group);
    return kept?.isMember === true ? kept : null;
  }

  #said(kept: KeptGroup): ChunksHeld {
    const { group, state, configIndex, voters, isJoint, isVoter } = kept;
    const place = { group, configIndex, voters, isJoint, isVoter };
    // It names no data.
    if (group === META_GROUP) return { ...place, heldTo: state.appliedIndex, ...NO_CHUNKS };
    const holding = this.#holdings.get(group);
    if (holding === undefined) return { ...place, heldTo: null, ...NO_CHUNKS };
    const { chunks, missing, mended, lost } = holding.counts;
    const counts = { chunks, missing: missing - mended, lost };
    return { ...place, heldTo: heldTo(kept, holding), ...counts };
  }

  #report(kept: KeptGroup): void {
    const { group, isVoter, configIndex } = kept;
    const { telemetry } = this.#host.ports;
    const { heldTo, missing, lost } = this.#said(kept);
    if (!isVoter) return;
    telemetry.gauge('blob_chunks_missing', missing, { group });
    telemetry.gauge('blob_chunks_lost', lost, { group });
    const isWhole = heldTo !== null && heldTo >= configIndex;
    telemetry.gauge('blob_group_whole', isWhole ? 1 : 0, { group });
  }
}

const NO_CHUNKS = { chunks: 0, missing: 0, lost: 0 };

/** H1, H2. */
function heldTo({ state, configIndex }: KeptGroup, { held }: Holding): number | null {
  return held !== null && held.state === state && held.to >= configIndex ? held.to : null;
}

function nothingRestored(): RestoreCounts {
  return { chunks: 0, missing: 0, mended: 0, lost: 0 };
}
