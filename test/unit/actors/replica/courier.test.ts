import { describe, expect, it } from 'vitest';
import { evolve } from '../../../../actors/raft/evolve.ts';
import { decodeEvent } from '../../../../actors/raft/wal-codec.ts';
import { Courier } from '../../../../actors/replica/courier.ts';
import { messageBytes } from '../../../../actors/replica/message-bytes.ts';
import { HostOutbox, type OutboxListener } from '../../../../actors/replica/outbox.ts';
import type { SnapshotWork } from '../../../../actors/replica/snapshots.ts';
import { encodeEnvelope, type Message } from '../../../../protocol/envelope.ts';
import type { SnapshotMeta } from '../../../../protocol/messages/raft.ts';
import type { NodeId, ReplicaId } from '../../../../protocol/types.ts';
import { put } from '../../../kit/applied-group.ts';
import { AppliedLog } from '../../../kit/applied-log.ts';
import { changeAt, itemAt } from '../../../kit/change-events.ts';
import { append, command } from '../../../kit/raft-given.ts';

const to = 'n2:00000002' as ReplicaId;
const meta: SnapshotMeta = {
  ...{ snapshotId: 'ab', lastIncludedIndex: 5, lastIncludedTerm: 1, clockBound: 0 },
  ...{ config: { voters: [to], votersOld: null, learners: [] }, totalBytes: 100 },
};

/** An outbox and its courier; the host's side is written down. */
function hosted() {
  const { raft } = new AppliedLog();
  const posted: [string, string][] = [];
  const chunks: number[] = [];
  const told: unknown[][] = [];
  const listener = new Proxy({} as OutboxListener, {
    get:
      (_, name) =>
      (...args: unknown[]) =>
        void told.push([name, ...args]),
  });
  const outbox = new HostOutbox(raft, listener);
  const courier = new Courier(outbox, (_to, lane, message) => posted.push([lane, message.type]));
  const snapshots = {
    send: (_chunk: unknown, length: number) => chunks.push(length),
  } as unknown as SnapshotWork;
  return { raft, outbox, courier, posted, chunks, told, snapshots };
}

describe('the outbox and its courier', () => {
  it('let AppendEntries go before the sync, and everything else after it, once', () => {
    const { outbox, courier, posted, chunks, snapshots } = hosted();
    outbox.sendAfterSync(to, { type: 'TimeoutNow', term: 2, nonce: 1 });
    outbox.sendBeforeSync(to, append(2, 1, 2, []));
    outbox.sendChunk(to, { meta, offset: 0, term: 2, nonce: 1 });
    courier.releaseBeforeSync();
    expect(posted).toEqual([['raft', 'AppendEntries']]);
    expect(chunks).toEqual([]);
    courier.releaseAfterSync(snapshots);
    courier.releaseBeforeSync();
    courier.releaseAfterSync(snapshots);
    expect(posted.slice(1)).toEqual([['raft', 'TimeoutNow']]);
    expect(chunks).toHaveLength(1);
    courier.sendChunk({ to, meta, offset: 0, term: 2, nonce: 1 }, new Uint8Array(4));
    expect(posted.at(-1)).toEqual(['snapshot', 'InstallSnapshot']);
  });

  it('evolve at once, and keep durable events only', () => {
    const { raft, outbox } = hosted();
    outbox.emit({ type: 'TermAdvanced', term: 9 });
    outbox.emit({ type: 'RoleChanged', role: 'leader', leaderId: raft.self });
    expect([raft.currentTerm, raft.role]).toEqual([9, 'leader']);
    expect(outbox.records.map(decodeEvent)).toEqual([{ type: 'TermAdvanced', term: 9 }]);
    evolve(raft, { type: 'RoleChanged', role: 'follower', leaderId: null });
    expect(outbox.records).toHaveLength(1);
  });

  it('hand every request of the core to the host', () => {
    const { outbox, told } = hosted();
    const data = new Uint8Array(1);
    outbox.proposed(1, 2, 3);
    outbox.proposalRefused(1, 'overloaded');
    outbox.readConfirmed(4, 5);
    outbox.readRefused(4);
    outbox.refused('ChangeMembers', 'why');
    outbox.requestSnapshot();
    outbox.storeChunk(meta, 7, data);
    outbox.installSnapshot(meta);
    expect(told).toEqual([
      ['onProposed', 1, 2, 3],
      ['onProposalRefused', 1, 'overloaded'],
      ['onReadConfirmed', 4, 5],
      ['onReadRefused', 4],
      ['onRefused', 'ChangeMembers', 'why'],
      ['onSnapshotRequested'],
      ['onChunkReceived', meta, 7, data],
      ['onInstallSnapshot', meta],
    ]);
  });
});

describe('the size of a message', () => {
  const reply = (body: Extract<Message, { type: 'Reply' }>['body']): Message => ({
    type: 'Reply',
    requestId: 1,
    body,
  });
  const key = { tenant: 't', space: 's', key: 'k'.repeat(900) };
  const messages: Record<string, Message> = {
    append: append(1, 1, 1, [command(2, 1, 'x'.repeat(5_000)), command(3, 1)]),
    chunk: {
      ...{ type: 'InstallSnapshot', term: 1, meta, offset: 0, nonce: 1 },
      data: new Uint8Array(9_000),
    },
    write: {
      ...{ type: 'Request', requestId: 1, life: 1, clock: 1, deadlineMs: 1, traceparent: null },
      body: { type: 'Write', epoch: 1, ops: [put('a', 'x'.repeat(3_000))], idempotency: null },
    },
    read: {
      ...{ type: 'Request', requestId: 1, life: 1, clock: 1, deadlineMs: 1, traceparent: null },
      body: { type: 'Read', epoch: 1, keys: [key], revision: null, stale: false },
    },
    items: reply({ type: 'Items', items: [itemAt(key, 1, 4_000), null], clock: 1 }),
    feed: reply({
      ...{ type: 'Feed', closed: 1, floor: 0 },
      events: [changeAt(5, { key: key.key, bytes: 2_000, prevBytes: 3_000 })],
    }),
    rows: reply({
      ...{ type: 'MetaRows', clock: 1 },
      rows: [{ name: 'n', json: 'x'.repeat(700), revision: 1 }],
    }),
    closed: { type: 'ClosedRevision', revision: 1e15, index: 1e6 },
  };

  for (const [name, message] of Object.entries(messages)) {
    it(`is estimated close to what it takes: ${name}`, () => {
      const envelope = (list: Message[]) =>
        encodeEnvelope({
          ...{ clusterId: 'c', from: to, to: 'n1' as NodeId, life: 1, wallMs: 1 },
          messages: list.map((one) => ({ group: 1 as never, to, message: one })),
        }).length;
      const bytes = envelope([message, message]) - envelope([message]);
      expect(messageBytes(message)).toBeGreaterThanOrEqual(bytes - 64);
      expect(messageBytes(message)).toBeLessThan(bytes * 1.5 + 1_500);
    });
  }
});
