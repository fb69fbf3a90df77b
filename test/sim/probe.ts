import type { ReplicaInspection } from '../../actors/node-port.ts';
import type { Role } from '../../actors/raft/events.ts';
import type { LogEntry } from '../../protocol/entry.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { GroupId, NodeId, ReplicaId } from '../../protocol/types.ts';

/** A replica's scalars after a step; the previous one is kept to see what a step changed. */
export interface ReplicaView {
  readonly role: Role;
  readonly currentTerm: number;
  readonly votedFor: ReplicaId | null;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly syncedIndex: number;
  readonly baseIndex: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly closed: number;
  readonly config: GroupConfig;
}

/** What one step did to one replica. */
export interface ReplicaChange {
  readonly node: NodeId;
  readonly group: GroupId;
  readonly replica: ReplicaId;
  /** Counts the lives of the node; a restart begins a new one. */
  readonly life: number;
  /** Null for the first look at a replica in a life. */
  readonly before: ReplicaView | null;
  readonly after: ReplicaView;
  /** Entries that are new in this replica's log (or in the probe's sight), in order. */
  readonly appended: readonly LogEntry[];
  /** Lowest index that was replaced or cut off; Infinity when none was. */
  readonly truncatedFrom: number;
  readonly inspection: ReplicaInspection;
  /** The same object for the replica's whole life and all lives after it. */
  readonly track: ReplicaTrack;
}

/** The last sight of a replica, also after its node has died. */
export interface ReplicaTrack {
  readonly node: NodeId;
  readonly group: GroupId;
  readonly replica: ReplicaId;
  life: number;
  view: ReplicaView;
  /** Terms of the entries seen in its log; index `i` is at `terms[i - termsBase - 1]`. */
  terms: number[];
  termsBase: number;
}

/** The replicas of one life of a node, and their tracks in the same order. */
interface Sight {
  readonly life: number;
  readonly inspections: ReplicaInspection[];
  readonly tracks: ReplicaTrack[];
}

/**
 * Looks at a node's replicas after each step and tells observers what changed. Costs a few
 * comparisons per replica and step; a log is walked only where it grew.
 */
export class Probe {
  readonly #tracks = new Map<string, ReplicaTrack>();
  readonly #sights = new Map<NodeId, Sight>();
  readonly #observers: ((change: ReplicaChange) => void)[] = [];

  observe(observer: (change: ReplicaChange) => void): void {
    this.#observers.push(observer);
  }

  /** All replicas ever seen, in the order of their first sight. */
  tracks(): IterableIterator<ReplicaTrack> {
    return this.#tracks.values();
  }

  track(replica: ReplicaId, group: GroupId): ReplicaTrack | undefined {
    return this.#tracks.get(`${group}/${replica}`);
  }

  /** Compares all replicas of a node with their last sight. */
  look(node: NodeId, life: number, replicas: readonly ReplicaInspection[]): void {
    let sight = this.#sights.get(node);
    if (sight === undefined || sight.life !== life) {
      sight = { life, inspections: [], tracks: [] };
      this.#sights.set(node, sight);
    }
    const { inspections, tracks } = sight;
    for (let i = 0; i < replicas.length; i++) {
      const inspection = replicas[i] as ReplicaInspection;
      const isKnown = inspections[i] === inspection;
      if (isKnown && isSame((tracks[i] as ReplicaTrack).view, inspection)) continue;
      if (!isKnown && this.#isSeen(inspection, life)) continue;
      // Its place first: an observer may throw, and is not to be asked again.
      inspections[i] = inspection;
      this.#note(node, life, inspection, (track) => {
        tracks[i] = track;
      });
    }
  }

  /** Whether another view of the replica has shown just this. */
  #isSeen(inspection: ReplicaInspection, life: number): boolean {
    const track = this.track(inspection.replica, inspection.group);
    return track !== undefined && track.life === life && isSame(track.view, inspection);
  }

  #note(
    node: NodeId,
    life: number,
    inspection: ReplicaInspection,
    keep: (track: ReplicaTrack) => void,
  ): void {
    const after = viewOf(inspection);
    const { group, replica } = inspection;
    const key = `${group}/${replica}`;
    const known = this.#tracks.get(key);
    const track = known ?? { node, group, replica, life, view: after, terms: [], termsBase: 0 };
    const sameLife = known !== undefined && track.life === life;
    if (!sameLife) {
      track.terms = [];
      track.termsBase = after.baseIndex;
    }
    const { appended, truncatedFrom } = followLog(track, inspection, after);
    const before = sameLife ? track.view : null;
    track.view = after;
    track.life = life;
    this.#tracks.set(key, track);
    keep(track);
    const change: ReplicaChange = {
      node,
      group,
      replica,
      life,
      before,
      after,
      appended,
      truncatedFrom,
      inspection,
      track,
    };
    for (const observer of this.#observers) observer(change);
  }
}

function isSame(view: ReplicaView, now: ReplicaInspection): boolean {
  return (
    view.commitIndex === now.commitIndex &&
    view.appliedIndex === now.appliedIndex &&
    view.syncedIndex === now.syncedIndex &&
    view.lastIndex === now.lastIndex &&
    view.closed === now.closed &&
    view.currentTerm === now.currentTerm &&
    view.role === now.role &&
    view.votedFor === now.votedFor &&
    view.baseIndex === now.baseIndex &&
    view.config === now.config &&
    view.lastTerm === now.lastTerm
  );
}

function viewOf(now: ReplicaInspection): ReplicaView {
  return {
    role: now.role,
    currentTerm: now.currentTerm,
    votedFor: now.votedFor,
    commitIndex: now.commitIndex,
    appliedIndex: now.appliedIndex,
    syncedIndex: now.syncedIndex,
    baseIndex: now.baseIndex,
    lastIndex: now.lastIndex,
    lastTerm: now.lastTerm,
    closed: now.closed,
    config: now.config,
  };
}

const NO_ENTRIES: LogEntry[] = [];

/** Brings the track's terms up to date, walking back from the end to the first known entry. */
function followLog(
  track: ReplicaTrack,
  now: ReplicaInspection,
  after: ReplicaView,
): { appended: LogEntry[]; truncatedFrom: number } {
  const knownLast = track.termsBase + track.terms.length;
  let truncatedFrom = after.lastIndex < knownLast ? after.lastIndex + 1 : Infinity;
  if (after.baseIndex > knownLast) {
    // A snapshot jumped over all that was known; nothing was taken back.
    track.terms = [];
    track.termsBase = after.baseIndex;
    truncatedFrom = Infinity;
  } else if (after.lastIndex < knownLast) {
    track.terms.length = Math.max(0, after.lastIndex - track.termsBase);
  }
  const lowest = Math.max(after.baseIndex, track.termsBase);
  let first = after.lastIndex + 1;
  for (let index = after.lastIndex; index > lowest; index--) {
    const term = now.termAt(index);
    const known = track.terms[index - track.termsBase - 1];
    if (term === null || known === term) break;
    if (known !== undefined) truncatedFrom = Math.min(truncatedFrom, index);
    first = index;
  }
  const appended: LogEntry[] = first > after.lastIndex ? NO_ENTRIES : [];
  for (let index = first; index <= after.lastIndex; index++) {
    const entry = now.entry(index);
    if (entry !== null) appended.push(entry);
  }
  for (const entry of appended) track.terms[entry.index - track.termsBase - 1] = entry.term;
  if (after.baseIndex - track.termsBase > 4096) {
    track.terms.splice(0, after.baseIndex - track.termsBase);
    track.termsBase = after.baseIndex;
  }
  return { appended, truncatedFrom };
}
