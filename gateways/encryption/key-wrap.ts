import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import type { Random } from '../../protocol/random.ts';

/** AES-256 throughout. */
export const KEY_BYTES = 32;
const SALT_BYTES = 32;
const TAG_BYTES = 16;
export const WRAPPED_BYTES = SALT_BYTES + KEY_BYTES + TAG_BYTES;
const NO_NONCE = Buffer.alloc(12);
const NO_SALT = Buffer.alloc(0);

/** A key of its own for each purpose: what one is used for says nothing about another. */
export function derivedKey(key: Uint8Array, purpose: string, salt: Uint8Array = NO_SALT): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, `minikv 1 ${purpose}`, KEY_BYTES));
}

/**
 * A key under another key, bound to `context`: salt, ciphertext, tag. Each wrapping has a key of its own, drawn by its
 * salt, so one key may wrap any number of others.
 */
export function wrapKey(
  under: Uint8Array,
  key: Uint8Array,
  context: Uint8Array,
  random: Random,
): Buffer {
  const salt = random.bytes(SALT_BYTES);
  const cipher = createCipheriv('aes-256-gcm', derivedKey(under, 'wrap', salt), NO_NONCE);
  cipher.setAAD(context);
  const wrapped = cipher.update(key);
  cipher.final();
  return Buffer.concat([salt, wrapped, cipher.getAuthTag()]);
}

/** Null: it was wrapped under another key, in another context, or is damaged. */
export function unwrapKey(
  under: Uint8Array,
  wrapped: Uint8Array,
  context: Uint8Array,
): Buffer | null {
  if (wrapped.length !== WRAPPED_BYTES) return null;
  const salt = wrapped.subarray(0, SALT_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', derivedKey(under, 'wrap', salt), NO_NONCE, {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(context);
  decipher.setAuthTag(wrapped.subarray(SALT_BYTES + KEY_BYTES));
  const key = decipher.update(wrapped.subarray(SALT_BYTES, SALT_BYTES + KEY_BYTES));
  try {
    decipher.final();
  } catch {
    return null;
  }
  return key;
}
