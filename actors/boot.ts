import { assert, InvariantViolation } from '../protocol/assert.ts';
import { DecodeError } from '../protocol/codec.ts';
import type { NodeConfig } from '../protocol/config.ts';
import { entryPayload } from '../protocol/entry.ts';
import { decodeConfig, type GroupConfig } from '../protocol/membership.ts';
import type { Formation } from '../protocol/messages/node.ts';
import { randomHex } from '../protocol/random.ts';
import { type GroupId, META_GROUP, type ReplicaId, replicaId } from '../protocol/types.ts';
import type { Identity, StateStore, Wal, WalDamage } from '../storage/ports.ts';
import { GroupState } from './apply/group-state.ts';
import { countUncounted } from './apply/usage-count.ts';
import type { Ports } from './kit/ports.ts';
import type { DurableRaftEvent } from './raft/events.ts';
import { EMPTY_CONFIG } from './raft/log.ts';
import { birthOf, foldEvents, recoverState } from './raft/recover.ts';
import type { RaftState } from './raft/state.ts';
import { decodeEvent, encodeEvent } from './raft/wal-codec.ts';
import { foundingReplicas } from './router/shard-map.ts';

/** One replica as recovery left it. `records` are its first, already synced or still to be written. */
export interface RecoveredReplica {
  readonly group: GroupId;
  readonly raft: RaftState;
  readonly state: GroupState;
  readonly records: readonly DurableRaftEvent[];
}

export interface RecoveredNode {
  readonly identity: Identity;
  readonly wal: Wal;
  readonly state: StateStore;
  readonly replicas: readonly RecoveredReplica[];
}

/** Acknowledged data is damaged and this node holds the only copy: the user has to decide. */
export class DamagedData extends Error {
  override readonly name = 'DamagedData';
}

/** Reads the identity, or draws one for an empty folder. */
export async function loadOrDrawIdentity(config: NodeConfig, ports: Ports): Promise<Identity> {
  const found = await ports.storage.loadIdentity().catch(async (error: unknown) => {
    await giveUpIdentity(config, ports, error);
    return null;
  });
  if (found !== null) {
    if (found.nodeId !== config.nodeId) {
      throw new Error(`the data folder belongs to node ${found.nodeId}, not to ${config.nodeId}`);
    }
    return namedIdentity(config, ports, found);
  }
  return drawIdentity(config, ports, null);
}

/** A folder belongs to one cluster; one that does not say so yet gets the name. */
async function namedIdentity(
  { cluster }: NodeConfig,
  ports: Ports,
  found: Identity,
): Promise<Identity> {
  if (found.cluster === cluster) return found;
  if (found.cluster !== undefined) {
    throw new Error(
      `the data folder belongs to cluster ${found.cluster}, not to ${cluster}: start with --cluster ` +
        `${found.cluster}, or choose another --data`,
    );
  }
  const named = { ...found, cluster };
  await ports.storage.saveIdentity(named);
  return named;
}

/**
 * Nobody can tell any more who this folder was: a member of a cluster moves everything aside and comes
 * back as somebody new. The log goes first: a new identity must not meet it.
 */
async function giveUpIdentity(config: NodeConfig, ports: Ports, error: unknown): Promise<void> {
  if ((error as { code?: unknown }).code !== 'EBADMSG') throw error;
  const reason = (error as Error).message;
  if (!config.join && config.initialMembers.length === 1) throw new DamagedData(onlyCopy(reason));
  ports.telemetry.log('error', 'the identity is damaged; returning as a new member', { reason });
  ports.telemetry.count('storage_errors', 1, { part: 'quarantine' });
  await ports.storage.quarantine(reason);
}

function onlyCopy(reason: string): string {
  return (
    `${reason}. This is the only copy and nothing has been changed: copy the data folder first, ` +
    'then restore it from a backup, or start with an empty folder'
  );
}

async function drawIdentity(
  config: NodeConfig,
  ports: Ports,
  formation: Formation | null,
): Promise<Identity> {
  const incarnation = randomHex(ports.random, 6);
  const { nodeId, cluster } = config;
  const identity: Identity = { nodeId, incarnation, formation, born: false, cluster };
  await ports.storage.saveIdentity(identity);
  return identity;
}

/**
 * Opens WAL and state of a formed node and rebuilds every replica. When acknowledged records are
 * gone, the replicas never act under their old identity again: everything is moved aside and the node
 * returns empty, with a new incarnation, to be caught up by its peers (ARCHITECTURE section 4). The
 * only copy is never given up: then this rejects with DamagedData.
 */
