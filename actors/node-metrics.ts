import { objectBytesOf } from '../protocol/usage.ts';
import type { StateStore, Wal } from '../storage/ports.ts';
import { usageOf } from './apply/usage.ts';
import type { ClockWatch } from './clock-watch.ts';
import type { Ports } from './kit/ports.ts';
import type { Presence } from './presence.ts';
import type { Replica } from './replica/replica.ts';

/** Gauges that are read now and then, not pushed at each change. */
export function reportGauges(
  ports: Ports,
  replicas: readonly Replica[],
  wal: Wal,
  state: StateStore,
  clocks: ClockWatch,
  presence: Presence,
): void {
  const { telemetry } = ports;
  for (const replica of replicas) {
    const { group, raft } = replica;
    telemetry.gauge('raft_term', raft.currentTerm, { group });
    telemetry.gauge('raft_leader', replica.isLeader() ? 1 : 0, { group });
    telemetry.gauge('raft_commit_index', raft.commitIndex, { group });
    telemetry.gauge('raft_applied_index', replica.state.appliedIndex, { group });
    telemetry.gauge('raft_log_entries', raft.log.lastIndex - raft.log.baseIndex, { group });
    const usage = usageOf(replica.state.usage.whole);
    telemetry.gauge('keys', usage.keys, { group });
    telemetry.gauge('key_bytes', usage.keyBytes, { group });
    telemetry.gauge('objects', usage.objects, { group });
    telemetry.gauge('object_bytes', objectBytesOf(usage), { group });
  }
  telemetry.gauge('wal_bytes', wal.sizeBytes());
  telemetry.gauge('state_memtable_bytes', state.pendingBytes());
  const nowMs = ports.clock.monotonicMs();
  for (const { nodeId } of presence.list(nowMs)) {
    const offsetMs = clocks.offsetMs(nodeId, ports.clock.wallMs(), nowMs);
    if (offsetMs !== null) {
      telemetry.gauge('peer_clock_offset_seconds', offsetMs / 1000, { peer: nodeId });
    }
  }
}
