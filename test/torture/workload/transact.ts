import { DEFAULT_TENANT, KV_SPACE, vshardOf } from '../../../protocol/vshard.ts';
import type { Client } from './client.ts';
import { fieldsOf } from './http.ts';
import { now, shown } from './recorder.ts';

/** Transactions over HTTP, and what is written down of each. */

export interface Compare {
  readonly key: string;
  readonly revision?: number;
  readonly value?: string;
  readonly exists?: boolean;
}

export type Op =
  | { readonly op: 'get'; readonly key: string }
  | { readonly op: 'put'; readonly key: string; readonly value: string }
  | { readonly op: 'delete'; readonly key: string }
  | { readonly op: 'range' | 'delete'; readonly prefix: string };

export interface Body {
  readonly compare?: readonly Compare[];
  readonly then: readonly Op[];
  readonly else?: readonly Op[];
}

/** A key as a transaction found it; revision 0: absent. */
export interface Found {
  readonly value: string;
  readonly revision: number;
}

export type TxnResult =
  /** `then` was done, or (`succeeded` false) `else`. */
  | {
      readonly outcome: 'done';
      readonly succeeded: boolean;
      readonly revision: number;
      readonly results: readonly Record<string, unknown>[];
    }
  | { readonly outcome: 'refused' | 'unknown' };

/** One transaction; `insist`: with an Idempotency-Key, repeated until its outcome is known. */
export async function transact(client: Client, body: Body, insist = false): Promise<TxnResult> {
  const { recorder } = client.shared;
  const headers = { 'content-type': 'application/json' };
  const text = JSON.stringify(body);
  const { call } = client.begin('txn');
  const answer = insist
    ? await client.insist('POST', '/v1/txn', headers, text)
    : await client.ask('POST', '/v1/txn', headers, text);
  client.settle(answer);
  const result = resultOf(answer);
  const operations = (body.compare?.length ?? 0) + body.then.length;
  const groups = groupsOf(client, body);
  const ended = { outcome: result.outcome, operations, groups, at: now() };
  recorder.write({ t: 'transaction', ended });
  const isDone = result.outcome === 'done' && result.succeeded;
  const values = body.then.flatMap((op) => (op.op === 'put' ? [shown(op.value)] : []));
  if (values.length > 0) {
    const outcome = result.outcome === 'unknown' ? 'unknown' : isDone ? 'done' : 'refused';
    const revision = isDone ? result.revision : 0;
    recorder.write({ t: 'puts', puts: { values, outcome, revision, call } });
  }
  if (result.outcome === 'done') recorder.see(result.revision);
  return result;
}

function resultOf(answer: Awaited<ReturnType<Client['ask']>>): TxnResult {
  if (answer === null) return { outcome: 'unknown' };
  if (answer === 'refused' || answer.status !== 200) return { outcome: 'refused' };
  const { succeeded, revision, results } = fieldsOf(answer);
  return {
    ...{ outcome: 'done', succeeded: succeeded === true, revision: Number(revision) },
    results: results as Record<string, unknown>[],
  };
}

/** What a get found. */
export function foundIn(result: Record<string, unknown> | undefined): Found {
  const value = result?.['value'];
  return {
    value: typeof value === 'string' ? value : '',
    revision: Number(result?.['revision'] ?? 0),
  };
}

/** The group of a key in a cluster whose vshards were never moved; what was asked before is remembered. */
export function groupFinder(groups: number): (key: string) => number {
  const known = new Map<string, number>();
  return (key) => {
    const found =
      known.get(key) ?? vshardOf({ tenant: DEFAULT_TENANT, space: KV_SPACE, key }) % groups;
    known.set(key, found);
    return found;
  };
}

/** How many groups have keys of a transaction; a prefix has some everywhere. */
function groupsOf({ shared }: Client, body: Body): number {
  const found = new Set<number>();
  for (const part of [...(body.compare ?? []), ...body.then, ...(body.else ?? [])]) {
    if (!('key' in part)) return shared.groups;
    found.add(shared.groupOf(part.key));
  }
  return found.size;
}
