import { describe, expect, it } from 'vitest';
import { derivedKey, unwrapKey, wrapKey } from '../../../../gateways/encryption/key-wrap.ts';
import { seededRandom } from '../../../../protocol/random.ts';

const range = (from: number, bytes: number) =>
  Buffer.from(Array.from({ length: bytes }, (_, i) => from + i));
const UNDER = range(0, 32);
const KEY = range(0x40, 32);
const CONTEXT = Buffer.from('context');

describe('wrapped keys', () => {
  /** Made with OpenSSL 3.0: HKDF by `openssl kdf`, the wrapping by its EVP AES-256-GCM. */
  it('are as OpenSSL makes them', () => {
    const salt = Buffer.alloc(32, 0xbb);
    expect(derivedKey(UNDER, 'wrap', salt).toString('hex')).toBe(
      '153a5cf29b65ed75d458c146aded2d5fc6be0ad7814b466a436f24656cbe61ad',
    );
    const random = { next: () => 0, bytes: () => salt };
    expect(wrapKey(UNDER, KEY, CONTEXT, random).toString('hex')).toBe(
      'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb11a73dbcb36bbc16e127024b301a94b0f430091f76e78f8dbbc645bdf2c346666c7ec7b702ac64d4841bdb4123227cb7',
    );
  });

  it('unwrap under the same key in the same context, and no other', () => {
    const random = seededRandom(1);
    const wrapped = wrapKey(UNDER, KEY, CONTEXT, random);
    expect(unwrapKey(UNDER, wrapped, CONTEXT)).toEqual(KEY);
    expect(unwrapKey(range(1, 32), wrapped, CONTEXT)).toBeNull();
    expect(unwrapKey(UNDER, wrapped, Buffer.from('contexts'))).toBeNull();
    expect(unwrapKey(UNDER, wrapped.subarray(1), CONTEXT)).toBeNull();
    for (let at = 0; at < wrapped.length; at++) {
      const changed = Buffer.from(wrapped);
      changed[at] = (changed[at] as number) ^ 1;
      expect(unwrapKey(UNDER, changed, CONTEXT)).toBeNull();
    }
  });

  it('never look alike', () => {
    const random = seededRandom(2);
    const wrap = () => wrapKey(UNDER, KEY, CONTEXT, random).toString('hex');
    expect(new Set([wrap(), wrap(), wrap()]).size).toBe(3);
  });
});
