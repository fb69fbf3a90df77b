import { fitsPath, type Key, percentEncode, queryOf, toBytes, type Value } from './bytes.ts';
import { invalid, MinikvError } from './errors.ts';
import { Item } from './item.ts';
import {
  type DeleteOptions,
  type DeleteResult,
  type Operation,
  type OperationResult,
  operationToJson,
  type PutOptions,
  type PutResult,
  type RawResult,
  resultOf,
} from './operations.ts';
import type { CallOptions, Transport } from './transport.ts';

export interface GetOptions extends CallOptions {
  /** Read as of this past revision. */
  readonly revision?: number | undefined;
  /** `stale`: whatever the asked node has, without asking the others. */
  readonly consistency?: 'linearizable' | 'stale' | undefined;
}

const BATCH_OPERATIONS_MAX = 10_000;

/** Single keys and batches of independent operations. */
export class Keys {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async put(key: Key, value: Value, options: PutOptions): Promise<PutResult> {
    const headers: Record<string, string> = { ...conditionOf(options) };
    headers['content-type'] =
      options.contentType ?? (typeof value === 'string' ? 'text/plain; charset=utf-8' : BYTES);
    if (options.ttlSeconds !== undefined) headers['x-minikv-ttl'] = String(options.ttlSeconds);
    if (options.lease !== undefined) headers['x-minikv-lease'] = String(options.lease);
    if (!fitsPath(key)) {
      refuseIfExists(options);
      return this.#single({ op: 'put', key, value, ...options }, options) as Promise<PutResult>;
    }
    return this.#transport.json<PutResult>({
      ...callOf(options),
      ...{ method: 'PUT', path: pathOf(key), headers, body: toBytes(value), repeat: 'keyed' },
      idempotencyKey: options.idempotencyKey,
    });
  }

  async get(key: Key, options: GetOptions): Promise<Item | null> {
    const { revision, consistency } = options;
    if (!fitsPath(key)) {
      if (revision !== undefined) throw invalid('this key can only be read at its latest revision');
      const [result] = await this.batch([{ op: 'get', key }], options);
      if (result?.op === 'failed') throw result.error;
      return result?.op === 'get' ? result.item : null;
    }
    const path = pathOf(key) + queryOf({ revision, consistency });
    try {
      const answer = await this.#transport.call({
        ...{ ...callOf(options), method: 'GET', path, repeat: 'read' },
      });
      return itemOfAnswer(key, answer.headers, answer.body);
    } catch (error) {
      if (error instanceof MinikvError && error.code === 'key_not_found') return null;
      throw error;
    }
  }

  async delete(key: Key, options: DeleteOptions): Promise<DeleteResult> {
    if (!fitsPath(key)) {
      refuseIfExists(options);
      return this.#single({ op: 'delete', key, ...options }, options) as Promise<DeleteResult>;
    }
    return this.#transport.json<DeleteResult>({
      ...callOf(options),
      ...{ method: 'DELETE', path: pathOf(key), headers: conditionOf(options), repeat: 'keyed' },
      idempotencyKey: options.idempotencyKey,
    });
  }

  async batch(
    operations: readonly Operation[],
    options: CallOptions & { readonly idempotencyKey?: string | undefined },
  ): Promise<OperationResult[]> {
    if (operations.length === 0) return [];
    if (operations.length > BATCH_OPERATIONS_MAX) {
      throw invalid(`a batch has at most ${BATCH_OPERATIONS_MAX} operations`);
    }
    const writes = operations.some(({ op }) => op !== 'get');
    const { results } = await this.#transport.json<{ results: RawResult[] }>({
      ...callOf(options),
      ...{ method: 'POST', path: '/v1/batch', headers: JSON_BODY },
      body: JSON.stringify({ ops: operations.map(operationToJson) }),
      repeat: writes ? 'keyed' : 'read',
      idempotencyKey: options.idempotencyKey,
    });
    return operations.map((operation, i) => resultOf(operation, results[i] as RawResult));
  }

  async #single(operation: Operation, options: PutOptions): Promise<PutResult | DeleteResult> {
    const [result] = await this.batch([operation], options);
    if (result === undefined || result.op === 'get') throw invalid('no write');
    if (result.op === 'failed') throw result.error;
    return result;
  }
}

export const JSON_BODY: Readonly<Record<string, string>> = { 'content-type': 'application/json' };
const BYTES = 'application/octet-stream';

/** Only what the transport needs of an operation's options. */
export function callOf(options: CallOptions): CallOptions {
  return { signal: options.signal, timeoutMs: options.timeoutMs };
}

function pathOf(key: Key): string {
  return `/v1/kv/${percentEncode(key)}`;
}

function conditionOf(options: DeleteOptions): Record<string, string> {
  const { ifRevision, ifExists } = options;
  if (ifExists === true) {
    if (ifRevision !== undefined) throw invalid('ifRevision and ifExists cannot be combined');
    return { 'if-match': '*' };
  }
  if (ifRevision === undefined) return {};
  return ifRevision === 0 ? { 'if-none-match': '*' } : { 'if-match': `"${ifRevision}"` };
}

function refuseIfExists({ ifExists }: DeleteOptions): void {
  if (ifExists === true) throw invalid('ifExists cannot be asked of this key');
}

/** Also as proxies hand it on that compress: weak, or with what they did behind it. */
const E_TAG = /^(?:W\/)?"([0-9]+)(?:-[a-z]+)?"$/;

function itemOfAnswer(key: Key, headers: Headers, value: Uint8Array): Item {
  const [, revision] = E_TAG.exec(headers.get('etag') ?? '') ?? [];
  if (revision === undefined) {
    const message =
      'the answer came without its ETag, which is the revision: see proxies on the way';
    throw new MinikvError('malformed', message, { definite: true });
  }
  const expiresAt = headers.get('x-minikv-expires-at');
  const lease = headers.get('x-minikv-lease');
  return new Item(toBytes(key), value, {
    revision: Number(revision),
    contentType: headers.get('content-type') ?? undefined,
    expiresAt: expiresAt === null ? undefined : new Date(expiresAt),
    lease: lease === null ? undefined : Number(lease),
  });
}
