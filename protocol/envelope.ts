import { DecodeError, encodeWith } from './codec.ts';
import { LIMITS } from './limits.ts';
import { MessageReader } from './message-reader.ts';
import { blobMessages } from './messages/blob.ts';
import { nodeMessages } from './messages/node.ts';
import { raftMessages } from './messages/raft.ts';
import { requestMessages } from './messages/request.ts';
import * as s from './schema.ts';
import type { GroupId, NodeId, ReplicaId } from './types.ts';
import { PROTOCOL_VERSION, PROTOCOL_VERSION_FLOOR } from './version.ts';

/** Every message between nodes. A type is one row; a missing row does not compile. */
export const messageCodec = s.union({
  ...raftMessages,
  ...requestMessages,
  ...nodeMessages,
  ...blobMessages,
});
export type Message = s.Of<typeof messageCodec>;
export type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>;

/** One message with its group. `to` names the replica it is meant for ('' for node messages). */
export interface Routed {
  readonly group: GroupId;
  readonly to: ReplicaId | '';
  readonly message: Message;
}

/**
 * What travels between two nodes in one bus payload: all messages that gathered for that node in
 * one turn, so heartbeats of all groups share it. Anything of another cluster, addressed to
 * another node or not decodable is counted and dropped.
 */
export interface Envelope {
  /** '' only in Hello and Form, which an empty node must be able to read. */
  readonly clusterId: string;
  readonly from: ReplicaId;
  readonly to: NodeId;
  /** Drawn at each start of the sending process: requests are meant for one life of a node. */
  readonly life: number;
  /** The sender's wall clock at sending, for the clock-offset watch. */
  readonly wallMs: number;
  readonly messages: readonly Routed[];
}

/** Messages of one envelope: a receiver takes no more of them. */
export const ENVELOPE_MESSAGES_MAX = 8192;

const routedCodec = s.record({ group: s.count, to: s.str(64), message: messageCodec });
const envelopeCodec = s.record({
  clusterId: s.str(32),
  from: s.str<ReplicaId>(64),
  to: s.str<NodeId>(32),
  life: s.count,
  wallMs: s.count,
  messages: s.list(routedCodec, ENVELOPE_MESSAGES_MAX),
});

const versionedCodec = s.record({ version: s.count, body: envelopeCodec });

/** Feeds the schema-hash test: a changed wire shape asks for a line in version.ts. */
export const WIRE_SHAPE = envelopeCodec.shape;

const BOUNDS = {
  bytesMax: LIMITS.busPayloadBytesMax,
  itemsMax: LIMITS.batchOpsMax * 2,
  depthMax: 24,
};

export function encodeEnvelope(envelope: Envelope): Uint8Array {
  return encodeWith(versionedCodec, {
    version: PROTOCOL_VERSION,
    body: { ...envelope, messages: envelope.messages as Routed[] },
  });
}

/** Throws DecodeError: bad bytes, or a version outside floor..current. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  const reader = new MessageReader(bytes, BOUNDS);
  const length = reader.beginList();
  const version = reader.count();
  if (version < PROTOCOL_VERSION_FLOOR || version > PROTOCOL_VERSION) {
    throw new DecodeError(`protocol version ${version} is not supported`);
  }
  if (length < 2) throw new DecodeError('not an envelope');
  const body = envelopeCodec.read(reader);
  reader.endList(length - 2);
  reader.end();
  return {
    ...body,
    messages: body.messages.map((m) => ({
      group: m.group as GroupId,
      to: m.to as ReplicaId | '',
      message: m.message,
    })),
  };
}
