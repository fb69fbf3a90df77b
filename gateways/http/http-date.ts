const DAY_MS = 86_400_000;
/** What follows the date in toUTCString: ` 04:02:30 GMT`. */
const TIME_CHARS = 13;
const TWO_DIGITS = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'));

/**
 * Unix milliseconds as an HTTP date (RFC 9110 section 5.6.7). The date's part is remembered for the day it
 * was last asked about, which leaves the time: answers are mostly about one day.
 */
export class HttpDates {
  #day = Number.NaN;
  #date = '';

  text(wallMs: number): string {
    const day = Math.floor(wallMs / DAY_MS);
    if (day !== this.#day) {
      this.#date = new Date(day * DAY_MS).toUTCString().slice(0, -TIME_CHARS);
      this.#day = day;
    }
    const second = Math.floor((wallMs - day * DAY_MS) / 1000);
    const minute = Math.floor(second / 60);
    const hour = Math.floor(minute / 60);
    const [h, m, s] = [TWO_DIGITS[hour], TWO_DIGITS[minute % 60], TWO_DIGITS[second % 60]];
    return `${this.#date} ${h}:${m}:${s} GMT`;
  }
}
