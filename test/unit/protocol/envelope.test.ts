import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeDataId } from '../../../protocol/blob.ts';
import { DecodeError, packBytes } from '../../../protocol/codec.ts';
import { makeEntry } from '../../../protocol/entry.ts';
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  type Message,
  type MessageOf,
} from '../../../protocol/envelope.ts';
import type { IndexDefinition } from '../../../protocol/indexes.ts';
import type {
  Item,
  ReplicaStatus,
  ReplyBody,
  RequestBody,
} from '../../../protocol/messages/request.ts';
import type { TxnResult } from '../../../protocol/messages/txn.ts';
import type { TxnBody } from '../../../protocol/txn.ts';
import type { GroupId, NodeId, ReplicaId } from '../../../protocol/types.ts';
import { PROTOCOL_VERSION } from '../../../protocol/version.ts';
import { OBJECT_REPLIES, OBJECT_REQUESTS } from '../../kit/object-messages.ts';

const n1 = 'n1' as NodeId;
const r1 = 'n1:aaaaaaaa' as ReplicaId;
const config = { voters: [r1], votersOld: null, learners: [] };
const ref = { tenant: 'default', space: 'kv', key: 'k\xff\0' };
const item: Item = {
  ...{ ref, value: Buffer.from([0, 255]), revision: 9, createRevision: 3, version: 2 },
  ...{ contentType: 'text/plain', expiresAtMs: null, lease: 0x1f_ffff_ffff_ffff },
};
const put = {
  ...{ type: 'put' as const, ref, value: Buffer.from('v'), contentType: null, ttlMs: 5 },
  condition: { type: 'revision' as const, revision: 3 },
  attach: { lease: 7, until: 8 },
};
const lease = { lease: 7, ttlMs: 1000, remainingMs: 900, grantRevision: 3 };
const meta = {
  ...{ snapshotId: 'ab', lastIncludedIndex: 1, lastIncludedTerm: 2, config, clockBound: 3 },
  totalBytes: 4,
};
const status: ReplicaStatus = {
  ...{ replica: r1, role: 'leader', leader: null, term: 1, commitIndex: 2, appliedIndex: 3 },
  ...{ lastLogIndex: 4, firstLogIndex: 1, clock: 5, closed: 6, floor: 0, keys: 7, config },
  configIndex: 4,
  matches: [{ replica: r1, matchIndex: 8, active: true }],
};
const index: IndexDefinition = {
  ...{ id: 7, name: 'by-size', tenant: 'default', space: 'kv', prefix: 'p\xff', sparse: true },
  ...{ kind: 'fields', fields: [{ path: '$.a[*]', steps: ['a', null], type: 'number' }] },
  unique: true,
};
const position = { revision: 1, vshard: 2, triple: 'a\0b\0c' };
const event = {
  ...{ kind: 'put' as const, ref, vshard: 1, revision: 2, prevRevision: 1, sequence: 1 },
  ...{ item, prev: null },
};

const chunk = { data: makeDataId(1_800_000_000_000, Buffer.alloc(10, 7)), number: 0xffff_ffff };
const sum = { bytes: 9, crc: 0xffff_ffff };

