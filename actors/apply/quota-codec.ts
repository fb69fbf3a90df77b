import { encodeWith, unpackBytes } from '../../protocol/codec.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { boundsCodec, QUOTA_KINDS, quotaScopeCodec } from '../../protocol/quotas.ts';
import * as s from '../../protocol/schema.ts';

/** A group's share of one quota, as its row has it. */
export const shareRowCodec = s.record({
  round: s.count,
  /** The round that began it: a later share of the same scope is another one. */
  since: s.count,
  allowed: s.nullable(boundsCodec),
  /** What it holds; until what was there before is counted, the change since it began, which may be below 0. */
  used: s.list(s.float, QUOTA_KINDS.length),
  isCounted: s.bool,
});
export type ShareRow = s.Of<typeof shareRowCodec>;

/** Which shares there are, so that opening a group looks at no other rows. */
export const sharesRowCodec = s.record({
  scopes: s.list(quotaScopeCodec, LIMITS.quotasMax),
  /** Rounds up to this one begin no share: a quota was removed by it. */
  removedUpTo: s.count,
});
export type SharesRow = s.Of<typeof sharesRowCodec>;

const BOUNDS = { bytesMax: LIMITS.entryBytesMax, itemsMax: LIMITS.quotasMax * 2, depthMax: 6 };

export function encodeShare(row: ShareRow): Uint8Array {
  return encodeWith(shareRowCodec, row);
}

/** Throws DecodeError. */
export function decodeShare(bytes: Uint8Array): ShareRow {
  return shareRowCodec.unpack(unpackBytes(bytes, BOUNDS));
}

export function encodeShares(row: SharesRow): Uint8Array {
  return encodeWith(sharesRowCodec, row);
}

/** Throws DecodeError. */
export function decodeShares(bytes: Uint8Array): SharesRow {
  return sharesRowCodec.unpack(unpackBytes(bytes, BOUNDS));
}
