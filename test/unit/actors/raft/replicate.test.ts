import { describe, expect, test } from 'vitest';
import { UNCOMMITTED_BYTES_MAX } from '../../../../actors/raft/propose.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { config, given, logOf, refusedAppend } from '../../../kit/raft-given.ts';

describe('flow control', () => {
  test('at most appendInflightMax messages are out to one follower', () => {
    const raft = given().leads('b', 'c');
    for (let i = 0; i < LIMITS.appendInflightMax + 5; i++) raft.proposes('x');
    expect(raft.peer('c').inflight.length).toBe(LIMITS.appendInflightMax);
    expect(raft.sent).toEqual([]);
    raft.acks('c', 3);
    expect(raft.sentOf('AppendEntries')).toMatchObject([{ to: 'c', prevLogIndex: 33 }]);
    expect(raft.sentOf('AppendEntries')[0]?.entries.length).toBe(5);
  });

  test('at most about appendInflightBytesMax are out to one follower', () => {
    const raft = given().leads('b', 'c');
    for (let i = 0; i < 20; i++) raft.proposes('x'.repeat(800 * 1024));
    const { inflightBytes } = raft.peer('c');
    expect(inflightBytes).toBeGreaterThanOrEqual(LIMITS.appendInflightBytesMax);
    expect(inflightBytes).toBeLessThan(LIMITS.appendInflightBytesMax + LIMITS.appendBytesMax);
  });

  test('an acknowledgement of a heartbeat frees what was sent before it', () => {
    const raft = given().leads('b', 'c').proposes('x').proposes('y');
    raft.acks('c');
    expect(raft.peer('c')).toMatchObject({ inflight: [], inflightBytes: 0, matchIndex: 3 });
  });

  test('a message is bounded in bytes and in entries', () => {
    const raft = given().leads('b');
    raft.proposes(...Array.from({ length: 5 }, () => 'x'.repeat(400 * 1024)));
    const sizes = raft.sentOf('AppendEntries').map(({ entries }) => entries.length);
    expect(sizes.slice(0, 3)).toEqual([2, 2, 1]);
    expect(raft.durable.length).toBe(3);
  });

  test('a follower that is silent gets heartbeats, not the log again and again', () => {
    const raft = given({ log: logOf([1, 1]) }).leads('b');
    raft.receives('c', refusedAppend(2, 2, 0, 1, 0));
    expect(raft.sentOf('AppendEntries')[0]?.entries.length).toBe(3);
    for (let i = 0; i < 5; i++) {
      raft.acks('b').after(LIMITS.heartbeatMs).tick();
      expect(raft.sentOf('AppendEntries').map(({ entries }) => entries.length)).toEqual([0, 0]);
    }
  });

  test('a commit is told at once to an idle follower only', () => {
    const raft = given().leads('b', 'c').proposes('x').syncs().proposes('y').acks('b', 2);
    expect(raft.state.commitIndex).toBe(2);
    expect(raft.sent).toEqual([]);
    raft.acks('c', 3);
    expect(raft.sentOf('AppendEntries')).toMatchObject([{ to: 'c', leaderCommit: 2 }]);
  });
});

describe('the uncommitted tail', () => {
  test('is bounded: what comes on top is refused, and welcome again later', () => {
    const raft = given({ members: config('a b', null, '') }).leads('b');
    const text = 'x'.repeat(800 * 1024);
    let accepted = 0;
    for (;;) {
      raft.proposes(text);
      const [request] = raft.requests;
      if (request?.type === 'proposalRefused') {
        expect(request.reason).toBe('overloaded');
        break;
      }
      accepted++;
    }
    expect(accepted).toBe(Math.floor(UNCOMMITTED_BYTES_MAX / text.length));
    raft.syncs().acks('b').proposes(text);
    expect(raft.requests).toMatchObject([{ type: 'proposed' }]);
  });
});
