import { randomInt } from '../../protocol/random.ts';
import type { BatchOp, BatchResult, ScanPage } from '../../protocol/service.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import type { Input, Output, Precondition } from '../check/history.ts';
import { closeAccounts, readBank, transfer } from './bank-operations.ts';
import { type Client, gotOf, outputOf, refOf, writeOf } from './client.ts';
import { changeIndex, queryIndex } from './index-work.ts';
import type { LiveKey } from './keys.ts';
import { queryLists } from './list-index.ts';
import { appendLists, readLists, readOneList, scanLists } from './list-operations.ts';

/** What clients do, by name; the weights are drawn per seed. */
export const CLIENT_OPERATIONS = {
  get: async (client: Client) => get(client, client.keys.pick()),
  put: (client: Client) => write(client, client.keys.pick(), putOf(client, null)),
  /** Compare-and-set on the revision last seen. */
  putIfMatch: (client: Client) => {
    const key = client.keys.pick();
    return write(client, key, putOf(client, { type: 'revision', revision: key.lastRevision }));
  },
  putIfAbsent: (client: Client) =>
    write(client, client.keys.pick(), putOf(client, { type: 'absent' })),
  putIfExists: (client: Client) =>
    write(client, client.keys.pick(), putOf(client, { type: 'exists' })),
  delete: (client: Client) =>
    write(client, client.keys.pick(), { type: 'delete', condition: null }),
  deleteIfMatch: (client: Client) => {
    const key = client.keys.pick();
    const condition: Precondition = { type: 'revision', revision: key.lastRevision };
    return write(client, key, { type: 'delete', condition });
  },
  putRepeated: (client: Client) => writeRepeated(client),
  putExpiring: (client: Client) => {
    const ttlMs = randomInt(client.random, 50, 4000);
    return write(client, client.ttlKeys.pick(), putOf(client, null, true), ttlMs);
  },
  getExpiring: async (client: Client) => get(client, client.ttlKeys.pick()),
  batch: (client: Client) => batch(client),
  scan: (client: Client) => scan(client, null),
  scanPast: (client: Client) => {
    return scan(client, Math.floor(client.history.publicRevision - client.random.next() * 4e6));
  },
  changeIndex: (client: Client) => changeIndex(client),
  queryIndex: (client: Client) => queryIndex(client),
  appendLists,
  readLists,
  readOneList,
  scanLists,
  transfer,
  readBank,
  closeAccounts,
  queryLists,
} as const satisfies Record<string, (client: Client) => Promise<void>>;

/** Drawn from a stream of their own, so that older seeds keep everything else. */
export const LATER_OPERATIONS: ReadonlySet<ClientOperation> = new Set([
  'changeIndex',
  'queryIndex',
  'appendLists',
  'readLists',
  'readOneList',
  'scanLists',
  'transfer',
  'readBank',
  'closeAccounts',
  'queryLists',
]);

export type ClientOperation = keyof typeof CLIENT_OPERATIONS;

function putOf(client: Client, condition: Precondition | null, expires = false) {
  return { type: 'put', value: client.uniqueValue(), condition, expires } as const;
}

async function get(client: Client, key: LiveKey): Promise<void> {
  const call = client.cluster.nowMs();
  const outcome = await client.request((service) =>
    service.get(client.context(), refOf(key), { consistency: 'linearizable', revision: null }),
  );
  if (outcome.kind !== 'ok') return;
  client.record(key, { type: 'get' }, gotOf(outcome.value.item), call);
}

async function write(
  client: Client,
  key: LiveKey,
  input: Exclude<Input, { type: 'get' }>,
  ttlMs: number | null = null,
): Promise<void> {
  const call = client.cluster.nowMs();
  const op = writeOf(key, input, ttlMs);
  const outcome = await client.request((service) =>
    op.type === 'put'
      ? service.put(client.context(), op)
      : service.delete(client.context(), op.ref, op.condition),
  );
  if (outcome.kind === 'ok') {
    const output = outputOf(outcome.value.result);
    if (output !== null) client.record(key, input, output, call);
    return;
  }
  if (outcome.kind === 'refused') noteRefusal(client, key, input, outcome.code, call);
  else client.record(key, input, null, call);
}

/**
 * A refused write certainly did not happen. A failed precondition that comes as an error without
 * the key's revision says too little for the checker and is only held against the final truth.
 */
function noteRefusal(client: Client, key: LiveKey, input: Input, why: string, _call: number): void {
  if (input.type === 'put') client.history.refuse(key.name, input.value, why);
}

