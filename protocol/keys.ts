import { LIMITS } from './limits.ts';
import * as s from './schema.ts';

/** Tenant and space names: 1..64 of A-Z a-z 0-9 . _ - */
export const NAME_BYTES_MAX = 64;

/** A key's full name, as it travels and as it is logged. */
export const keyRefCodec = s.record({
  tenant: s.str(NAME_BYTES_MAX),
  space: s.str(NAME_BYTES_MAX),
  key: s.latin1Str(LIMITS.keyBytesMax),
});

/** Keys of one space in [start, end), latin1 bytes; end null is open. */
export const keyRangeFields = {
  tenant: s.str(NAME_BYTES_MAX),
  space: s.str(NAME_BYTES_MAX),
  start: s.latin1Str(LIMITS.keyBytesMax + 1),
  end: s.nullable(s.latin1Str(LIMITS.keyBytesMax + 1)),
};

/** What every put says, plain or in a transaction. `ttlMs` null never expires. */
export const putFields = {
  ref: keyRefCodec,
  value: s.bin(LIMITS.valueBytesMax),
  contentType: s.nullable(s.str(LIMITS.contentTypeBytesMax)),
  ttlMs: s.nullable(s.count),
};

export interface KeyRange {
  readonly tenant: string;
  readonly space: string;
  readonly start: string;
  readonly end: string | null;
}
