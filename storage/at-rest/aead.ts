import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';

/** AES-256-GCM (NIST SP 800-38D) and HKDF-SHA-256 (RFC 5869), as everything at rest uses them. */
export const KEY_BYTES = 32;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

/** A key for one purpose, and with a drawn salt for one file or one life of a process. */
export function derivedKey(key: Uint8Array, purpose: string, salt: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, `minikv at rest 1 ${purpose}`, KEY_BYTES));
}

/** Ciphertext and tag. A nonce is used once under a key: whoever calls sees to it. */
export function seal(
  key: Uint8Array,
  nonce: Uint8Array,
  context: Uint8Array,
  plain: Uint8Array,
): { readonly bytes: Buffer; readonly tag: Buffer } {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(context);
  const bytes = cipher.update(plain);
  cipher.final();
  return { bytes, tag: cipher.getAuthTag() };
}

/** Null: these bytes were not sealed so, under this key, with this nonce, in this context. */
export function open(
  key: Uint8Array,
  nonce: Uint8Array,
  context: Uint8Array,
  sealed: { readonly bytes: Uint8Array; readonly tag: Uint8Array },
): Buffer | null {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(context);
  decipher.setAuthTag(sealed.tag);
  const plain = decipher.update(sealed.bytes);
  try {
    decipher.final();
  } catch {
    return null;
  }
  return plain;
}
