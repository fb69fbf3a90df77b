import { describe, expect, it } from 'vitest';
import { derivedKey, open, seal } from '../../../../storage/at-rest/aead.ts';

const hex = (text: string) => Buffer.from(text, 'hex');

describe('sealing', () => {
  it('is AES-256-GCM: test cases 14 and 16 of its specification', () => {
    const plain = seal(Buffer.alloc(32), Buffer.alloc(12), Buffer.alloc(0), Buffer.alloc(16));
    expect(plain.bytes.toString('hex')).toBe('cea7403d4d606b6e074ec5d3baf39d18');
    expect(plain.tag.toString('hex')).toBe('d0d1c8a799996bf0265b98b5d48ab919');
    const bound = seal(
      hex('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308'),
      hex('cafebabefacedbaddecaf888'),
      hex('feedfacedeadbeeffeedfacedeadbeefabaddad2'),
      hex(
        'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
          '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
      ),
    );
    expect(bound.bytes.toString('hex')).toBe(
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa' +
        '8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662',
    );
    expect(bound.tag.toString('hex')).toBe('76fc6ece0f4e1768cddf8853bb2d551b');
  });

  it('derives keys by HKDF-SHA-256, as OpenSSL does', () => {
    const key = derivedKey(Buffer.alloc(32, 5), 'wal', Buffer.alloc(12, 9));
    expect(key.toString('hex')).toBe(
      'a81e486e3b31a9fb5da7078ed8799063f7f88f0d485f399ec64d1f8c4f8afa72',
    );
    expect(derivedKey(Buffer.alloc(32, 5), 'state', Buffer.alloc(12, 9))).not.toEqual(key);
    expect(derivedKey(Buffer.alloc(32, 5), 'wal', Buffer.alloc(12, 8))).not.toEqual(key);
  });

  it('opens with the same key, nonce and context only, and when no bit was changed', () => {
    const parts = {
      key: Buffer.alloc(32, 1),
      nonce: Buffer.alloc(12, 2),
      context: Buffer.from('a'),
    };
    const sealed = seal(parts.key, parts.nonce, parts.context, Buffer.from('plain'));
    expect(open(parts.key, parts.nonce, parts.context, sealed)?.toString()).toBe('plain');
    expect(open(Buffer.alloc(32, 3), parts.nonce, parts.context, sealed)).toBeNull();
    expect(open(parts.key, Buffer.alloc(12, 3), parts.context, sealed)).toBeNull();
    expect(open(parts.key, parts.nonce, Buffer.from('b'), sealed)).toBeNull();
    for (const field of ['bytes', 'tag'] as const) {
      for (let bit = 0; bit < sealed[field].length * 8; bit++) {
        const changed = Buffer.from(sealed[field]);
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
        const other = { ...sealed, [field]: changed };
        expect(open(parts.key, parts.nonce, parts.context, other)).toBeNull();
      }
    }
  });
});
