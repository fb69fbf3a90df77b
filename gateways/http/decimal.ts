const GROUP = 1_000_000_000;
const THREE_DIGITS = Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, '0'));

/**
 * A whole number from 0 to 2^53 - 1 as text. Revisions pass 2^31, where V8 formats a number as a double, in
 * a call out of compiled code; of one revision to the next only the last digits change.
 */
export function decimal(n: number): string {
  if (n < GROUP) return String(n);
  const high = Math.floor(n / GROUP);
  const low = n - high * GROUP;
  const thousands = Math.floor(low / 1000);
  const [a, b] = [THREE_DIGITS[Math.floor(thousands / 1000)], THREE_DIGITS[thousands % 1000]];
  return `${high}${a}${b}${THREE_DIGITS[low % 1000]}`;
}
