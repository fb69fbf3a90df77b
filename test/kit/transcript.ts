import { call } from './raw-http.ts';

/** A command of a printed session, and the lines that it printed. */
export interface Step {
  readonly command: string;
  readonly printed: string;
}

/** The sessions of a document: blocks of commands after `$ `, each with its output. */
export function sessionsOf(markdown: string): Step[] {
  const blocks = [...markdown.matchAll(/^```\n(\$ [\s\S]*?)^```/gm)].map(([, text]) => text ?? '');
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .filter((text) => text !== '')
      .map(stepOf),
  );
}

/** A command goes on while a quote is open or its line ends with a backslash. */
function stepOf(text: string): Step {
  const lines = text.split('\n');
  let command = lines.shift() ?? '';
  while (lines.length > 0 && (command.endsWith('\\') || command.split("'").length % 2 === 0)) {
    command = `${command.replace(/\\$/, '')}\n${lines.shift()}`;
  }
  return { command, printed: lines.join('\n').trim() };
}

/** Words as a shell parts them; single quotes and double quotes hold one together. */
function wordsOf(command: string): string[] {
  const words = command.matchAll(/'([^']*)'|"([^"]*)"|([^\s'"]+)/g);
  return [...words].map(([, single, double, plain]) => single ?? double ?? plain ?? '');
}

/** Does what `curl` does with the few flags that the documents use, at another node. */
export async function curl(command: string, origin: string): Promise<string> {
  const [name, ...words] = wordsOf(command);
  if (name !== 'curl') throw new Error(`no curl: ${command}`);
  const headers: Record<string, string> = {};
  let method: string | null = null;
  let body: string | null = null;
  let url: string | null = null;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (word === '-X') method = words[++i] as string;
    else if (word === '-d') body = words[++i] as string;
    else if (word === '-H') {
      const [, field = '', value = ''] = /^([^:]+): *(.*)$/.exec(words[++i] as string) ?? [];
      headers[field.toLowerCase()] = value;
    } else if (word.startsWith('-')) throw new Error(`curl ${word} is not understood here`);
    else url = word;
  }
  const [, path = ''] = /^localhost:\d+(\/.*)$/.exec(url ?? '') ?? [];
  if (body !== null) headers['content-type'] ??= 'application/x-www-form-urlencoded';
  const answer = await call(origin, method ?? (body === null ? 'GET' : 'POST'), path, {
    headers,
    ...(body === null ? {} : { body }),
  });
  return answer.text;
}

/** Drawn anew each time: who reads a session does not compare them. */
const DRAWN = ['requestId', 'cursor'];
/** Numbers above are revisions and ids: they differ, but the same one stays the same. */
const SMALL_MAX = 1_000_000;

/** Holds answers against printed ones, and learns which revision or id stands for which. */
export class Likeness {
  readonly #actualOf = new Map<number, number>();

  /** A command with the ids of this run in place of the printed ones. */
  translate(command: string): string {
    let text = command;
    for (const [printed, actual] of this.#actualOf) {
      text = text.replaceAll(String(printed), String(actual));
    }
    return text;
  }

  /** What differs, as a path and both sides; null when nothing does. */
  difference(printed: unknown, actual: unknown, path = ''): string | null {
    const differs = `${path}: ${JSON.stringify(printed)} is printed, ${JSON.stringify(actual)} came`;
    const name = path.slice(path.lastIndexOf('.') + 1);
    if (typeof printed === 'number' && typeof actual === 'number') {
      if (name === 'remainingMs') return Math.abs(printed - actual) < 5_000 ? null : differs;
      if (printed <= SMALL_MAX) return printed === actual ? null : differs;
      const known = this.#actualOf.get(printed);
      if (known === undefined && actual > SMALL_MAX) this.#actualOf.set(printed, actual);
      return (known ?? actual) === actual && actual > SMALL_MAX ? null : differs;
    }
    const isObject = typeof printed === 'object' && typeof actual === 'object';
    if (!isObject || printed === null || actual === null) {
      return printed === actual || DRAWN.includes(name) ? null : differs;
    }
    if (Object.keys(printed).join() !== Object.keys(actual).join()) return differs;
    for (const [key, value] of Object.entries(printed)) {
      const other = (actual as Record<string, unknown>)[key];
      const found = this.difference(value, other, `${path}.${key}`);
      if (found !== null) return found;
    }
    return null;
  }
}
