import { packBytes, unpackBytes } from './codec.ts';
import { LIMITS } from './limits.ts';
import * as s from './schema.ts';
import type { ReplicaId } from './types.ts';

const members = s.list(s.str<ReplicaId>(64), 32);

/**
 * A group's members (Raft section 6). While `votersOld` is not null the configuration is joint:
 * every quorum needs a majority of both. A replica id contains its incarnation, so a replica that
 * lost its log is another member and its old votes and acknowledgements count for nobody.
 */
export const configCodec = s.record({
  voters: members,
  votersOld: s.nullable(members),
  learners: members,
});
export type GroupConfig = s.Of<typeof configCodec>;

export function encodeConfig(config: GroupConfig): Uint8Array {
  return packBytes(configCodec.pack(config));
}

/** Throws DecodeError. */
export function decodeConfig(bytes: Uint8Array): GroupConfig {
  const bounds = { bytesMax: LIMITS.entryBytesMax, itemsMax: 256, depthMax: 4 };
  return configCodec.unpack(unpackBytes(bytes, bounds));
}
