import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CrcJoin } from '../../../protocol/crc-combine.ts';
import { crc32c, extendCrc32c } from '../../../storage/checksum.ts';

describe('CRC32C', () => {
  it('is that of RFC 3720', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe306_9283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a91_36aa);
  });

  it('of two pieces is joined from those of each, as if it went on', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (a, b) => {
        const joined = new CrcJoin('CRC32C', b.length).join(crc32c(a), crc32c(b));
        expect(joined).toBe(extendCrc32c(crc32c(a), b));
        expect(joined).toBe(crc32c(Buffer.concat([a, b])));
      }),
    );
  });

  it('is joined over lengths beyond 32 bits of bits', () => {
    const half = Buffer.alloc(64 * 1024 * 1024, 'minikv');
    const wanted = extendCrc32c(crc32c(half), half);
    expect(new CrcJoin('CRC32C', half.length).join(crc32c(half), crc32c(half))).toBe(wanted);
    // Ten halves: 5 Gbit of them follow the first.
    const nine = Array.from({ length: 9 }).reduce<number>((crc) => extendCrc32c(crc, half), 0);
    expect(new CrcJoin('CRC32C', 9 * half.length).join(crc32c(half), nine)).toBe(
      extendCrc32c(nine, half),
    );
  });
});
