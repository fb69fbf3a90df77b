import { type Command, decodeCommand } from '../../protocol/commands.ts';
import { entryPayload, type LogEntry } from '../../protocol/entry.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { ReplicaChange } from './probe.ts';
import { SimViolation } from './violation.ts';

/** One committed entry, as the first replica that committed it had it. */
export interface CommittedEntry {
  readonly entry: LogEntry;
  /** Null for no-ops and configurations. */
  readonly command: Command | null;
  /** Term of the leader that committed it. */
  readonly committedInTerm: number;
}

type CommitObserver = (group: GroupId, committed: CommittedEntry, change: ReplicaChange) => void;

/**
 * The truth of a run: for every group the sequence of committed entries, gathered by watching
 * commit indexes. It is what the models replay and what replicas are compared with.
 */
export class CommittedLogs {
  readonly #groups = new Map<GroupId, CommittedEntry[]>();
  readonly #observers: CommitObserver[] = [];

  observe(observer: CommitObserver): void {
    this.#observers.push(observer);
  }

  groups(): readonly GroupId[] {
    return [...this.#groups.keys()].sort((a, b) => a - b);
  }

  /** Entry `index` is at `index - 1`. */
  of(group: GroupId): readonly CommittedEntry[] {
    return this.#groups.get(group) ?? [];
  }

  /** Learns from a replica whose commit index moved beyond everything known. */
  note(change: ReplicaChange): void {
    let log = this.#groups.get(change.group);
    if (log === undefined) {
      log = [];
      this.#groups.set(change.group, log);
    }
    for (let index = log.length + 1; index <= change.after.commitIndex; index++) {
      const entry = change.inspection.entry(index);
      if (entry === null) {
        throw new SimViolation(
          'committed entries are in the log',
          `${change.replica} group ${change.group} committed ${index} but has no such entry ` +
            `(base ${change.after.baseIndex}, last ${change.after.lastIndex})`,
        );
      }
      const kept = { ...entry, bytes: Uint8Array.from(entry.bytes) };
      const command = entry.kind === 'command' ? decodeCommand(entryPayload(kept)) : null;
      const committed = { entry: kept, command, committedInTerm: change.after.currentTerm };
      log.push(committed);
      for (const observer of this.#observers) observer(change.group, committed, change);
    }
  }
}