export async function recoverNode(
  config: NodeConfig,
  ports: Ports,
  identity: Identity,
  formation: Formation,
): Promise<RecoveredNode> {
  const events = new Map<GroupId, DurableRaftEvent[]>();
  const { wal, recovery } = await ports.storage.openWal((stream, payload) => {
    const event = decodeEvent(payload);
    const list = events.get(stream as GroupId) ?? [];
    // Whole segments are dropped: the oldest one kept may begin before the checkpoint it is kept for.
    if (list.length === 0 && event.type !== 'HardStateSaved') return;
    events.set(stream as GroupId, list);
    list.push(event);
  });
  if (recovery.tornBytes > 0) {
    ports.telemetry.log('warn', 'cut a torn tail of the WAL that was never acknowledged', {
      bytes: recovery.tornBytes,
    });
  }
  const self = replicaId(identity.nodeId, identity.incarnation);
  const giveUp = (reason: string): Promise<RecoveredNode> => {
    if (isOnlyCopy(formation, self, events)) throw new DamagedData(onlyCopy(reason));
    return returnEmpty(config, ports, formation, reason);
  };
  if (wal === null) return giveUp(describeDamage(recovery.damage));
  if (identity.born && events.size === 0) {
    await wal.close();
    return giveUp('the log is gone');
  }
  const opened = await openState(ports, self, events);
  if (typeof opened === 'string') {
    await wal.close();
    return giveUp(opened);
  }
  const state = opened;
  try {
    await countAll(ports, formation, state);
    if (events.size === 0) assertNoRows(formation, state);
    const replicas = groupsHere(formation, self, events).map((group) =>
      recoverReplica(ports, formation, self, group, events.get(group) ?? [], state),
    );
    await syncRecords(wal, replicas);
    const named = { ...identity, formation, born: replicas.length > 0 };
    if (!identity.born && named.born) await ports.storage.saveIdentity(named);
    const written = replicas.map((replica) => ({ ...replica, records: [] }));
    return { identity: named, wal, state, replicas: written };
  } catch (error) {
    await wal.close();
    await state.close();
    // A disk that fails now may work later; only data that contradicts itself is given up.
    const contradicts = error instanceof InvariantViolation || error instanceof DecodeError;
    if (!contradicts) throw error;
    return giveUp(`the replicas cannot be rebuilt: ${error}`);
  }
}

/**
 * The applied state; made again from the log when it is damaged and the log still has everything. Gives
 * what is damaged when it has not.
 */
async function openState(
  ports: Ports,
  self: ReplicaId,
  events: ReadonlyMap<GroupId, readonly DurableRaftEvent[]>,
): Promise<StateStore | string> {
  try {
    return await ports.storage.openState();
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EBADMSG') throw error;
    const reason = (error as Error).message;
    if (![...events.values()].every((list) => isWhole(self, list))) return reason;
    ports.telemetry.log('error', 'the state is damaged; it is made again from the log', { reason });
    ports.telemetry.count('storage_errors', 1, { part: 'quarantine' });
    await ports.storage.setStateAside(reason);
    return ports.storage.openState();
  }
}

/** Whether the log still begins with its first entry. */
function isWhole(self: ReplicaId, events: readonly DurableRaftEvent[]): boolean {
  try {
    return foldEvents({ self, seed: 0 }, events).log.baseIndex === 0;
  } catch (error) {
    if (error instanceof InvariantViolation) return false;
    throw error;
  }
}

/** First records of new and repaired logs: durable before any replica acts. */
async function syncRecords(wal: Wal, replicas: readonly RecoveredReplica[]): Promise<void> {
  let count = 0;
  for (const { group, records } of replicas) {
    if (records.length === 0) continue;
    count += records.length;
    wal.append(records.map((event) => ({ stream: group, payload: encodeEvent(event) })));
  }
  if (count === 0) return;
  await new Promise<void>((resolve, reject) => {
    wal.sync((error) => (error === null ? resolve() : reject(error)));
  });
}

function groupsHere(
  formation: Formation,
  self: ReplicaId,
  events: ReadonlyMap<GroupId, unknown>,
): GroupId[] {
  const groups = new Set<GroupId>(events.keys());
  for (let group = META_GROUP as number; group <= formation.groupCount; group++) {
    if (foundingReplicas(formation, group as GroupId).includes(self)) groups.add(group as GroupId);
  }
  return [...groups].sort((a, b) => a - b);
}

