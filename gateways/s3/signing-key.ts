import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Scope } from './credential-scope.ts';

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'latin1').digest();
}

/** Four HMACs: what one day's requests of one secret are signed with. */
export function deriveSigningKey(secretAccessKey: string, scope: Scope): Buffer {
  const ofDate = hmac(Buffer.from(`AWS4${secretAccessKey}`, 'utf8'), scope.date);
  return hmac(hmac(hmac(ofDate, scope.region), scope.service), 'aws4_request');
}

/** Lower-case hex, as signatures are written. */
export function signatureOf(signingKey: Buffer, stringToSign: string): string {
  return hmac(signingKey, stringToSign).toString('hex');
}

const SIGNATURE = /^[0-9a-f]{64}$/;

/** In constant time. A signature that has no such form is none. */
export function isSameSignature(expected: string, given: string): boolean {
  if (!SIGNATURE.test(given)) return false;
  return timingSafeEqual(Buffer.from(expected, 'latin1'), Buffer.from(given, 'latin1'));
}

/** Of any two texts; only their lengths can be told apart by time. */
export function isSameSecret(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8')];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** A client signs a day's requests with one key, or two around midnight. */
const KEYS_MAX = 1024;

interface CachedKey {
  readonly secretAccessKey: string;
  readonly key: Buffer;
}

/**
 * The signing keys that were used last. A secret that was replaced is noticed: its key is derived anew.
 * Scopes are bounded by who asks: only known access keys come here, with dates near to now.
 */
export class SigningKeys {
  readonly #keys = new Map<string, CachedKey>();
  readonly #max: number;

  constructor(max = KEYS_MAX) {
    this.#max = max;
  }

  get size(): number {
    return this.#keys.size;
  }

  keyOf(accessKeyId: string, secretAccessKey: string, scope: Scope): Buffer {
    const name = `${accessKeyId}/${scope.text}`;
    const cached = this.#keys.get(name);
    if (cached !== undefined) this.#keys.delete(name);
    const known = cached !== undefined && cached.secretAccessKey === secretAccessKey;
    const entry = known
      ? cached
      : { secretAccessKey, key: deriveSigningKey(secretAccessKey, scope) };
    // Last in the map is last used.
    this.#keys.set(name, entry);
    if (this.#keys.size > this.#max) {
      const oldest = this.#keys.keys().next();
      if (!oldest.done) this.#keys.delete(oldest.value);
    }
    return entry.key;
  }
}
