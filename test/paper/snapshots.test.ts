import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../protocol/limits.ts';
import type { RaftMessageOf, SnapshotMeta } from '../../protocol/messages/raft.ts';
import {
  ABC,
  append,
  command,
  config,
  type Given,
  given,
  preVote,
  refusedAppend,
  snapshotMeta,
} from '../kit/raft-given.ts';

const META = snapshotMeta('s1', 5, 2, config('a b c', null, 'd'));

function chunk(meta: SnapshotMeta, offset: number, bytes: number, nonce = offset + 1) {
  const data = new Uint8Array(bytes);
  const message: RaftMessageOf<'InstallSnapshot'> = {
    type: 'InstallSnapshot',
    term: 3,
    meta,
    offset,
    data,
    nonce,
  };
  return message;
}

const stored = (snapshotId: string, nextOffset: number) =>
  ({ type: 'ChunkStored', snapshotId, nextOffset }) as const;

/** Its snapshot is complete and being loaded. */
function installing(raft = given({ log: [1] })): Given {
  return raft.receives('b', chunk(META, 0, 100)).when(stored('s1', 100));
}

describe('the follower', () => {
  test('stores chunks in order and asks for the next byte (§7)', () => {
    const raft = given({ log: [1] }).receives('b', chunk(META, 0, 60));
    expect(raft.requests).toMatchObject([{ type: 'storeChunk', offset: 0 }]);
    expect(raft.sent).toEqual([]);
    raft.when(stored('s1', 60));
    expect(raft.reply('InstallSnapshotReply')).toMatchObject({ nextOffset: 60, installed: false });
    raft.receives('b', chunk(META, 60, 40)).when(stored('s1', 100));
    expect(raft.requests).toMatchObject([{ type: 'installSnapshot' }]);
  });

  test('a chunk it does not want is answered with the one it does (§7)', () => {
    const raft = given({ log: [1] }).receives('b', chunk(META, 60, 40, 77));
    expect(raft.requests).toEqual([]);
    expect(raft.reply('InstallSnapshotReply')).toMatchObject({ nextOffset: 0, nonce: 77 });
  });

  test('what an earlier transfer left is not sent again (§7)', () => {
    const raft = given({ log: [1] })
      .receives('b', chunk(META, 0, 10))
      .when(stored('s1', 90));
    expect(raft.reply('InstallSnapshotReply').nextOffset).toBe(90);
  });

  test('a repeated chunk is stored once, and the last attempt is answered (§7)', () => {
    const raft = given({ log: [1] }).receives('b', chunk(META, 0, 60, 5));
    raft.receives('b', chunk(META, 0, 60, 6));
    expect([raft.requests, raft.sent]).toEqual([[], []]);
    raft.when(stored('s1', 60));
    expect(raft.reply('InstallSnapshotReply').nonce).toBe(6);
  });

  test('installed, it replaces the log, its configuration and its commit index (§7)', () => {
    const raft = installing().when({ type: 'SnapshotInstalled', meta: META });
    expect(raft.durable).toEqual([{ type: 'SnapshotRestored', meta: META }]);
    const { log, commitIndex, appliedIndex } = raft.state;
    expect([log.baseIndex, log.lastIndex, log.lastTerm]).toEqual([5, 5, 2]);
    expect([commitIndex, appliedIndex]).toEqual([5, 5]);
    expect(log.config).toEqual(META.config);
    expect(raft.reply('InstallSnapshotReply')).toMatchObject({ installed: true });
    raft.receives('b', append(3, 5, 2, [command(6, 3)]));
    expect(raft.reply('AppendEntriesReply')).toMatchObject({ success: true, matchIndex: 6 });
  });

  test('a suffix that matches the snapshot is kept (§7, rule 6)', () => {
    const raft = installing(given({ log: [1, 1] }));
    raft.state.log.replaceAfter(
      2,
      [3, 4, 5, 6].map((index) => command(index, 2)),
    );
    raft.when({ type: 'SnapshotInstalled', meta: META });
    expect(raft.terms()).toEqual([2]);
  });

  test('a snapshot whose last entry it has needs no transfer (§7)', () => {
    const raft = given({ log: [1, 1, 2, 2, 2, 2] }).receives('b', chunk(META, 0, 60));
    expect(raft.requests).toEqual([]);
    expect(raft.reply('InstallSnapshotReply')).toMatchObject({ installed: true });
    expect(raft.state).toMatchObject({ commitIndex: 5 });
    expect(raft.terms()).toEqual([1, 1, 2, 2, 2, 2]);
  });

  test('one of committed entries needs no transfer either (§7)', () => {
    const raft = given({ log: [1, 1, 2, 2, 2], commitIndex: 5 });
    raft.receives('b', chunk(snapshotMeta('s0', 3, 2, ABC), 0, 60));
    expect(raft.reply('InstallSnapshotReply').installed).toBe(true);
    expect(raft.durable).toEqual([{ type: 'TermAdvanced', term: 3 }]);
  });

  test('B12 a second snapshot replaces one that is still coming in (§7)', () => {
    const raft = given({ log: [1] })
      .receives('b', chunk(META, 0, 60))
      .when(stored('s1', 60));
    const next = snapshotMeta('s2', 9, 2, ABC);
    raft.receives('b', chunk(next, 0, 60));
    expect(raft.requests).toMatchObject([{ type: 'storeChunk', meta: { snapshotId: 's2' } }]);
    raft.when(stored('s1', 100));
    expect([raft.requests, raft.sent]).toEqual([[], []]);
  });

  test('B12 a second snapshot waits while the first is being loaded (§7)', () => {
    const raft = installing();
    raft.receives('b', chunk(snapshotMeta('s2', 9, 2, ABC), 0, 60));
    expect([raft.requests, raft.sent, raft.state.commitIndex]).toEqual([[], [], 0]);
    raft.when({ type: 'SnapshotInstalled', meta: META });
    raft.receives('b', chunk(snapshotMeta('s2', 9, 2, ABC), 0, 100)).when(stored('s2', 100));
    raft.when({ type: 'SnapshotInstalled', meta: snapshotMeta('s2', 9, 2, ABC) });
    expect(raft.state).toMatchObject({ commitIndex: 9, appliedIndex: 9 });
  });

  test('B12 entries that come while it loads change nothing, and keep the leader (§7)', () => {
    const raft = installing();
    raft.receives('b', append(3, 1, 1, [command(2, 3)], 2));
    expect(raft.durable).toEqual([]);
    expect(raft.state.commitIndex).toBe(0);
    expect(raft.reply('AppendEntriesReply')).toMatchObject({ success: true, matchIndex: 0 });
    raft.after(99_999).tick();
    expect(raft.state.role).not.toBe('preCandidate');
    raft.receives('b', preVote(9, 9, 9));
    expect(raft.sentOf('PreVoteReply').length).toBe(1);
  });

  test('B11 one that fails is given up, and wanted again from the start (§7)', () => {
    const raft = installing().when({ type: 'SnapshotFailed', snapshotId: 's1' });
    expect(raft.state.receiving).toBeNull();
    raft.receives('b', chunk(META, 60, 40));
    expect(raft.reply('InstallSnapshotReply').nextOffset).toBe(0);
  });

  test('B12 one that stands for election gives up what it was receiving (§7)', () => {
    const raft = given({ log: [1] })
      .receives('b', chunk(META, 0, 60))
      .after(99_999)
      .timesOut();
    expect([raft.state.role, raft.state.receiving]).toEqual(['preCandidate', null]);
    raft.when(stored('s1', 100));
    expect([raft.requests, raft.sent]).toEqual([[], []]);
  });

  test('I40 an old term gets the newer one, a malformed chunk nothing (§7)', () => {
    const raft = given({ term: 9, log: [1] }).receives('b', chunk(META, 0, 60));
    expect(raft.reply('InstallSnapshotReply')).toMatchObject({ term: 9, installed: false });
    const other = given({ log: [1] });
    other.receives('b', chunk(META, 90, 20));
    other.receives('b', chunk(META, 0, 0));
    other.receives('b', chunk(snapshotMeta('s1', 5, 9, ABC), 0, 10));
    expect(other.requests).toEqual([]);
  });
});