/** A put with an idempotency key that is repeated, elsewhere, until it has an answer. */
async function writeRepeated(client: Client): Promise<void> {
  const key = client.keys.pick();
  const input = putOf(client, null);
  const op = writeOf(key, input, null);
  if (op.type !== 'put') return;
  const requestHash = new Uint8Array(32).fill(input.value.length & 0xff);
  const idempotency = { key: `once-${input.value.slice(0, 100)}`, requestHash };
  const call = client.cluster.nowMs();
  let uncertain = false;
  let why = '';
  for (let attempt = 0; attempt < 4; attempt++) {
    const outcome = await client.request((s) => s.put(client.context(idempotency), op));
    if (outcome.kind === 'ok') {
      const output = outputOf(outcome.value.result);
      if (output !== null) client.record(key, input, output, call);
      // Once more, as a client whose answer got lost: it must be the same answer.
      if (client.random.next() < 0.3) await repeatAnswered(client, op, idempotency, output);
      return;
    }
    if (outcome.kind === 'unknown') uncertain = true;
    why = outcome.code;
    await client.cluster.sleep(client.random.next() * 200);
  }
  if (uncertain) client.record(key, input, null, call);
  else client.history.refuse(key.name, input.value, why);
}

async function repeatAnswered(
  client: Client,
  op: Extract<ReturnType<typeof writeOf>, { type: 'put' }>,
  idempotency: { key: string; requestHash: Uint8Array },
  first: Output | null,
): Promise<void> {
  client.moveOn();
  const again = await client.request((s) => s.put(client.context(idempotency), op));
  if (again.kind !== 'ok') return;
  const output = outputOf(again.value.result);
  if (!again.value.repeated || output?.revision !== first?.revision) {
    throw new Error(
      `idempotent request ${idempotency.key} answered ${JSON.stringify(first)}, ` +
        `then ${JSON.stringify(output)} (repeated: ${again.value.repeated})`,
    );
  }
}

/** A few independent operations in one request; each is an operation of its own in the history. */
async function batch(client: Client): Promise<void> {
  const picked = new Map<string, { key: LiveKey; input: Input; op: BatchOp }>();
  for (let i = randomInt(client.random, 2, 6); i > 0; i--) {
    const key = client.keys.pick();
    if (picked.has(key.name)) continue;
    if (client.random.next() < 0.4) {
      picked.set(key.name, { key, input: { type: 'get' }, op: { kind: 'get', ref: refOf(key) } });
      continue;
    }
    const input = putOf(client, client.random.next() < 0.3 ? { type: 'exists' } : null);
    picked.set(key.name, { key, input, op: { kind: 'write', op: writeOf(key, input, null) } });
  }
  const call = client.cluster.nowMs();
  const slots = [...picked.values()];
  const ops = slots.map((slot) => slot.op);
  const outcome = await client.request((service) => service.batch(client.context(), ops));
  for (const [i, slot] of slots.entries()) {
    if (outcome.kind === 'ok') noteSlot(client, slot, outcome.value.results[i], call);
    else if (outcome.kind === 'refused')
      noteRefusal(client, slot.key, slot.input, outcome.code, call);
    else if (slot.input.type !== 'get') client.record(slot.key, slot.input, null, call);
  }
}

function noteSlot(
  client: Client,
  { key, input }: { key: LiveKey; input: Input },
  result: BatchResult | undefined,
  call: number,
): void {
  if (result === undefined)
    throw new Error('a batch answered fewer results than it had operations');
  if (result.kind === 'get') return client.record(key, input, gotOf(result.item), call);
  if (result.kind === 'write') {
    const output = outputOf(result.result);
    if (output !== null) client.record(key, input, output, call);
    return;
  }
  if (result.definite) noteRefusal(client, key, input, result.code, call);
  else if (input.type !== 'get') client.record(key, input, null, call);
}

/** Reads a range page by page; every page must be exactly the state at its revision. */
async function scan(client: Client, revision: number | null): Promise<void> {
  const prefix = client.random.next() < 0.8 ? 'k/' : 't/';
  const range = { tenant: DEFAULT_TENANT, space: KV_SPACE, start: prefix, end: `${prefix}~` };
  const reverse = client.random.next() < 0.3;
  const limit = randomInt(client.random, 1, 20);
  let { start, end }: { start: string; end: string } = range;
  let at = revision !== null && revision > 0 ? revision : null;
  for (let page = 0; page < 3; page++) {
    const call = client.cluster.nowMs();
    const asked = { ...range, start, end };
    const outcome = await client.request((service) =>
      service.scan(client.context(), {
        ...asked,
        consistency: 'linearizable',
        revision: at,
        reverse,
        limit,
        values: true,
      }),
    );
    if (outcome.kind !== 'ok') return;
    noteScan(client, { range: asked, reverse, limit, past: at !== null, call }, outcome.value);
    const { next } = outcome.value;
    if (next === null) return;
    if (reverse) end = next;
    else start = next;
    at = outcome.value.revision;
  }
}

function noteScan(
  client: Client,
  asked: {
    range: { tenant: string; space: string; start: string; end: string };
    reverse: boolean;
    limit: number;
    past: boolean;
    call: number;
  },
  page: ScanPage,
): void {
  const items = page.items.map((item) => ({
    key: item.ref.key,
    revision: item.revision,
    value: Buffer.from(item.value).toString('latin1'),
  }));
  const { revision, next } = page;
  client.history.see(revision);
  client.history.scans.push({ ...asked, items, revision, next, ret: client.cluster.nowMs() });
}
