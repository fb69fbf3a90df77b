import { assert } from '../../protocol/assert.ts';
import { DecodeError, packBytes, unpackBytes } from '../../protocol/codec.ts';
import { entryPayload, packEntries, unpackEntries } from '../../protocol/entry.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { configCodec, decodeConfig } from '../../protocol/membership.ts';
import { snapshotMetaCodec } from '../../protocol/messages/raft.ts';
import * as s from '../../protocol/schema.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { DurableRaftEvent } from './events.ts';

/**
 * Durable Raft events as WAL payloads: version byte, then the body. A body begins with its tag; that
 * of EntriesAppended is prevLogIndex (u64, big-endian) and the entries' own frames, so the bytes
 * that went to the followers are the bytes on disk. Old versions are upcast on reading, never
 * rewritten: a new version adds a row to DECODERS and leaves the old rows as they are.
 */
export const RAFT_WAL_VERSION = 1;

const ENTRIES_TAG = 1;
const FIELDS_TAG = 2;
const ENTRIES_HEADER_BYTES = 10;

const replica = s.str<ReplicaId>(64);
const base = {
  baseIndex: s.count,
  baseTerm: s.count,
  baseConfig: configCodec,
  clockBound: s.count,
};

const fields = s.union({
  TermAdvanced: [1, s.record({ term: s.count })],
  VoteCast: [2, s.record({ candidateId: replica })],
  LogCompacted: [3, s.record(base)],
  SnapshotRestored: [4, s.record({ meta: snapshotMetaCodec })],
  HardStateSaved: [5, s.record({ currentTerm: s.count, votedFor: s.nullable(replica), ...base })],
});

/** What the schema-hash test watches. */
export const RAFT_WAL_SHAPE = `${RAFT_WAL_VERSION}:EntriesAppended{u64,entries1};${fields.shape}`;

export function encodeEvent(event: DurableRaftEvent): Uint8Array {
  if (event.type === 'EntriesAppended') return encodeEntries(event);
  const body = packBytes(fields.pack(event));
  const out = new Uint8Array(2 + body.length);
  out[0] = RAFT_WAL_VERSION;
  out[1] = FIELDS_TAG;
  out.set(body, 2);
  return out;
}

const DECODERS: Readonly<Record<number, (bytes: Uint8Array) => DurableRaftEvent>> = {
  1: decodeV1,
};

/** Throws DecodeError, never anything else. Entries are views on `bytes`. */
export function decodeEvent(bytes: Uint8Array): DurableRaftEvent {
  const decodeVersion = DECODERS[bytes[0] ?? 0];
  if (decodeVersion === undefined) throw new DecodeError('unknown version of a Raft event');
  return decodeVersion(bytes);
}

function decodeV1(bytes: Uint8Array): DurableRaftEvent {
  if (bytes[1] === ENTRIES_TAG) return decodeEntries(bytes);
  if (bytes[1] !== FIELDS_TAG) throw new DecodeError('unknown kind of Raft event');
  const bounds = { bytesMax: LIMITS.entryBytesMax, itemsMax: 256, depthMax: 8 };
  return fields.unpack(unpackBytes(bytes.subarray(2), bounds));
}

function encodeEntries(event: Extract<DurableRaftEvent, { type: 'EntriesAppended' }>): Uint8Array {
  const blob = packEntries(event.entries);
  const out = new Uint8Array(ENTRIES_HEADER_BYTES + blob.length);
  out[0] = RAFT_WAL_VERSION;
  out[1] = ENTRIES_TAG;
  new DataView(out.buffer).setBigUint64(2, BigInt(event.prevLogIndex));
  out.set(blob, ENTRIES_HEADER_BYTES);
  assert(event.entries.length > 0, 'an append without entries is no fact');
  return out;
}

function decodeEntries(bytes: Uint8Array): DurableRaftEvent {
  if (bytes.length < ENTRIES_HEADER_BYTES) throw new DecodeError('Raft event is cut short');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const prevLogIndex = Number(view.getBigUint64(2));
  const entries = unpackEntries(bytes.subarray(ENTRIES_HEADER_BYTES));
  // Also refuses a prevLogIndex that is no safe integer: the entry's own index is one.
  if (entries[0]?.index !== prevLogIndex + 1) throw new DecodeError('entries do not follow');
  for (const entry of entries) if (entry.kind === 'config') decodeConfig(entryPayload(entry));
  return { type: 'EntriesAppended', prevLogIndex, entries };
}
