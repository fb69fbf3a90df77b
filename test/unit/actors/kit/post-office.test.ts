import { describe, expect, it } from 'vitest';
import { PostOffice } from '../../../../actors/kit/post-office.ts';
import {
  decodeEnvelope,
  ENVELOPE_MESSAGES_MAX,
  type MessageOf,
  type Routed,
} from '../../../../protocol/envelope.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { GroupId, NodeId, ReplicaId } from '../../../../protocol/types.ts';
import { FakePorts } from '../../../kit/fake-ports.ts';

const n2 = 'n2' as NodeId;
const n3 = 'n3' as NodeId;
const self = 'n1:00000001' as ReplicaId;

function closed(group: number): Routed {
  const message = { type: 'ClosedRevision' as const, revision: group, index: 1 };
  return { group: group as GroupId, to: 'n2:00000002' as ReplicaId, message };
}

/** A reply of about this many bytes. */
function page(bytes: number): Routed {
  const ref = { tenant: 't', space: 's', key: 'k' };
  const item = {
    ...{ ref, value: new Uint8Array(bytes), revision: 1, createRevision: 1, version: 1 },
    ...{ contentType: null, expiresAtMs: null },
  };
  const body: MessageOf<'Reply'>['body'] = { type: 'Items', items: [item], clock: 1 };
  return { group: 1 as GroupId, to: '', message: { type: 'Reply', requestId: 1, body } };
}

function office(ports = new FakePorts()): { ports: FakePorts; post: PostOffice } {
  return { ports, post: new PostOffice(ports, self, 'c1', 7) };
}

describe('the post office', () => {
  it('sends what all groups have for one node and lane in one envelope', () => {
    const { ports, post } = office();
    for (let group = 0; group < 9; group++) post.post(n2, 'raft', closed(group), 96);
    expect(ports.bus.sent).toEqual([]);
    post.flush();
    expect(ports.bus.sent).toHaveLength(1);
    const [sent] = ports.bus.sent;
    expect([sent?.to, sent?.lane]).toEqual([n2, 'raft']);
    const envelope = decodeEnvelope(sent?.payload as Uint8Array);
    expect(envelope).toMatchObject({ clusterId: 'c1', from: self, to: n2 });
    expect(envelope.wallMs).toBe(ports.clock.wallMs());
    expect(envelope.messages.map(({ group }) => group)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('keeps nodes and lanes apart, and sends nothing twice', () => {
    const { ports, post } = office();
    post.post(n2, 'raft', closed(1), 96);
    post.post(n3, 'raft', closed(1), 96);
    post.post(n2, 'request', closed(1), 96);
    post.flush();
    post.flush();
    const lanes = ports.bus.sent.map(({ to, lane }) => `${to} ${lane}`);
    expect(lanes).toEqual(['n2 raft', 'n3 raft', 'n2 request']);
  });

  it('begins another envelope before the payload limit', () => {
    const { ports, post } = office();
    const bytes = 300 * 1024;
    for (let i = 0; i < 5; i++) post.post(n2, 'request', page(bytes), bytes);
    post.flush();
    const counts = ports.bus.sent.map(({ payload }) => decodeEnvelope(payload).messages.length);
    expect(counts).toEqual([3, 2]);
    for (const { payload } of ports.bus.sent) {
      expect(payload.length).toBeLessThanOrEqual(LIMITS.busPayloadBytesMax);
    }
  });

  it('cuts a gathering that was estimated too small in halves, in order', () => {
    const { ports, post } = office();
    for (let i = 0; i < 5; i++) post.post(n2, 'request', page(400 * 1024), 10);
    post.flush();
    const counts = ports.bus.sent.map(({ payload }) => decodeEnvelope(payload).messages.length);
    expect(counts).toEqual([2, 1, 2]);
  });

  it('holds to a smaller limit of the bus', () => {
    const { ports, post } = office();
    ports.bus.payloadBytesMax = 64 * 1024;
    for (let i = 0; i < 4; i++) post.post(n2, 'request', page(30 * 1024), 30 * 1024);
    post.flush();
    expect(ports.bus.sent).toHaveLength(4);
  });

  it('puts no more messages into an envelope than a receiver takes', () => {
    const { ports, post } = office();
    for (let i = 0; i < ENVELOPE_MESSAGES_MAX + 10; i++) post.post(n2, 'raft', closed(1), 96);
    post.flush();
    const counts = ports.bus.sent.map(({ payload }) => decodeEnvelope(payload).messages.length);
    expect(counts).toEqual([ENVELOPE_MESSAGES_MAX, 10]);
  });

  it('drops, counts and tells of a single message that is too large', () => {
    const ports = new FakePorts();
    const told: unknown[] = [];
    const post = new PostOffice(ports, self, 'c1', 7, (to, routed) => told.push([to, routed]));
    ports.bus.payloadBytesMax = 1000;
    const large = page(5000);
    post.post(n2, 'request', large, 5000);
    post.post(n2, 'request', closed(1), 96);
    post.flush();
    expect(told).toEqual([[n2, large]]);
    expect(ports.bus.messages().map(({ type }) => type)).toEqual(['ClosedRevision']);
    const dropped = { lane: 'request', reason: 'oversize' };
    expect(ports.telemetry.total('bus_messages_dropped', dropped)).toBe(1);
    expect(ports.telemetry.lines).toMatchObject([
      { level: 'error', message: 'a message is larger than the bus allows' },
    ]);
  });

  it('sends what is posted instead of one that is too large, whenever that turns out', () => {
    const ports = new FakePorts();
    const post: PostOffice = new PostOffice(ports, self, 'c1', 7, (to) =>
      post.post(to, 'request', closed(2), 96),
    );
    post.post(n2, 'request', page(LIMITS.busPayloadBytesMax), LIMITS.busPayloadBytesMax);
    // No room beside it: it is sent now.
    post.post(n2, 'request', closed(1), 96);
    post.post(n3, 'request', page(LIMITS.busPayloadBytesMax), 10);
    post.flush();
    post.flush();
    expect(ports.bus.sent.map(({ to }) => to)).toEqual([n2, n3]);
    expect(ports.bus.messages()).toMatchObject([{ revision: 1 }, { revision: 2 }, { revision: 2 }]);
  });
});
