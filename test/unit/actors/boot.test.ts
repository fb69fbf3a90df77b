import { describe, expect, it } from 'vitest';
import {
  DamagedData,
  emptyReplica,
  loadOrDrawIdentity,
  recoverNode,
} from '../../../actors/boot.ts';
import type { DurableRaftEvent } from '../../../actors/raft/events.ts';
import { EMPTY_CONFIG } from '../../../actors/raft/log.ts';
import { decodeEvent, encodeEvent } from '../../../actors/raft/wal-codec.ts';
import { InvariantViolation } from '../../../protocol/assert.ts';
import type { Formation } from '../../../protocol/messages/node.ts';
import type { GroupId, NodeId, ReplicaId } from '../../../protocol/types.ts';
import { DiskError } from '../../../storage/disk/port.ts';
import type { Identity, StoragePorts, Wal, WalDamage, WalRecord } from '../../../storage/ports.ts';
import { FakePorts, nodeConfig } from '../../kit/fake-ports.ts';
import { MemoryState } from '../../kit/memory-state.ts';
import { command } from '../../kit/raft-given.ts';

const DAMAGE: WalDamage = {
  ...{ segment: '0.wal', offset: 100, position: 100, syncedPosition: 500 },
  reason: 'bad checksum',
};

/** A data folder in memory that says in which order it is used. */
class Folder {
  readonly trace: string[] = [];
  identity: Identity | null = null;
  records: WalRecord[] = [];
  damage: WalDamage | null = null;
  stateDamage: DiskError | null = null;
  tornBytes = 0;
  syncError: Error | null = null;
  state = new MemoryState();
  readonly ports = new FakePorts();

  constructor() {
    const storage: StoragePorts = {
      ...this.ports.storage,
      loadIdentity: async () => this.identity,
      saveIdentity: async (identity) => {
        this.trace.push(`save ${identity.incarnation === INCARNATION ? 'old' : 'new'} identity`);
        this.identity = identity;
      },
      openWal: async (visit) => {
        this.trace.push('open wal');
        if (this.damage !== null) {
          return { wal: null, recovery: { tornBytes: 0, damage: this.damage } };
        }
        for (const { stream, payload } of this.records) visit(stream, payload, 0);
        return { wal: this.#wal(), recovery: { tornBytes: this.tornBytes, damage: null } };
      },
      openState: async () => {
        this.trace.push('open state');
        if (this.stateDamage !== null) throw this.stateDamage;
        return this.state;
      },
      setStateAside: async () => {
        this.trace.push('set state aside');
        this.stateDamage = null;
        this.state = new MemoryState();
      },
      quarantine: async () => {
        this.trace.push('quarantine');
        this.records = [];
        this.damage = null;
        this.stateDamage = null;
        this.state = new MemoryState();
      },
    };
    this.ports.storage = storage;
  }

  #wal(): Wal {
    return {
      append: (records) => {
        this.records.push(...records);
        this.trace.push(`append ${records.map(({ stream }) => stream).join(' ')}`);
        return 0;
      },
      sync: (done) => {
        this.trace.push('sync');
        done(this.syncError);
      },
      position: () => 0,
      sizeBytes: () => 0,
      dropBefore: async () => {},
      close: async () => void this.trace.push('close wal'),
    };
  }

  recover(formation: Formation) {
    const identity = this.identity as Identity;
    return recoverNode(nodeConfig(), this.ports, identity, formation);
  }
}

const INCARNATION = '00000001';
const SINGLE: Formation = {
  ...{ clusterId: 'c', groupCount: 2 },
  members: [{ nodeId: 'n1' as NodeId, incarnation: INCARNATION }],
};
const TRIPLE: Formation = {
  ...SINGLE,
  members: ['n1', 'n2', 'n3'].map((nodeId) => ({
    nodeId: nodeId as NodeId,
    incarnation: INCARNATION,
  })),
};

/** A folder after its first start. */
async function grown(formation: Formation): Promise<Folder> {
  const folder = new Folder();
  folder.identity = { nodeId: 'n1' as NodeId, incarnation: INCARNATION, formation, born: false };
  await folder.recover(formation);
  folder.trace.length = 0;
  return folder;
}

describe('the identity', () => {
  it('is drawn once for an empty folder, and kept', async () => {
    const folder = new Folder();
    const drawn = await loadOrDrawIdentity(nodeConfig(), folder.ports);
    expect(drawn).toEqual({
      ...{ nodeId: 'n1', formation: null, born: false, cluster: nodeConfig().cluster },
      incarnation: expect.stringMatching(/^[0-9a-f]{12}$/),
    });
    expect(await loadOrDrawIdentity(nodeConfig(), folder.ports)).toBe(drawn);
    expect(folder.trace).toEqual(['save new identity']);
  });

  it('of another node is not taken', async () => {
    const folder = await grown(SINGLE);
    const config = nodeConfig({ nodeId: 'n2' as NodeId });
    await expect(loadOrDrawIdentity(config, folder.ports)).rejects.toThrow(
      'the data folder belongs to node n1, not to n2',
    );
  });
});

