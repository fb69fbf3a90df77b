import { fromLatin1 } from './bytes.ts';
import { xxHash64 } from './hash.ts';
import type { VshardId } from './types.ts';

/** Fixed for ever: moving a key between vshards would lose it. */
export const VSHARD_COUNT = 256;

/** A key's full name. `tenant` and `space` are names (see limits), `key` is latin1 bytes. */
export interface KeyRef {
  readonly tenant: string;
  readonly space: string;
  /** The key's bytes as a latin1 string, 1..keyBytesMax. */
  readonly key: string;
}

export const DEFAULT_TENANT = 'default';
/** The space of plain keys; S3 objects and system rows get spaces of their own. */
export const KV_SPACE = 'kv';

/**
 * The virtual shard of a key: xxHash64, seed 0, over the length-prefixed triple (u16 big-endian
 * lengths), mod 256. Fixed for ever (ARCHITECTURE section 3).
 */
export function vshardOf(ref: KeyRef): VshardId {
  const text = prefixed(ref.tenant) + prefixed(ref.space) + prefixed(ref.key);
  return Number(xxHash64(fromLatin1(text)) & 0xffn) as VshardId;
}

function prefixed(part: string): string {
  return String.fromCharCode((part.length >> 8) & 0xff, part.length & 0xff) + part;
}