function recoverReplica(
  ports: Ports,
  formation: Formation,
  self: ReplicaId,
  group: GroupId,
  events: readonly DurableRaftEvent[],
  store: StateStore,
): RecoveredReplica {
  const birth: DurableRaftEvent[] = [];
  if (events.length === 0) {
    const voters = foundingReplicas(formation, group);
    birth.push(birthOf({ ...EMPTY_CONFIG, voters }));
  }
  const state = GroupState.open(store, group);
  const { state: raft, repair } = recoverState(
    { self, seed: Math.floor(ports.random.next() * 0x1_0000_0000) },
    birth.length > 0 ? birth : events,
    {
      index: state.appliedIndex,
      term: state.appliedTerm,
      config: state.config ?? EMPTY_CONFIG,
      clockBound: state.clockBound,
    },
  );
  return { group, raft, state, records: [...birth, ...repair] };
}

/** An empty replica of a group that a leader wants to have here. */
export function emptyReplica(
  ports: Ports,
  self: ReplicaId,
  group: GroupId,
  store: StateStore,
): RecoveredReplica {
  const birth = birthOf(EMPTY_CONFIG);
  const state = GroupState.open(store, group);
  const { state: raft, repair } = recoverState(
    { self, seed: Math.floor(ports.random.next() * 0x1_0000_0000) },
    [birth],
    { index: 0, term: 0, config: EMPTY_CONFIG, clockBound: 0 },
  );
  return { group, raft, state, records: [birth, ...repair] };
}

/** Rows that an older version has left uncounted (ADR 0042): once, and before anything is applied to them. */
async function countAll({ telemetry }: Ports, formation: Formation, store: StateStore) {
  for (let group = META_GROUP as number; group <= formation.groupCount; group++) {
    const rows = await countUncounted(store, group as GroupId);
    if (rows !== null) telemetry.log('info', 'counted what is stored', { group, rows });
  }
}

/** Rows without a log are left over from a life that was given up half-way. */
function assertNoRows(formation: Formation, store: StateStore): void {
  for (let group = META_GROUP as number; group <= formation.groupCount; group++) {
    const { appliedIndex } = GroupState.open(store, group as GroupId);
    assert(appliedIndex === 0, `group ${group} has rows but no log`);
  }
}

/**
 * Whether some group has no voter but this replica, as far as what can be read of the log tells; where
 * nothing can be read, as the founders began.
 */
function isOnlyCopy(
  formation: Formation,
  self: ReplicaId,
  events: ReadonlyMap<GroupId, readonly DurableRaftEvent[]>,
): boolean {
  const isAlone = ({ voters }: GroupConfig): boolean => voters.length === 1 && voters[0] === self;
  for (const list of events.values()) {
    const config = lastConfig(list);
    if (config !== null && isAlone(config)) return true;
  }
  if (events.size > 0) return false;
  return isAlone({ ...EMPTY_CONFIG, voters: foundingReplicas(formation, META_GROUP) });
}

function lastConfig(events: readonly DurableRaftEvent[]): GroupConfig | null {
  let config: GroupConfig | null = null;
  for (const event of events) {
    if (event.type === 'HardStateSaved' || event.type === 'LogCompacted') config = event.baseConfig;
    else if (event.type === 'SnapshotRestored') config = event.meta.config;
    else if (event.type !== 'EntriesAppended') continue;
    else {
      for (const entry of event.entries) {
        if (entry.kind === 'config') config = decodeConfig(entryPayload(entry));
      }
    }
  }
  return config;
}

async function returnEmpty(
  config: NodeConfig,
  ports: Ports,
  formation: Formation,
  reason: string,
): Promise<RecoveredNode> {
  ports.telemetry.log('error', 'acknowledged data is damaged; returning with a new incarnation', {
    reason,
  });
  ports.telemetry.count('storage_errors', 1, { part: 'quarantine' });
  // The new identity comes first: after a crash in between the old one must not meet an empty log.
  const identity = await drawIdentity(config, ports, formation);
  await ports.storage.quarantine(reason);
  const { wal } = await ports.storage.openWal(() => {});
  if (wal === null) throw new DamagedData('a fresh WAL cannot be opened');
  return { identity, wal, state: await ports.storage.openState(), replicas: [] };
}

function describeDamage(damage: WalDamage | null): string {
  if (damage === null) return 'the WAL cannot be opened';
  const { segment, offset, position, syncedPosition, reason } = damage;
  return (
    `WAL segment ${segment} is damaged at byte ${offset} (position ${position}, ` +
    `synced up to ${syncedPosition}): ${reason}`
  );
}
