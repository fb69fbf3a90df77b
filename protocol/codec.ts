import { Decoder, Encoder } from '@msgpack/msgpack';

/** Input from outside that cannot be decoded. The only error a decoder throws. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

/** What one decode may cost; every bound is checked before it allocates. */
export interface DecodeBounds {
  readonly bytesMax: number;
  readonly itemsMax: number;
  readonly depthMax: number;
}

const encoder = new Encoder({ ignoreUndefined: false, initialBufferSize: 4096 });

/** MessagePack bytes (a fresh array). The only door to @msgpack/msgpack. */
export function packBytes(value: unknown): Uint8Array {
  return encoder.encode(value);
}

/** MessagePack to plain arrays, strings, numbers, booleans, null, Uint8Array and objects. */
export function unpackBytes(bytes: Uint8Array, bounds: DecodeBounds): unknown {
  if (bytes.length > bounds.bytesMax) throw new DecodeError('message is too large');
  checkShape(bytes, bounds);
  const decoder = new Decoder({
    maxStrLength: bounds.bytesMax,
    maxBinLength: bounds.bytesMax,
    maxArrayLength: bounds.itemsMax,
    maxMapLength: bounds.itemsMax,
    maxExtLength: 0,
  });
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new DecodeError('not valid MessagePack', { cause: error });
  }
}

/**
 * Walks the bytes once without allocating: depth, and that every declared length is there. The
 * library checks lengths against its limits only, so `dd 00 ff ff ff` would reserve 16 M slots.
 */
function checkShape(bytes: Uint8Array, bounds: DecodeBounds): void {
  const pending: number[] = [];
  let items = 1;
  let at = 0;
  for (;;) {
    while (items === 0) {
      const outer = pending.pop();
      if (outer === undefined) {
        if (at !== bytes.length) throw new DecodeError('bytes after the message');
        return;
      }
      items = outer;
    }
    items--;
    const head = headOf(bytes, at);
    at = head.next;
    if (at > bytes.length) throw new DecodeError('message is cut short');
    if (head.children > 0) {
      if (head.children > bounds.itemsMax * 2 || head.children > bytes.length - at) {
        throw new DecodeError('more items than allowed');
      }
      if (pending.length >= bounds.depthMax) throw new DecodeError('nested too deep');
      pending.push(items);
      items = head.children;
    }
  }
}

const FIXED: Readonly<Record<number, number>> = {
  192: 1,
  194: 1,
  195: 1,
  202: 5,
  203: 9,
  204: 2,
  205: 3,
  206: 5,
  207: 9,
  208: 2,
  209: 3,
  210: 5,
  211: 9,
};

/** Where the value at `at` ends (its children excluded), and how many children follow. */
function headOf(bytes: Uint8Array, at: number): { next: number; children: number } {
  const tag = bytes[at];
  if (tag === undefined) throw new DecodeError('message is cut short');
  if (tag < 0x80 || tag >= 0xe0) return { next: at + 1, children: 0 };
  if (tag < 0x90) return { next: at + 1, children: (tag & 0x0f) * 2 };
  if (tag < 0xa0) return { next: at + 1, children: tag & 0x0f };
  if (tag < 0xc0) return { next: at + 1 + (tag & 0x1f), children: 0 };
  const fixed = FIXED[tag];
  if (fixed !== undefined) return { next: at + fixed, children: 0 };
  switch (tag) {
    case 0xc4:
    case 0xd9:
      return { next: at + 2 + lengthAt(bytes, at + 1, 1), children: 0 };
    case 0xc5:
    case 0xda:
      return { next: at + 3 + lengthAt(bytes, at + 1, 2), children: 0 };
    case 0xc6:
    case 0xdb:
      return { next: at + 5 + lengthAt(bytes, at + 1, 4), children: 0 };
    case 0xdc:
      return { next: at + 3, children: lengthAt(bytes, at + 1, 2) };
    case 0xdd:
      return { next: at + 5, children: lengthAt(bytes, at + 1, 4) };
    case 0xde:
      return { next: at + 3, children: lengthAt(bytes, at + 1, 2) * 2 };
    case 0xdf:
      return { next: at + 5, children: lengthAt(bytes, at + 1, 4) * 2 };
    default:
      throw new DecodeError('extension types are not used here');
  }
}

function lengthAt(bytes: Uint8Array, at: number, width: number): number {
  let length = 0;
  for (let i = 0; i < width; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) throw new DecodeError('message is cut short');
    length = length * 256 + byte;
  }
  return length;
}
