import { randomInt, seededRandom } from '../../protocol/random.ts';
import type { DecoderTarget, Pick } from './target.ts';

const INPUT_BYTES_MAX = 64 * 1024;

export function pickOf(seed: number, stream: string): Pick {
  const random = seededRandom(seed, stream);
  const below = (max: number): number => randomInt(random, 0, max - 1);
  return {
    below,
    one: (of) => {
      if (of.length === 0) throw new Error('there is nothing to pick');
      return of[below(of.length)] as (typeof of)[number];
    },
    chance: (share) => random.next() < share,
    bytes: (length) => random.bytes(length),
  };
}

/** The input of one case: random bytes, valid input, and valid input that was changed. A function of target and seed. */
export function inputOf(target: DecoderTarget, seed: number): Buffer {
  const pick = pickOf(seed, target.name);
  if (pick.chance(0.05)) return Buffer.from(pick.bytes(pick.below(300)));
  let bytes: Buffer = Buffer.from(validOf(target, pick));
  if (pick.chance(0.05)) return bytes;
  const count = 1 + pick.below(pick.chance(0.2) ? 12 : 3);
  for (let i = 0; i < count; i++) bytes = changed(bytes, target, pick);
  bytes = bytes.subarray(0, INPUT_BYTES_MAX);
  const { repair } = target;
  return repair !== undefined && pick.chance(0.7) ? Buffer.from(repair(bytes)) : bytes;
}

function validOf({ seeds, draw }: DecoderTarget, pick: Pick): Uint8Array {
  if (draw !== undefined && (seeds.length === 0 || pick.chance(0.7))) return draw(pick);
  return pick.one(seeds);
}

const ODD_NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff];
const ODD_TEXTS = [
  ...['\0', '\u00ff', '%00', '%', '\r\n', '\n', '"', "'", '<', '&', '__proto__', 'constructor'],
  ...['-1', '-0', '1e999', '9007199254740993', 'NaN', 'null', '{}', '[]', '../', '\u{1f600}', ' '],
];

function changed(bytes: Buffer, target: DecoderTarget, pick: Pick): Buffer {
  const at = pick.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + pick.below(pick.chance(0.2) ? 400 : 8));
  const [head, middle, tail] = [
    bytes.subarray(0, at),
    bytes.subarray(at, end),
    bytes.subarray(end),
  ];
  switch (pick.below(10)) {
    case 0: // one bit
      return flipped(bytes, at, 1 << pick.below(8));
    case 1:
      return flipped(bytes, at, 1 + pick.below(255));
    case 2:
      return Buffer.concat([head, tail]);
    case 3:
      return Buffer.concat([head, middle, middle, tail]);
    case 4:
      return Buffer.concat([head, pick.bytes(1 + pick.below(8)), middle, tail]);
    case 5:
      return Buffer.concat([head, pick.bytes(middle.length), tail]);
    case 6:
      return withNumber(bytes, at, pick);
    case 7: // the end is missing
      return head;
    case 8: {
      const words = [...(target.words ?? []), ...ODD_TEXTS];
      return Buffer.concat([
        head,
        Buffer.from(pick.one(words)),
        pick.chance(0.5) ? middle : EMPTY,
        tail,
      ]);
    }
    default: {
      // A piece of other valid input, or much of one piece.
      const other = Buffer.from(validOf(target, pick));
      const from = pick.below(other.length + 1);
      const piece = other.subarray(from, from + 1 + pick.below(64));
      const times = pick.chance(0.1) ? pick.below(500) : 1;
      return Buffer.concat([head, ...new Array<Buffer>(times).fill(piece), tail]);
    }
  }
}

const EMPTY = Buffer.alloc(0);

function flipped(bytes: Buffer, at: number, mask: number): Buffer {
  if (at >= bytes.length) return bytes;
  const out = Buffer.from(bytes);
  out[at] = (out[at] as number) ^ mask;
  return out;
}

function withNumber(bytes: Buffer, at: number, pick: Pick): Buffer {
  const width = pick.one([1, 2, 4]);
  if (at + width > bytes.length) return bytes;
  const out = Buffer.from(bytes);
  const value = pick.one(ODD_NUMBERS) % 2 ** (8 * width);
  if (pick.chance(0.5)) out.writeUIntBE(value, at, width);
  else out.writeUIntLE(value, at, width);
  return out;
}
