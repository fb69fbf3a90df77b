const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';
const DAYS = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const LONG_DAYS = '(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day';
const TIME = '(?<time>\\d\\d:\\d\\d:\\d\\d)';
const MONTH = `(?<month>${MONTHS.match(/.../g)?.join('|')})`;
/** The three forms of RFC 9110 section 5.6.7: IMF-fixdate, RFC 850, asctime. */
const FORMS = [
  new RegExp(`^${DAYS}, (?<day>\\d\\d) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(`^${LONG_DAYS}, (?<day>\\d\\d)-${MONTH}-(?<year>\\d\\d) ${TIME} GMT$`),
  new RegExp(`^${DAYS} ${MONTH} (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})$`),
];

/**
 * An HTTP date as unix milliseconds, null where the text is none. A year of two digits is not more than
 * 50 years ahead of `wallMs`. The name of the weekday is not compared with the date.
 */
export function httpDateMs(text: string, wallMs: number): number | null {
  for (const form of FORMS) {
    const found = form.exec(text)?.groups;
    if (found === undefined) continue;
    const month = MONTHS.indexOf(found['month'] as string) / 3 + 1;
    const year = fullYear(found['year'] as string, wallMs);
    const day = (found['day'] as string).trim().padStart(2, '0');
    const iso = `${year}-${String(month).padStart(2, '0')}-${day}T${found['time']}.000Z`;
    const ms = Date.parse(iso);
    return !Number.isNaN(ms) && new Date(ms).toISOString() === iso ? ms : null;
  }
  return null;
}

function fullYear(year: string, wallMs: number): string {
  if (year.length === 4) return year;
  const now = new Date(wallMs).getUTCFullYear();
  const inThisCentury = Math.floor(now / 100) * 100 + Number(year);
  return String(inThisCentury > now + 50 ? inThisCentury - 100 : inThisCentury);
}
