/**
 * Keys are `key` and nine digits, so that a prepared request is changed by writing digits in place. Their
 * base64 (for etcd's JSON) can be written the same way: three bytes are four characters, and both the
 * prefix and the digits come in threes.
 */
export const KEY_PREFIX = 'key';
export const KEY_DIGITS = 9;
export const KEY_BYTES = KEY_PREFIX.length + KEY_DIGITS;
export const KEY_BASE64_BYTES = (KEY_BYTES / 3) * 4;

const GROUPS = KEY_DIGITS / 3;
const PLAIN = Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, '0'));
const TEXT = Buffer.from(PLAIN.join(''), 'latin1');
const BASE64 = Buffer.from(PLAIN.map((text) => btoa(text)).join(''), 'latin1');

export function keyOf(n: number): string {
  return KEY_PREFIX + String(n).padStart(KEY_DIGITS, '0');
}

/** Writes the nine digits of `n` at `at`. */
export function writeDigits(bytes: Buffer, at: number, n: number): void {
  let rest = n;
  for (let group = GROUPS - 1; group >= 0; group--) {
    const from = (rest % 1000) * 3;
    rest = Math.floor(rest / 1000);
    const to = at + group * 3;
    bytes[to] = TEXT[from] as number;
    bytes[to + 1] = TEXT[from + 1] as number;
    bytes[to + 2] = TEXT[from + 2] as number;
  }
}

/** Writes the base64 of the nine digits of `n`, twelve characters, at `at`. */
export function writeDigitsBase64(bytes: Buffer, at: number, n: number): void {
  let rest = n;
  for (let group = GROUPS - 1; group >= 0; group--) {
    const from = (rest % 1000) * 4;
    rest = Math.floor(rest / 1000);
    const to = at + group * 4;
    bytes[to] = BASE64[from] as number;
    bytes[to + 1] = BASE64[from + 1] as number;
    bytes[to + 2] = BASE64[from + 2] as number;
    bytes[to + 3] = BASE64[from + 3] as number;
  }
}
