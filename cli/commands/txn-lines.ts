/** A transaction as it is typed, one line at a time. */
export interface TxnDocument {
  readonly compare: Record<string, unknown>[];
  readonly then: Record<string, unknown>[];
  else?: Record<string, unknown>[];
}

export const TXN_SYNTAX = [
  'if KEY value|revision|version|lease =|!=|<|> WHAT, if KEY exists|absent: compares, all of which must hold',
  'put KEY VALUE, get KEY, del KEY, range PREFIX: what is done; after a line `else`, what is done otherwise',
  'An empty line sends it, Ctrl-C gives it up.',
].join('\n');

const UNKNOWN = `it is none of these.\n${TXN_SYNTAX}`;

/** Adds one line; tells what is wrong with it, or null. Words are parted by blanks; a value goes to the end. */
export function parseTxnLine(document: TxnDocument, line: string): string | null {
  const [word = '', key = '', ...rest] = line.split(/\s+/);
  const branch = document.else ?? document.then;
  if (word === 'else' && key === '') {
    document.else ??= [];
    return null;
  }
  if (key === '') return UNKNOWN;
  switch (word) {
    case 'if': {
      if (branch.length > 0 || document.else !== undefined) return 'compares come first';
      const compare = compareOf(key, rest);
      if (compare === null) return UNKNOWN;
      document.compare.push(compare);
      return null;
    }
    case 'put':
      branch.push({ op: 'put', key, value: textBehind(line, 2) });
      return null;
    case 'get':
      branch.push({ op: 'get', key });
      return null;
    case 'del':
      branch.push({ op: 'delete', key });
      return null;
    case 'range':
      branch.push({ op: 'range', prefix: key });
      return null;
    default:
      return UNKNOWN;
  }
}

function compareOf(key: string, [what = '', op = '', ...rest]: string[]) {
  if (what === 'exists' || what === 'absent') return { key, exists: what === 'exists' };
  if (!['=', '!=', '<', '>'].includes(op)) return null;
  const text = rest.join(' ');
  if (what === 'value') return { key, op, value: text };
  if (what !== 'revision' && what !== 'version' && what !== 'lease') return null;
  return /^\d{1,16}$/.test(text) ? { key, op, [what]: Number(text) } : null;
}

/** What follows the first words, blanks within it kept. */
function textBehind(line: string, words: number): string {
  return line.replace(new RegExp(`^(?:\\S+\\s*){${words}}`), '');
}