describe('the leader', () => {
  const reply = (raft: Given, nextOffset: number, installed = false) =>
    ({
      type: 'InstallSnapshotReply',
      term: raft.state.currentTerm,
      snapshotId: 's1',
      nextOffset,
      installed,
      nonce: raft.peer('c').sending?.nonce ?? 0,
    }) as const;

  /** The leader's log begins after 3, and c has nothing. */
  function compacted(): Given {
    const raft = given({ log: [1, 1, 1] }).leads('b');
    raft.when({ type: 'Applied', appliedIndex: 4, flushedIndex: 4 });
    raft.out.emit({
      type: 'LogCompacted',
      baseIndex: 3,
      baseTerm: 1,
      baseConfig: ABC,
      clockBound: 0,
    });
    const nonce = raft.state.leader!.reads.nonce;
    return raft.receives('c', refusedAppend(2, 3, 0, 1, nonce));
  }

  const meta = snapshotMeta('s1', 4, 2, ABC);

  test('asks for one snapshot when an entry has left the log (§7)', () => {
    const raft = compacted();
    expect(raft.requests).toEqual([{ type: 'requestSnapshot' }]);
    expect(raft.peer('c').mode).toBe('snapshot');
    raft.after(LIMITS.heartbeatMs).tick();
    expect(raft.requests).toEqual([]);
  });

  test('sends it chunk by chunk, from wherever the follower says (§7)', () => {
    const raft = compacted().when({ type: 'SnapshotReady', meta });
    expect(raft.requests).toMatchObject([{ type: 'sendChunk', chunk: { offset: 0, term: 2 } }]);
    raft.receives('c', reply(raft, 60));
    expect(raft.requests).toMatchObject([{ type: 'sendChunk', chunk: { offset: 60 } }]);
    raft.receives('c', reply(raft, 20));
    expect(raft.requests).toMatchObject([{ type: 'sendChunk', chunk: { offset: 20 } }]);
    raft.receives('c', reply(raft, 100));
    expect(raft.requests).toEqual([]);
    raft.receives('c', reply(raft, 100, true));
    expect(raft.peer('c')).toMatchObject({ mode: 'replicate', matchIndex: 4, nextIndex: 5 });
  });

  test('sends a chunk again when no answer comes, and ignores the late one (§7)', () => {
    const raft = compacted().when({ type: 'SnapshotReady', meta });
    const late = reply(raft, 60);
    const beats = Math.ceil(LIMITS.electionTimeoutMsMax / LIMITS.heartbeatMs);
    for (let i = 0; i < beats; i++) raft.after(LIMITS.heartbeatMs).acks('b').tick();
    expect(raft.requests).toMatchObject([{ type: 'sendChunk', chunk: { offset: 0 } }]);
    raft.receives('c', late);
    expect(raft.requests).toEqual([]);
  });

  test('repeats a lost chunk also while reads keep every follower busy (§7)', () => {
    const raft = compacted().when({ type: 'SnapshotReady', meta });
    const repeated: number[] = [];
    for (let at = 0; at < LIMITS.electionTimeoutMsMax / 10 + 10; at++) {
      raft.after(10).when({ type: 'ReadIndex', readId: at }).acks('b').tick();
      if (raft.requests.some(({ type }) => type === 'sendChunk')) repeated.push(at);
    }
    expect(repeated.length).toBe(1);
  });

  test('keeps the follower quiet with heartbeats meanwhile (§5.2)', () => {
    const raft = compacted().after(LIMITS.heartbeatMs).tick();
    expect(raft.sentOf('AppendEntries').map(({ to }) => to)).toEqual(['b', 'c']);
  });

  test('reuses a snapshot for others while the log continues from it (§7)', () => {
    const raft = compacted().when({ type: 'SnapshotReady', meta });
    raft.receives('c', reply(raft, 100, true));
    const { nonce } = raft.state.leader!.reads;
    raft.state.leader!.peers.get('b:00000001' as never)!.matchIndex = 0;
    raft.receives('b', refusedAppend(2, 4, 0, 1, nonce));
    expect(raft.requests).toMatchObject([{ type: 'sendChunk', to: 'b:00000001' }]);
  });

  test('a snapshot that cannot be read is made anew (§7)', () => {
    const raft = compacted().when({ type: 'SnapshotReady', meta });
    raft.when({ type: 'SnapshotFailed', snapshotId: 's1' });
    raft.after(LIMITS.heartbeatMs).tick();
    expect(raft.requests).toEqual([{ type: 'requestSnapshot' }]);
  });

  test('one that cannot be made is asked for again (§7)', () => {
    const raft = compacted().when({ type: 'SnapshotFailed', snapshotId: '' });
    raft.after(LIMITS.heartbeatMs).tick();
    expect(raft.requests).toEqual([{ type: 'requestSnapshot' }]);
  });
});

describe('compaction', () => {
  function filled(): Given {
    const raft = given({ members: config('a', null, '') })
      .tick()
      .syncs();
    for (let i = 0; i < 8; i++) raft.proposes('x'.repeat(300_000));
    return raft.syncs();
  }

  test('drops what the engine holds durably, but a tail for slow followers (§7)', () => {
    const raft = filled();
    raft.when({ type: 'Applied', appliedIndex: 9, flushedIndex: 9 }).when({ type: 'Compact' });
    const { log } = raft.state;
    expect(raft.durable).toMatchObject([{ type: 'LogCompacted', baseIndex: log.baseIndex }]);
    expect(log.bytes).toBeGreaterThanOrEqual(LIMITS.logRetainBytes);
    expect(log.bytes).toBeLessThan(LIMITS.logRetainBytes + 400_000);
    raft.when({ type: 'Compact' });
    expect(raft.events).toEqual([]);
  });

  test('never drops what is not flushed (§7)', () => {
    const raft = filled();
    raft.when({ type: 'Applied', appliedIndex: 9, flushedIndex: 2 }).when({ type: 'Compact' });
    expect(raft.state.log.baseIndex).toBe(2);
  });
});
