import { type NodeId, nodeOf, type ReplicaId } from '../protocol/types.ts';
import type { DiskTrouble } from '../storage/ports.ts';
import type { Ports } from './kit/ports.ts';
import type { Presence } from './presence.ts';
import type { Replica } from './replica/replica.ts';

/** Between two attempts to hand over one group. */
const HAND_OVER_EVERY_MS = 1_000;
/** A node silent for longer is handed nothing. */
const LATELY_MS = 3_000;

/**
 * Looks after the node's disk: says what troubles it, and hands the lead of every group to a node
 * whose disk is well. Without such a node it goes on as it can: reads need no room.
 */
export class DiskCare {
  readonly #ports: Ports;
  readonly #presence: Presence;
  readonly #replicas: () => readonly Replica[];
  #known: DiskTrouble | null = null;
  #handOverDueMs = 0;
  #looking = false;

  constructor(ports: Ports, presence: Presence, replicas: () => readonly Replica[]) {
    this.#ports = ports;
    this.#presence = presence;
    this.#replicas = replicas;
  }

  /** Called a few times a second. A look that hangs with its disk holds back no other work. */
  tick(): void {
    this.#report();
    const nowMs = this.#ports.clock.monotonicMs();
    if (this.#known !== null && nowMs >= this.#handOverDueMs) this.#handOver(nowMs);
    if (this.#looking) return;
    this.#looking = true;
    this.#ports.storage.health.look().finally(() => {
      this.#looking = false;
    });
  }

  #report(): void {
    const { storage, telemetry } = this.#ports;
    const trouble = storage.health.trouble();
    const freeBytes = storage.health.freeBytes();
    telemetry.gauge('disk_free_bytes', freeBytes);
    if (trouble === this.#known) return;
    if (this.#known !== null) telemetry.gauge('disk_trouble', 0, { kind: this.#known });
    if (trouble !== null) {
      telemetry.gauge('disk_trouble', 1, { kind: trouble });
      telemetry.count('storage_errors', 1, { part: 'disk' });
      const level = trouble === 'slow' ? 'warn' : 'error';
      telemetry.log(level, 'the disk is in trouble', { trouble, freeBytes });
    } else {
      telemetry.log('warn', 'the disk is well again', { was: this.#known, freeBytes });
    }
    this.#known = trouble;
  }

  #handOver(nowMs: number): void {
    this.#handOverDueMs = nowMs + HAND_OVER_EVERY_MS;
    const well = new Set<NodeId>();
    for (const seen of this.#presence.list(nowMs)) {
      if (seen.disk === 'ok' && nowMs - seen.seenAtMs <= LATELY_MS) well.add(seen.nodeId);
    }
    for (const replica of this.#replicas()) {
      if (!replica.isLeader()) continue;
      const to = pickVoter(replica, well);
      if (to === null) continue;
      const { group } = replica;
      this.#ports.telemetry.log('warn', 'handing over for the disk', { group, to });
      replica.command({ type: 'TransferLeader', to });
    }
  }
}

/** The first voter in good health after this one, so that the groups of a node spread. */
function pickVoter(replica: Replica, well: ReadonlySet<NodeId>): ReplicaId | null {
  const voters = [...replica.raft.log.config.voters].sort();
  const own = voters.indexOf(replica.self);
  const after = [...voters.slice(own + 1), ...voters.slice(0, Math.max(0, own))];
  const found = after.filter((voter) => well.has(nodeOf(voter)));
  return found[replica.group % Math.max(1, found.length)] ?? null;
}