/** One of every type: a missing row does not compile. */
const MESSAGES: { [T in Message['type']]: Omit<MessageOf<T>, 'type'> } = {
  Demands: { sequence: 3, demands: [{ scope: 'key:a', amounts: [1, 2, 3, 4] }] },
  PreVote: { proposedTerm: 1, lastLogIndex: 2, lastLogTerm: 3, nonce: 4 },
  PreVoteReply: { term: 1, proposedTerm: 2, voteGranted: true, nonce: 3 },
  RequestVote: { term: 1, lastLogIndex: 2, lastLogTerm: 3, transfer: false, nonce: 4 },
  RequestVoteReply: { term: 1, voteGranted: false, nonce: 2 },
  AppendEntries: {
    ...{ term: 1, prevLogIndex: 2, prevLogTerm: 1, leaderCommit: 2, nonce: 7 },
    entries: [3, 4].map((index) =>
      makeEntry({ index, term: 1, clockBound: index, kind: 'command' }, Buffer.from('x')),
    ),
  },
  AppendEntriesReply: {
    ...{ term: 1, success: false, matchIndex: 2, conflictTerm: 3, conflictIndex: 4, nonce: 5 },
  },
  InstallSnapshot: { term: 1, meta, offset: 2, data: Buffer.from('chunk'), nonce: 3 },
  InstallSnapshotReply: { term: 1, snapshotId: 'ab', nextOffset: 2, installed: true, nonce: 3 },
  TimeoutNow: { term: 1, nonce: 2 },
  Request: {
    requestId: 1,
    life: 7,
    clock: 5,
    deadlineMs: 2,
    traceparent: null,
    body: { type: 'Status' },
  },
  Reply: { requestId: 1, body: { type: 'Clock', clock: 2, gate: null } },
  ClosedRevision: { revision: 1, index: 2 },
  Hello: {
    ...{ incarnation: 'aaaaaaaa', clusterId: '', initialMembers: [n1], groupCount: 8 },
    ...{ roles: ['replica', 'gateway'], httpUrl: 'http://n1', version: '0.1.0', disk: 'full' },
    chunks: [
      {
        ...{ group: 3, configIndex: 9, voters: 3, isJoint: false, isVoter: true, heldTo: 2 ** 40 },
        ...{ chunks: 7, missing: 1, lost: 0 },
      },
    ],
  },
  Form: {
    formation: {
      ...{ clusterId: 'c'.repeat(32), groupCount: 8 },
      members: [{ nodeId: n1, incarnation: 'aaaaaaaa' }],
    },
  },
  BlobWrite: {
    ...{ transfer: 2 ** 52, chunk, offset: 5, released: 4, round: 2, data: Buffer.from('bytes') },
    end: sum,
  },
  BlobWanted: { transfer: 1, offset: 2, upTo: 3, round: 4, gap: true },
  BlobSealed: { transfer: 1, sum },
  BlobRefused: { transfer: 1, reason: 'full' },
  BlobAbandon: { transfer: 1 },
  BlobRead: { transfer: 1, chunk, offset: 2, end: 9, upTo: 5, round: 3 },
  BlobPiece: { transfer: 1, offset: 2, round: 3, data: Buffer.from('b'), crc: 4, bytes: 5 },
  BlobDiscard: { data: chunk.data, chunks: 3 },
  BlobUnreadable: { transfer: 1, reason: 'missing' },
};

const id = { home: 1, term: 2, start: 3 };
const fate = { commitRevision: 9, succeeded: true };
const compares: TxnBody['compares'] = [
  { ref, relation: '=', target: { type: 'value', value: Buffer.from('v') } },
  { ref, relation: '<', target: { type: 'revision', revision: 1 } },
  { ref, relation: '>', target: { type: 'version', version: 2 } },
  { ref, relation: '!=', target: { type: 'exists', exists: true } },
];
const range = { tenant: 't', space: 's', start: 'a', end: null };
const body: TxnBody = {
  compares,
  then: [
    {
      ...{ type: 'put', ref, value: Buffer.from('v'), contentType: null, ttlMs: 5 },
      attach: { lease: 7, until: 9 },
    },
    { type: 'get', ref },
    { type: 'delete', ref },
    { type: 'range', ...range, reverse: true, limit: 3, values: false },
    { type: 'deleteRange', ...range },
  ],
  otherwise: [],
};
const results: TxnResult[] = [
  { type: 'put', createRevision: 1, version: 2 },
  { type: 'got', item },
  { type: 'got', item: null },
  { type: 'page', items: [item], more: true },
  { type: 'deleted', count: 3 },
];

