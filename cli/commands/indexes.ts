import { query } from '../client.ts';
import { UsageError } from '../failures.ts';
import { type Context, countOf, type JsonItem, keyText, printJson, valueText } from './context.ts';

interface IndexShape {
  readonly name: string;
  readonly prefix?: string;
  readonly prefixBase64?: string;
  readonly kind: string;
  readonly fields: readonly { readonly path: string; readonly type: string }[];
  readonly unique: boolean;
  readonly state: string;
  readonly failure?: {
    readonly value: unknown;
    readonly keys: readonly { readonly key?: string; readonly keyBase64?: string }[];
  };
  readonly progress?: {
    readonly groups: number;
    readonly groupsBuilt: number;
    readonly keys: number;
  };
}

interface Page {
  readonly items: readonly (JsonItem & { readonly entry?: readonly unknown[] })[];
  readonly cursor?: string;
  readonly revision: number;
}

const pathOf = (name: string): string => `/v1/indexes/${encodeURIComponent(name)}`;

/** One line for people. */
function lineOf(index: IndexShape): string {
  const { name, kind, fields, unique, state, failure, progress } = index;
  const what =
    kind === 'text' ? 'text' : fields.map(({ path, type }) => `${path}:${type}`).join(' ');
  const prefix = index.prefix ?? `base64:${index.prefixBase64 ?? ''}`;
  const built =
    progress === undefined || state === 'live'
      ? ''
      : `, ${progress.keys} keys, ${progress.groupsBuilt} of ${progress.groups} groups`;
  const why = failure === undefined ? '' : failureText(failure);
  const kindOf = unique ? `unique ${what}` : what;
  return `${name}  ${state}${built}  prefix ${JSON.stringify(prefix)}  ${kindOf}${why}\n`;
}

function failureText({ value, keys }: NonNullable<IndexShape['failure']>): string {
  const named = keys.map(({ key, keyBase64 }) => key ?? `base64:${keyBase64 ?? ''}`);
  return `: ${named.join(' and ')} have ${JSON.stringify(value)}`;
}

async function print({ io, json }: Context, index: IndexShape): Promise<void> {
  if (json) await printJson(io, index);
  else await io.out(lineOf(index));
}

export async function listIndexes(context: Context): Promise<void> {
  const { indexes } = await context.client.json<{ indexes: IndexShape[] }>({
    ...{ method: 'GET', path: '/v1/indexes', repeatable: true },
  });
  for (const index of indexes) await print(context, index);
}

export async function showIndex(context: Context, name: string): Promise<void> {
  const request = { method: 'GET', path: pathOf(name), repeatable: true } as const;
  await print(context, await context.client.json<IndexShape>(request));
}

export interface DefineFlags {
  readonly prefix?: string;
  readonly sparse?: boolean;
  readonly unique?: boolean;
  readonly text?: boolean;
}

const TYPES: ReadonlySet<string> = new Set(['string', 'number', 'time']);

/** `minikv index define <name> <path[:type]...>`: the same definition again is no failure. */
export async function defineIndex(
  context: Context,
  name: string,
  paths: readonly string[],
  flags: DefineFlags,
): Promise<void> {
  const isText = flags.text === true;
  if (isText === paths.length > 0) throw new UsageError('give paths of fields, or --text');
  const fields = paths.map((text) => {
    const colon = text.lastIndexOf(':');
    const type = text.slice(colon + 1);
    return colon > 0 && TYPES.has(type) ? { path: text.slice(0, colon), type } : { path: text };
  });
  const { prefix = '', sparse = false, unique = false } = flags;
  if (isText && unique) throw new UsageError('a text index cannot be unique');
  const definition = isText ? { kind: 'text' } : { fields, sparse, unique };
  const index = await context.client.json<IndexShape>({
    ...{ method: 'POST', path: '/v1/indexes', repeatable: true },
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ name, prefix, ...definition })),
  });
  await print(context, index);
}

export async function dropIndex({ io, client, json }: Context, name: string): Promise<void> {
  const answer = await client.json<{ dropped: boolean }>({
    ...{ method: 'DELETE', path: pathOf(name), repeatable: true },
  });
  if (json) await printJson(io, answer);
  else await io.out(answer.dropped ? `dropped ${name}\n` : `${name} was not there\n`);
}

export async function pauseIndex(context: Context, name: string, paused: boolean): Promise<void> {
  const path = `${pathOf(name)}/${paused ? 'pause' : 'resume'}`;
  await print(context, await context.client.json({ method: 'POST', path, repeatable: true }));
}

export interface QueryFlags {
  readonly eq?: string;
  readonly gt?: string;
  readonly gte?: string;
  readonly lt?: string;
  readonly lte?: string;
  readonly prefix?: string;
  readonly desc?: boolean;
  readonly limit?: string;
  readonly revision?: string;
}

/** `minikv index query <name>`: all hits, or as many as `--limit`, all at one revision. */
export async function queryIndex(context: Context, name: string, flags: QueryFlags): Promise<void> {
  const { desc, limit, ...conditions } = flags;
  const order = desc === true ? 'desc' : 'asc';
  const { eq, gt, gte, lt, lte, prefix, revision } = conditions;
  const asked = { eq, gt, gte, lt, lte, prefix, revision, order };
  await printPages(context, `${pathOf(name)}/query`, asked, limit);
}

export interface SearchFlags {
  readonly prefix?: string;
  readonly limit?: string;
  readonly revision?: string;
}

/** `minikv search <text>`: keys whose values hold the text. */
export async function search(context: Context, text: string, flags: SearchFlags): Promise<void> {
  const { prefix, revision, limit } = flags;
  await printPages(context, '/v1/search', { q: text, prefix, revision, values: 'true' }, limit);
}

async function printPages(
  { io, client, json }: Context,
  path: string,
  asked: Record<string, string | undefined>,
  limit: string | undefined,
): Promise<void> {
  let left =
    limit === undefined
      ? Number.POSITIVE_INFINITY
      : countOf(limit, '--limit', 1, Number.MAX_SAFE_INTEGER);
  let cursor: string | undefined;
  do {
    const text = query({ ...asked, cursor, limit: String(Math.min(left, 1000)) });
    const page = await client.json<Page>({
      ...{ method: 'GET', path: `${path}${text}`, repeatable: true },
    });
    for (const item of page.items) {
      if (json) await printJson(io, item);
      else await io.out(`${keyText(item)}\t${valueText(item)}\n`);
    }
    left -= page.items.length;
    cursor = page.cursor;
  } while (cursor !== undefined && left > 0);
}
