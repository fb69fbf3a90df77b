import type { IndexHits, NewIndex, SearchHits } from '../../protocol/index-access.ts';
import { decodeEntry } from '../../protocol/index-encoding.ts';
import { randomInt } from '../../protocol/random.ts';
import type { KvService } from '../../protocol/service.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import type { QueryPosition, QuerySeen } from '../check/index-query.ts';
import type { Client } from './client.ts';

/** What clients do with indexes: define and drop them, pause backfills, query, search. */
const RANGE = { tenant: DEFAULT_TENANT, space: KV_SPACE, start: 'k/', end: 'k0' };
const REST = { tenant: DEFAULT_TENANT, space: KV_SPACE, prefix: 'k/', sparse: false };

const ORDERED: NewIndex = {
  ...{ name: 'ordered', kind: 'fields', ...REST },
  fields: [{ path: '', steps: [], type: 'string' }],
};
const TEXT: NewIndex = { name: 'text', kind: 'text', fields: [], ...REST };
const NAMES = ['ordered', 'text'] as const;

/** Mostly defines what is not there; now and then drops one, or halts its backfill. */
export async function changeIndex(client: Client): Promise<void> {
  const definition = client.random.next() < 0.5 ? ORDERED : TEXT;
  const { name } = definition;
  const draw = client.random.next();
  await client.request<unknown>(({ indexes }) => {
    if (draw < 0.6) return indexes.define(client.context(), definition);
    if (draw < 0.75) return indexes.drop(client.context(), name);
    return indexes.pause(client.context(), name, draw < 0.85);
  });
}

/** Pages of the index over values, or of a search, now or at a past revision. */
export async function queryIndex(client: Client): Promise<void> {
  const kind = NAMES[client.random.next() < 0.6 ? 0 : 1] as (typeof NAMES)[number];
  const isPast = client.random.next() < 0.3;
  const head = `c${randomInt(client.random, 0, 5)}-`;
  const text = kind === 'text' || client.random.next() < 0.5 ? head : '';
  const asked = {
    ...{ kind, text, limit: randomInt(client.random, 1, 8) },
    reverse: kind === 'ordered' && client.random.next() < 0.4,
  };
  let revision = isPast
    ? Math.floor(client.history.publicRevision - client.random.next() * 4e6)
    : null;
  let after: QueryPosition | null = null;
  let position: unknown = null;
  for (let page = 0; page < 3; page++) {
    const call = client.cluster.nowMs();
    const at = revision;
    const from: unknown = position;
    const outcome = await client.request<IndexHits | SearchHits>((service) =>
      ask(service, client, asked, at, from),
    );
    if (outcome.kind !== 'ok') return;
    const answer: IndexHits | SearchHits = outcome.value;
    const { next } = answer;
    const seen: QuerySeen = {
      ...{ range: RANGE, kind: kind === 'text' ? 'text' : 'ordered', text },
      ...{ reverse: asked.reverse, limit: asked.limit, after, past: at !== null, call },
      items: itemsOf(answer),
      next: next === null ? null : nextOf(next),
      revision: answer.revision,
      ret: client.cluster.nowMs(),
    };
    client.history.see(answer.revision);
    client.history.queries.push(seen);
    if (next === null) return;
    after = seen.next;
    position = next;
    revision = answer.revision;
  }
}

function ask(
  { indexes }: KvService,
  client: Client,
  asked: { kind: string; text: string; limit: number; reverse: boolean },
  revision: number | null,
  position: unknown,
): Promise<IndexHits | SearchHits> {
  const { kind, text, limit, reverse } = asked;
  const at = revision !== null && revision > 0 ? revision : null;
  const rest = { limit, revision: at, values: true };
  if (kind === 'text') {
    const after = (position as string | null) ?? '';
    return indexes.search(client.context(), { text, prefix: 'k/', after, ...rest });
  }
  return indexes.query(client.context(), kind, {
    ...{ eq: null, gt: null, gte: text === '' ? null : text, lt: null, lte: null, prefix: null },
    ...{ reverse, after: position as IndexHits['next'], ...rest },
  });
}

function itemsOf(answer: IndexHits | SearchHits): QuerySeen['items'] {
  const items = 'hits' in answer ? answer.hits.map(({ item }) => item) : answer.items;
  return items.map(({ ref, revision, value }) => {
    return { key: ref.key, revision, value: Buffer.from(value).toString('latin1') };
  });
}

/** Long values are told apart by their beginnings, which hold what is unique in them. */
function nextOf(next: string | { encoded: string; key: string }): QueryPosition {
  if (typeof next === 'string') return { value: '', key: next };
  return { value: String(decodeEntry(next.encoded)[0]), key: next.key };
}