const REQUESTS: { [T in RequestBody['type']]: Omit<Extract<RequestBody, { type: T }>, 'type'> } = {
  Write: {
    ...{ epoch: 1, ops: [put, { type: 'delete', ref, condition: { type: 'absent' } }] },
    idempotency: { key: 'id', requestHash: Buffer.alloc(32) },
  },
  Read: { epoch: 1, keys: [ref], revision: null, stale: true },
  ReadClock: { snapshot: 'n1.7.1' },
  Range: {
    ...{ epoch: 1, tenant: 't', space: 's', revision: 2, start: '', end: '\xff', reverse: true },
    ...{ limit: 3, values: false, stale: false },
  },
  Close: { revision: 1, gate: null },
  FeedRead: { after: position, waitMs: 1, limit: 2, prev: true },
  TransferLeader: { to: null },
  ChangeMembers: { configIndex: 4, voters: [r1], learners: [] },
  MetaPut: { name: 'a', json: '{}', ifRevision: 1 },
  MetaRead: { prefix: 'a', stale: false },
  Status: {},
  IndexSet: { epoch: 3, indexes: [index] },
  IndexStep: { id: 7 },
  IndexStatus: {},
  IndexQuery: {
    ...{ id: 7, revision: 2, start: '\x04a', end: '\x04b', limit: 3, values: true },
    ...{ after: { encoded: '\x04a\x00\x01', key: 'k' }, reverse: true },
  },
  IndexSearch: {
    ...{ id: 7, revision: 2, text: 'abc\xff', prefix: 'p', after: '', limit: 3, values: true },
  },
  LeaseGrant: { epoch: 1, lease: 7, ttlMs: 1000, tenant: 'acme' },
  LeaseRevoke: { epoch: 1, lease: 7, tenant: 'acme' },
  LeaseCheck: { epoch: 1, lease: 7, purpose: 'attach', tenant: 'acme' },
  LeaseList: { after: 0, limit: 5, tenant: 'acme' },
  LeaseForget: { leases: [7] },
  LeaseSweep: { leases: [{ lease: 7, why: 'revoked' }], close: 9 },
  Attached: { lease: 7, limit: 3, tenant: 'acme' },
  Txn: { epoch: 1, body, idempotency: { key: 'id', requestHash: Buffer.alloc(32) } },
  TxnPrepare: {
    ...{ epoch: 1, id, indexEpoch: 2 },
    part: { body, comparesAt: [0, 1, 2, 3], thenAt: [4], otherwiseAt: [] },
  },
  TxnResolve: { ends: [{ id, fate }] },
  TxnInquire: { id },
  ...OBJECT_REQUESTS,
};

const duplicate = { index: 'by-email', encoded: '\x04a\x00\x01', holder: 'b' };

const REPLIES: { [T in ReplyBody['type']]: Omit<Extract<ReplyBody, { type: T }>, 'type'> } = {
  Rejected: { code: 'not_leader', definite: true, message: 'no', leader: n1, hint: 0 },
  Waited: { code: 'conflict', message: 'locked' },
  Written: {
    ...{ clock: 1, repeated: false },
    results: [
      { type: 'put', revision: 1, createRevision: 1, version: 1 },
      { type: 'deleted', deleted: true, revision: 2 },
      { type: 'precondition_failed', revision: 3 },
      { type: 'wrong_shard', epoch: 4 },
      { type: 'lease_stale', revision: 5 },
      { type: 'duplicate', ...duplicate },
      { type: 'failed', code: 'conflict', message: 'later' },
    ],
  },
  Items: { items: [item, null], clock: 1 },
  Clock: { clock: 1, gate: 7 },
  Page: { items: [item], more: true, clock: 1 },
  Closed: { closed: 1, wasClosed: false },
  Feed: { events: [event], closed: 2, floor: 1 },
  Done: { revision: 1 },
  MetaRows: { rows: [{ name: 'a', json: '{}', revision: 1 }], clock: 2 },
  Status: { status },
  Indexes: { epoch: 3, indexes: [{ id: 7, isBuilt: true, keys: 1, since: 9 }], keys: 4 },
  IndexPage: {
    ...{ hits: [{ encoded: '\x01', item }], reached: { encoded: '\x01', key: 'k' } },
    ...{ rows: 4, clock: 5 },
  },
  Lease: { lease, until: 9, clock: 8 },
  Leases: { leases: [lease], more: true, clock: 8 },
  Swept: { removed: 1, isAll: false, clock: 8 },
  AttachedKeys: { keys: [ref], more: false, clock: 8 },
  TxnDone: {
    outcome: {
      ...{ succeeded: false, failedCompare: 1, revision: 2, results },
      refused: { type: 'duplicate', key: 'a', duplicate },
    },
    ...{ clock: 3, repeated: true },
  },
  TxnVoted: {
    vote: {
      ...{ type: 'yes', revision: 4, failedCompare: null, validUntilMs: 5 },
      ...{ then: results, otherwise: [] },
    },
    clock: 3,
  },
  TxnEnded: { fate, clock: 3 },
  ...OBJECT_REPLIES,
};

