/** IP addresses and ranges of them (`10.0.0.0/8`, `2001:db8::/32`) as bits. */
export interface IpRange {
  readonly bits: 32 | 128;
  readonly value: bigint;
  /** How many leading bits count. */
  readonly prefix: number;
}

/** Null for what is neither an address nor a range. */
export function ipRangeOf(text: string): IpRange | null {
  const [address = '', length, ...rest] = text.split('/');
  const whole = rest.length > 0 ? null : (ipV4Of(address) ?? ipV6Of(address));
  if (whole === null || length === undefined) return whole;
  const prefix = /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  return prefix <= whole.bits ? { ...whole, prefix } : null;
}

export function isInRange(address: IpRange, range: IpRange): boolean {
  if (address.bits !== range.bits) return false;
  const shift = BigInt(range.bits - range.prefix);
  return address.value >> shift === range.value >> shift;
}

function ipV4Of(text: string): IpRange | null {
  const parts = text.split('.');
  const isWhole = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part));
  if (!isWhole || parts.some((part) => Number(part) > 255)) return null;
  const value = parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  return { bits: 32, value, prefix: 32 };
}

function ipV6Of(text: string): IpRange | null {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text);
  if (mapped !== null) return ipV4Of(mapped[1] as string);
  const [head = '', tail, ...rest] = text.split('::');
  if (rest.length > 0 || !text.includes(':')) return null;
  const before = wordsOf(head);
  const after = tail === undefined ? [] : wordsOf(tail);
  if (before === null || after === null) return null;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const words = [...before, ...new Array<number>(Math.max(missing, 0)).fill(0), ...after];
  const value = words.reduce((sum, word) => sum * 65_536n + BigInt(word), 0n);
  return { bits: 128, value, prefix: 128 };
}

function wordsOf(text: string): number[] | null {
  if (text === '') return [];
  const words = text.split(':');
  const isHex = words.every((word) => /^[0-9a-f]{1,4}$/i.test(word));
  return isHex ? words.map((word) => Number.parseInt(word, 16)) : null;
}
