/** NATS subjects that notifications may go to: those that a pattern of the configuration allows, and none that is reserved. */

const TOKEN = /^[A-Za-z0-9_-]{1,64}$/;
const SUBJECT_CHARS_MAX = 200;

/** Without wildcards, and not of this program (`minikv`), of NATS itself (`$JS`, `$SYS`) or of replies (`_INBOX`). */
export function isPublicSubject(subject: string): boolean {
  const tokens = subject.split('.');
  const [first = ''] = tokens;
  if (subject.length > SUBJECT_CHARS_MAX || !tokens.every((token) => TOKEN.test(token)))
    return false;
  return first.toLowerCase() !== 'minikv' && !first.startsWith('_');
}

/** Tokens, `*` for one of them, `>` at the end for one or more. */
export function isSubjectPattern(pattern: string): boolean {
  const tokens = pattern.split('.');
  const last = tokens.pop() ?? '';
  const fits = (token: string): boolean => token === '*' || TOKEN.test(token);
  return pattern.length <= SUBJECT_CHARS_MAX && tokens.every(fits) && (last === '>' || fits(last));
}

export function matchesPattern(subject: string, pattern: string): boolean {
  const wanted = pattern.split('.');
  const tokens = subject.split('.');
  for (const [i, token] of wanted.entries()) {
    if (token === '>') return tokens.length > i;
    if (token !== '*' && token !== tokens[i]) return false;
    if (tokens[i] === undefined) return false;
  }
  return tokens.length === wanted.length;
}