const all: Message[] = [
  ...typed<Message>(MESSAGES),
  ...typed<RequestBody>(REQUESTS).map(
    (body): Message => ({
      type: 'Request',
      ...{ requestId: 1, life: 7, clock: 5 },
      deadlineMs: 2,
      traceparent: 't',
      body,
    }),
  ),
  ...typed<ReplyBody>(REPLIES).map((body): Message => ({ type: 'Reply', requestId: 1, body })),
];

function typed<T extends { type: string }>(rows: Record<string, object>): T[] {
  return Object.entries(rows).map(([type, fields]) => ({ type, ...fields }) as unknown as T);
}

const envelopeOf = (messages: readonly Message[]): Envelope => ({
  ...{ clusterId: 'c', from: r1, to: n1, life: 7, wallMs: 1_800_000_000_000 },
  messages: messages.map((message) => ({ group: 3 as GroupId, to: r1, message })),
});

/** Equal up to Buffer or Uint8Array. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_key, inner) =>
      inner instanceof Uint8Array || inner?.type === 'Buffer'
        ? Buffer.from(inner.data ?? inner).toString('hex')
        : inner,
    ),
  );

describe('envelopes', () => {
  it.each(all.map((message) => [label(message), message] as const))(
    '%s comes back as it was',
    (_name, message) => {
      const envelope = envelopeOf([message]);
      expect(plain(decodeEnvelope(encodeEnvelope(envelope)))).toEqual(plain(envelope));
    },
  );

  it('carry many messages in order', () => {
    const envelope = envelopeOf(all);
    expect(plain(decodeEnvelope(encodeEnvelope(envelope)))).toEqual(plain(envelope));
  });

  it('I40 any damage gives an envelope or DecodeError, never another error', () => {
    const good = encodeEnvelope(envelopeOf(all));
    const tolerant = (bytes: Uint8Array): void => {
      try {
        decodeEnvelope(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
      }
    };
    for (let cut = 0; cut < good.length; cut += 7) tolerant(good.subarray(0, cut));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1 }), (edits) => {
        const bytes = Uint8Array.from(good);
        for (const [at, byte] of edits) bytes[at % bytes.length] = byte;
        tolerant(bytes);
      }),
      { numRuns: 3_000 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), tolerant), { numRuns: 2_000 });
    fc.assert(
      fc.property(fc.anything(), (body) => {
        let bytes: Uint8Array;
        try {
          bytes = packBytes([PROTOCOL_VERSION, body]);
        } catch {
          return; // Not everything can be packed; only what can be sent is of interest.
        }
        tolerant(bytes);
      }),
    );
  });

  it('of another protocol version are refused', () => {
    for (const version of [0, PROTOCOL_VERSION + 1, -1, 1.5, null, '1']) {
      expect(() => decodeEnvelope(packBytes([version, []]))).toThrow(DecodeError);
    }
  });

  it('with an unknown message type are refused', () => {
    const message = [3, r1, [999, []]];
    const body = ['c', r1, n1, 7, 1, [message]];
    expect(() => decodeEnvelope(packBytes([PROTOCOL_VERSION, body]))).toThrow(/unknown message/);
  });
});

function label(message: Message): string {
  return 'body' in message ? `${message.type} ${message.body.type}` : message.type;
}