describe('the cluster of a folder', () => {
  it('is written down when the folder is made, or first used by a version that does so', async () => {
    const folder = await grown(SINGLE);
    const { cluster: _, ...old } = folder.identity as Identity;
    folder.identity = old;
    await loadOrDrawIdentity(nodeConfig({ cluster: 'east' }), folder.ports);
    expect(folder.identity).toEqual({ ...old, cluster: 'east' });
  });

  it('is the only one that may use it', async () => {
    const folder = new Folder();
    const drawn = await loadOrDrawIdentity(nodeConfig({ cluster: 'east' }), folder.ports);
    const other = loadOrDrawIdentity(nodeConfig({ cluster: 'west' }), folder.ports);
    await expect(other).rejects.toThrow(
      'the data folder belongs to cluster east, not to west: start with --cluster east',
    );
    expect(folder.identity).toBe(drawn);
  });
});

describe('the first start of a founder', () => {
  it('makes the births durable before it says that it was born', async () => {
    const folder = new Folder();
    folder.identity = {
      ...{ nodeId: 'n1' as NodeId, incarnation: INCARNATION, formation: TRIPLE, born: false },
    };
    const recovered = await folder.recover(TRIPLE);
    expect(folder.trace).toEqual([
      ...['open wal', 'open state', 'append 0', 'append 1', 'append 2', 'sync'],
      'save old identity',
    ]);
    expect(recovered.identity.born).toBe(true);
    expect(recovered.replicas.map(({ group, records }) => [group, records])).toEqual([
      [0, []],
      [1, []],
      [2, []],
    ]);
    for (const { raft } of recovered.replicas) {
      expect(raft.log.config.voters).toEqual(['n1:00000001', 'n2:00000001', 'n3:00000001']);
      expect(raft.role).toBe('follower');
    }
  });

  it('that was cut short begins again', async () => {
    const folder = new Folder();
    folder.identity = {
      ...{ nodeId: 'n1' as NodeId, incarnation: INCARNATION, formation: SINGLE, born: false },
    };
    folder.syncError = new DiskError('EIO', 'the disk failed');
    await expect(folder.recover(SINGLE)).rejects.toThrow('the disk failed');
    expect(folder.identity.born).toBe(false);
    folder.syncError = null;
    expect((await folder.recover(SINGLE)).identity.born).toBe(true);
  });
});

