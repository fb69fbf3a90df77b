import { xxHash64 } from './hash.ts';
import { KEY_SLOTS, REMEMBERED_KEY_MAX, slotOfKey } from './key-slots.ts';
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

/** One for all calls: the hash is taken before anybody else can write to it. */
let scratch = Buffer.alloc(1024);
const views = new Array<Uint8Array | null>(256).fill(null);

/** Below this a loop beats a native call. */
const SHORT_PART_MAX = 48;

/**
 * The virtual shard of a key: xxHash64, seed 0, over the length-prefixed triple (u16 big-endian
 * lengths), mod 256. Fixed for ever (ARCHITECTURE section 3).
 */
export function vshardOf(ref: KeyRef): VshardId {
  const { tenant, space, key } = ref;
  if (key.length > REMEMBERED_KEY_MAX) return hashed(tenant, space, key);
  const slot = slotOfKey(key);
  if (key !== keys[slot] || space !== spaces[slot] || tenant !== tenants[slot]) {
    vshards[slot] = hashed(tenant, space, key);
    tenants[slot] = tenant;
    spaces[slot] = space;
    keys[slot] = key;
  }
  return vshards[slot] as VshardId;
}

/**
 * A request asks about a key where it is routed, where it is judged and where it is applied, and a transaction several
 * times at each: the last keys are remembered, each in the slot that its length and last characters say.
 */
const tenants = new Array<string>(KEY_SLOTS).fill('');
const spaces = new Array<string>(KEY_SLOTS).fill('');
const keys = new Array<string>(KEY_SLOTS).fill('');
const vshards = new Uint8Array(KEY_SLOTS).fill(hashed('', '', ''));

/** The same of one key among many, which would only drive each other out of what is remembered. */
export function vshardOfMany({ tenant, space, key }: KeyRef): VshardId {
  return hashed(tenant, space, key);
}

function hashed(tenant: string, space: string, key: string): VshardId {
  const bytes = 6 + tenant.length + space.length + key.length;
  if (bytes > scratch.length) {
    scratch = Buffer.alloc(bytes);
    views.fill(null);
  }
  const end = writePrefixed(writePrefixed(writePrefixed(0, tenant), space), key);
  return Number(xxHash64(scratchTo(end)) & 0xffn) as VshardId;
}

/** The first bytes of the scratch: a view costs more than the hash, so those of short names are kept. */
function scratchTo(end: number): Uint8Array {
  if (end >= views.length) return new Uint8Array(scratch.buffer, 0, end);
  views[end] ??= new Uint8Array(scratch.buffer, 0, end);
  return views[end];
}

/** Writes a part at `at` with its length before it; returns where it ends. */
function writePrefixed(at: number, part: string): number {
  const { length } = part;
  scratch[at] = length >> 8;
  scratch[at + 1] = length;
  const start = at + 2;
  if (length > SHORT_PART_MAX) scratch.write(part, start, 'latin1');
  else for (let i = 0; i < length; i++) scratch[start + i] = part.charCodeAt(i);
  return start + length;
}
