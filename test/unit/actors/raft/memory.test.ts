import { describe, expect, test } from 'vitest';
import type { DurableRaftEvent } from '../../../../actors/raft/events.ts';
import type { RaftLogView } from '../../../../actors/raft/log.ts';
import { birthOf, recoverState } from '../../../../actors/raft/recover.ts';
import { createRaftState } from '../../../../actors/raft/state.ts';
import { type LogEntry, packEntries, unpackEntries } from '../../../../protocol/entry.ts';
import { ABC, append, command, given, id } from '../../../kit/raft-given.ts';

/** Two chunks of a slab: the one in use, and the one that the oldest entry lies in. */
const CHUNKS = 2 * 64 * 1024;

/** Bytes of all buffers that a log's entries keep in memory. */
function heldBytes(log: RaftLogView): number {
  const buffers = new Set<ArrayBufferLike>();
  for (let index = log.baseIndex + 1; index <= log.lastIndex; index++) {
    buffers.add((log.entryAt(index) as LogEntry).bytes.buffer);
  }
  let bytes = 0;
  for (const { byteLength } of buffers) bytes += byteLength;
  return bytes;
}

/** Entries as they come off the bus or out of a segment: views on something larger. */
function viewsWithin(entries: readonly LogEntry[], bytes: number): LogEntry[] {
  const packed = packEntries(entries);
  const whole = new Uint8Array(Math.max(bytes, packed.length + 100));
  whole.set(packed, 100);
  return unpackEntries(whole.subarray(100, 100 + packed.length));
}

describe('what a log keeps in memory is about what its entries take', () => {
  test('of a leader, beside a group with many more writes', () => {
    const quiet = given().leads('b', 'c');
    const busy = given().leads('b', 'c');
    const payload = 'x'.repeat(1_000);
    for (let i = 0; i < 500; i++) {
      quiet.proposes('small').syncs().acks('b').acks('c');
      busy.proposes(...Array.from({ length: 65 }, () => payload));
      busy.syncs().acks('b').acks('c');
    }
    expect(quiet.state.log.lastIndex).toBe(501);
    expect(heldBytes(quiet.state.log)).toBeLessThan(quiet.state.log.bytes * 4 + CHUNKS);
  });

  test('of a follower whose few entries come in large envelopes', () => {
    const raft = given({ log: [1] });
    for (let index = 2; index <= 200; index++) {
      const entries = viewsWithin([command(index, 1, `small ${index}`)], 200_000);
      raft.receives('b', append(1, index - 1, 1, entries));
    }
    const { log } = raft.state;
    expect(log.lastIndex).toBe(200);
    expect(heldBytes(log)).toBeLessThan(log.bytes * 4 + CHUNKS);
    expect(Buffer.from(log.entryAt(77)?.bytes ?? []).toString()).toContain('small 77');
  });

  test('of a follower that gets a full envelope it is that envelope', () => {
    const raft = given({ log: [1] });
    const entries = viewsWithin([command(2, 1, 'x'.repeat(50_000))], 0);
    raft.receives('b', append(1, 1, 1, entries));
    expect(raft.state.log.entryAt(2)?.bytes.buffer).toBe(entries[0]?.bytes.buffer);
  });

  test('of a replica that comes back: not the segments it was read from', () => {
    const events: DurableRaftEvent[] = [birthOf(ABC)];
    for (let i = 0; i < 100; i++) {
      const entries = viewsWithin([command(i + 1, 1, `small ${i}`)], 1_000_000);
      events.push({ type: 'EntriesAppended', prevLogIndex: i, entries });
    }
    const config = { self: id('a'), seed: 1 };
    const { state } = recoverState(config, events, createRaftState(config).log.pointAt(0));
    expect(state.log.lastIndex).toBe(100);
    expect(heldBytes(state.log)).toBeLessThan(state.log.bytes * 4 + CHUNKS);
  });
});