describe('a later start', () => {
  it('replays and writes nothing', async () => {
    const folder = await grown(SINGLE);
    const self = 'n1:00000001' as ReplicaId;
    for (const event of [
      { type: 'TermAdvanced' as const, term: 7 },
      { type: 'VoteCast' as const, candidateId: self },
    ]) {
      folder.records.push({ stream: 1, payload: encodeEvent(event) });
    }
    folder.tornBytes = 33;
    const { replicas } = await folder.recover(SINGLE);
    expect(folder.trace).toEqual(['open wal', 'open state']);
    expect(replicas.map(({ raft }) => [raft.currentTerm, raft.votedFor])).toEqual([
      [0, null],
      [7, self],
      [0, null],
    ]);
    expect(folder.ports.telemetry.lines.map(({ message }) => message)).toEqual([
      'cut a torn tail of the WAL that was never acknowledged',
    ]);
  });

  it('after damage returns empty: the new identity is saved before the old log is moved', async () => {
    const folder = await grown(TRIPLE);
    folder.damage = DAMAGE;
    const recovered = await folder.recover(TRIPLE);
    expect(folder.trace).toEqual([
      ...['open wal', 'save new identity', 'quarantine', 'open wal', 'open state'],
    ]);
    expect(recovered.replicas).toEqual([]);
    expect(recovered.identity).toMatchObject({ nodeId: 'n1', formation: TRIPLE, born: false });
    expect(recovered.identity.incarnation).not.toBe(INCARNATION);
    expect(folder.ports.telemetry.total('storage_errors', { part: 'quarantine' })).toBe(1);
  });

  it('with an empty log, though it was born, returns empty as well', async () => {
    const folder = await grown(TRIPLE);
    folder.records = [];
    const recovered = await folder.recover(TRIPLE);
    expect(recovered.identity.incarnation).not.toBe(INCARNATION);
    expect(folder.trace.slice(0, 4)).toEqual([
      ...['open wal', 'close wal', 'save new identity', 'quarantine'],
    ]);
  });

  it('of the only copy is refused with what is damaged, and nothing is touched', async () => {
    const folder = await grown(SINGLE);
    folder.damage = DAMAGE;
    await expect(folder.recover(SINGLE)).rejects.toThrow(
      'WAL segment 0.wal is damaged at byte 100 (position 100, synced up to 500): bad checksum. ' +
        'This is the only copy and nothing has been changed',
    );
    folder.damage = null;
    folder.records = [];
    await expect(folder.recover(SINGLE)).rejects.toThrow(DamagedData);
    expect(folder.trace).toEqual(['open wal', 'open wal', 'close wal']);
    expect(folder.identity?.incarnation).toBe(INCARNATION);
  });

  it('F12 of the engine: the state is made again from a log that has everything', async () => {
    const folder = await grown(SINGLE);
    folder.stateDamage = new DiskError('EBADMSG', 'a table is damaged');
    const recovered = await folder.recover(SINGLE);
    expect(folder.trace.slice(0, 4)).toEqual([
      ...['open wal', 'open state', 'set state aside', 'open state'],
    ]);
    expect(recovered.identity.incarnation).toBe(INCARNATION);
    expect(recovered.replicas.length).toBeGreaterThan(0);
  });

  it('F12 of the engine behind a compacted log: the only copy is refused and left as it is', async () => {
    for (const formation of [SINGLE, TRIPLE]) {
      const folder = await grown(formation);
      folder.stateDamage = new DiskError('EBADMSG', 'a table is damaged');
      const first = folder.records.map(({ stream, payload }) => {
        const event = decodeEvent(payload);
        const isBirth = event.type === 'HardStateSaved';
        const moved = isBirth ? { ...event, baseIndex: 7, baseTerm: 1 } : event;
        return { stream, payload: encodeEvent(moved) };
      });
      folder.records = first;
      if (formation === SINGLE) {
        await expect(folder.recover(SINGLE)).rejects.toThrow(
          'a table is damaged. This is the only copy',
        );
        expect(folder.trace).toEqual(['open wal', 'open state', 'close wal']);
      } else {
        const recovered = await folder.recover(TRIPLE);
        expect(recovered.identity.incarnation).not.toBe(INCARNATION);
        expect(folder.trace).toContain('quarantine');
      }
    }
  });

  it('F12 of the engine behind a log that was compacted since its birth: refused before anything is moved', async () => {
    const point = { baseConfig: EMPTY_CONFIG, clockBound: 0 };
    const meta = { snapshotId: 's', lastIncludedIndex: 7, lastIncludedTerm: 1, totalBytes: 0 };
    const later: DurableRaftEvent[] = [
      { type: 'LogCompacted', baseIndex: 7, baseTerm: 1, ...point },
      { type: 'SnapshotRestored', meta: { ...meta, config: EMPTY_CONFIG, clockBound: 0 } },
      // Nothing that this log could hold: it contradicts its birth.
      { type: 'EntriesAppended', prevLogIndex: 3, entries: [command(4, 1, 'x')] },
    ];
    for (const event of later) {
      const folder = await grown(SINGLE);
      folder.stateDamage = new DiskError('EBADMSG', 'a table is damaged');
      const { stream } = folder.records.at(-1)!;
      folder.records.push({ stream, payload: encodeEvent(event) });
      await expect(folder.recover(SINGLE)).rejects.toThrow(
        'a table is damaged. This is the only copy and nothing has been changed',
      );
      expect(folder.trace).toEqual(['open wal', 'open state', 'close wal']);
    }
  });

  it('takes a disk that fails now for a failing disk, not for lost data', async () => {
    const folder = await grown(TRIPLE);
    folder.state.get = () => {
      throw new DiskError('EIO', 'the disk failed');
    };
    await expect(folder.recover(TRIPLE)).rejects.toThrow('the disk failed');
    expect(folder.trace).toEqual(['open wal', 'open state', 'close wal']);
    expect(folder.identity?.incarnation).toBe(INCARNATION);
  });

  it('takes data that contradicts itself for lost data', async () => {
    const folder = await grown(TRIPLE);
    folder.state.get = () => {
      throw new InvariantViolation('the rows contradict each other');
    };
    const recovered = await folder.recover(TRIPLE);
    expect(recovered.replicas).toEqual([]);
    expect(recovered.identity.incarnation).not.toBe(INCARNATION);
    const single = await grown(SINGLE);
    single.state.get = folder.state.get;
    single.state.get = () => {
      throw new InvariantViolation('the rows contradict each other');
    };
    await expect(single.recover(SINGLE)).rejects.toThrow(DamagedData);
  });

  it('keeps replicas of groups that it joined later', async () => {
    const folder = await grown(TRIPLE);
    const self = 'n1:00000001' as ReplicaId;
    const joined = emptyReplica(folder.ports, self, 9 as GroupId, folder.state);
    expect([joined.raft.role, joined.records.length]).toEqual(['learner', 1]);
    for (const event of joined.records) {
      folder.records.push({ stream: 9, payload: encodeEvent(event) });
    }
    const { replicas } = await folder.recover(TRIPLE);
    expect(replicas.map(({ group, raft }) => [group, raft.role])).toEqual([
      [0, 'follower'],
      [1, 'follower'],
      [2, 'follower'],
      [9, 'learner'],
    ]);
  });
});
