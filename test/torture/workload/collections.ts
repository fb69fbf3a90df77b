import { decodeCursor } from '../../../gateways/kv/cursor.ts';
import { prefixEnd } from '../../../protocol/bytes.ts';
import type { Version } from '../../check/truth.ts';
import type { Client } from './client.ts';
import { fieldsOf, revisionOf } from './http.ts';
import { now, shown } from './recorder.ts';

/** Lists in one key, appended to by compare-and-set; sets of one key per element; scans. */

export async function appendToList(client: Client, key: string): Promise<void> {
  const { recorder } = client.shared;
  const list = await readList(client, key);
  if (list === null) return;
  const element = client.shared.nextValue();
  const body = JSON.stringify([...list.elements, element]);
  const condition: Record<string, string> =
    list.revision === 0 ? { 'if-none-match': '*' } : { 'if-match': `"${list.revision}"` };
  const { call } = client.begin(key);
  const way = client.chance(0.5) ? client.insist.bind(client) : client.ask.bind(client);
  const answer = await way('PUT', `/v1/kv/${key}`, condition, body);
  const isDone = answer !== null && answer !== 'refused' && answer.status !== 412;
  const outcome = answer === null ? 'unknown' : isDone ? 'done' : 'refused';
  const ret = answer === null ? Number.POSITIVE_INFINITY : now();
  recorder.write({ t: 'append', append: { key, element, outcome, call, ret } });
  client.settle(answer);
}

/** Null when it could not be read. */
export async function readList(
  client: Client,
  key: string,
): Promise<{ elements: string[]; revision: number } | null> {
  const { call } = client.begin(key);
  const answer = await client.ask('GET', `/v1/kv/${key}`);
  if (answer === null || answer === 'refused') return null;
  const elements = answer.status === 404 ? [] : (JSON.parse(answer.text) as string[]);
  client.shared.recorder.write({ t: 'list', list: { key, elements, call, ret: now() } });
  return { elements, revision: answer.status === 404 ? 0 : revisionOf(answer) };
}

export async function addToSet(client: Client, set: string): Promise<void> {
  const element = client.shared.nextValue();
  const { call } = client.begin(set);
  const path = `/v1/kv/${set}/${element}`;
  const answer = await client.ask('PUT', path, { 'if-none-match': '*' }, element);
  const isDone = answer !== null && answer !== 'refused' && answer.status !== 412;
  const outcome = answer === null ? 'unknown' : isDone ? 'done' : 'refused';
  noteAdd(client, { set, element, call }, outcome);
  client.settle(answer);
}

/** Several elements with one request; each has an outcome of its own. */
export async function addBatchToSet(client: Client, set: string): Promise<void> {
  const count = 8 + Math.floor(client.random.next() * 17);
  const elements = Array.from({ length: count }, () => client.shared.nextValue());
  const ops = elements.map((element) => ({
    ...{ op: 'put', key: `${set}/${element}`, value: element, ifRevision: 0 },
  }));
  const { call } = client.begin(set);
  const headers = { 'content-type': 'application/json' };
  const answer = await client.ask('POST', '/v1/batch', headers, JSON.stringify({ ops }), count);
  const results =
    answer === null || answer === 'refused' ? [] : (fieldsOf(answer)['results'] as BatchResult[]);
  for (const [i, element] of elements.entries()) {
    const result = results[i];
    const isRefused = answer === 'refused' || result?.definite === true;
    const isDone = result !== undefined && result.code === undefined;
    noteAdd(client, { set, element, call }, isDone ? 'done' : isRefused ? 'refused' : 'unknown');
  }
  client.settle(answer);
}

interface BatchResult {
  readonly code?: string;
  readonly definite?: boolean;
}

function noteAdd(
  client: Client,
  add: { set: string; element: string; call: number },
  outcome: 'done' | 'refused' | 'unknown',
): void {
  const ret = outcome === 'unknown' ? Number.POSITIVE_INFINITY : now();
  client.shared.recorder.write({ t: 'add', add: { ...add, outcome, ret } });
}

/** Reads a whole set, page by page at one revision. */
export async function readSet(client: Client, set: string): Promise<void> {
  const { call } = client.begin(set);
  const items = await scan(client, `${set}/`, { limit: 60, reverse: false, pages: 20, past: null });
  if (items === null) return;
  const elements = items.map(({ key }) => key.slice(set.length + 1));
  client.shared.recorder.write({ t: 'set', set: { set, elements, call, ret: now() } });
}

export interface ScanChoice {
  readonly limit: number;
  readonly reverse: boolean;
  /** At most so many pages. */
  readonly pages: number;
  /** A revision of the past to read at; null for the latest. */
  readonly past: number | null;
}

/** Scans a prefix and records each page. Null when it did not come to its end. */
export async function scan(
  client: Client,
  prefix: string,
  choice: ScanChoice,
): Promise<Version[] | null> {
  const { limit, reverse } = choice;
  const range = { start: prefix, end: prefixEnd(prefix), reverse };
  const all: Version[] = [];
  let cursor: string | null = null;
  let at = { start: range.start, end: range.end };
  for (let page = 0; page < choice.pages; page++) {
    const query = new URLSearchParams({ prefix, limit: `${limit}`, reverse: `${reverse}` });
    if (cursor !== null) query.set('cursor', cursor);
    else if (choice.past !== null) query.set('revision', `${choice.past}`);
    const { call } = client.begin(prefix);
    const answer = await client.ask('GET', `/v1/kv?${query}`);
    if (answer === null || answer === 'refused' || answer.status !== 200) return null;
    const body = JSON.parse(answer.text) as PageBody;
    const items = body.items.map(({ key, value, revision }) => ({
      ...{ key, revision, value: shown(value) },
    }));
    all.push(...items);
    const next = body.cursor === undefined ? null : decodeCursor(body.cursor, range).next;
    client.shared.recorder.write({
      t: 'scan',
      scan: {
        range: { tenant: 'default', space: 'kv', ...at },
        ...{ reverse, limit, items, next, revision: body.revision },
        ...{ past: choice.past !== null || cursor !== null, call, ret: now() },
      },
    });
    client.shared.recorder.see(body.revision);
    if (next === null) return all;
    at = reverse ? { ...at, end: next } : { ...at, start: next };
    cursor = body.cursor ?? null;
  }
  return null;
}

interface PageBody {
  readonly items: readonly {
    readonly key: string;
    readonly value: string;
    readonly revision: number;
  }[];
  readonly cursor?: string;
  readonly revision: number;
}
