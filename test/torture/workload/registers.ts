import type { Input, Output, Precondition } from '../../check/history.ts';
import type { Client } from './client.ts';
import { type Answer, fieldsOf, revisionOf } from './http.ts';
import type { LiveKey } from './key-pool.ts';

/** Reads, writes, compare-and-set, creation and deletion of single keys, with and without a time to live. */

const pathOf = (key: string): string => `/v1/kv/${key}`;

export async function readRegister(client: Client, key: LiveKey): Promise<void> {
  const at = client.begin(key.name);
  const answer = await client.ask('GET', pathOf(key.name));
  if (answer === 'refused') return;
  finish(client, key, at, { type: 'get' }, answer === null ? null : gotOf(answer));
}

export interface PutChoice {
  readonly condition: 'none' | 'exists' | 'absent' | 'revision';
  readonly insist: boolean;
  /** Seconds; null: for ever. */
  readonly ttl: number | null;
}

export async function writeRegister(
  client: Client,
  key: LiveKey,
  choice: PutChoice,
): Promise<void> {
  const value = client.shared.nextValue();
  const condition = preconditionOf(choice.condition, key);
  const headers = headersOf(condition);
  if (choice.ttl !== null) {
    headers['x-minikv-ttl'] = String(choice.ttl);
    client.shared.recorder.ttls.set(value, choice.ttl);
  }
  const at = client.begin(key.name);
  const way = choice.insist ? client.insist.bind(client) : client.ask.bind(client);
  const answer = await way('PUT', pathOf(key.name), headers, value);
  if (answer === 'refused') {
    client.shared.recorder.write({
      t: 'refused',
      put: { key: key.name, value, why: 'the answer was definite', call: at.call },
    });
    return;
  }
  const input: Input = { type: 'put', value, condition, expires: choice.ttl !== null };
  finish(client, key, at, input, answer === null ? null : writtenOf(answer, 'put'));
}

export async function deleteRegister(
  client: Client,
  key: LiveKey,
  compare: boolean,
): Promise<void> {
  const condition = preconditionOf(compare ? 'revision' : 'none', key);
  const at = client.begin(key.name);
  const answer = await client.ask('DELETE', pathOf(key.name), headersOf(condition));
  if (answer === 'refused') return;
  const output = answer === null ? null : writtenOf(answer, 'deleted');
  finish(client, key, at, { type: 'delete', condition }, output);
}

function preconditionOf(choice: PutChoice['condition'], key: LiveKey): Precondition | null {
  if (choice === 'none') return null;
  if (choice !== 'revision') return { type: choice };
  if (key.lastRevision === 0) return { type: 'absent' };
  return { type: 'revision', revision: key.lastRevision };
}

function headersOf(condition: Precondition | null): Record<string, string> {
  if (condition === null) return {};
  if (condition.type === 'absent') return { 'if-none-match': '*' };
  return { 'if-match': condition.type === 'exists' ? '*' : `"${condition.revision}"` };
}

function finish(
  client: Client,
  key: LiveKey,
  at: { process: number; key: string; call: number },
  input: Input,
  output: Output | null,
): void {
  client.shared.recorder.operation(at, input, output);
  if (output !== null) key.lastRevision = output.revision;
  client.settle(output);
}

function gotOf(answer: Answer): Output {
  if (answer.status === 404) return { type: 'got', value: null, revision: 0 };
  return { type: 'got', value: answer.text, revision: revisionOf(answer) };
}

function writtenOf(answer: Answer, type: 'put' | 'deleted'): Output {
  const { revision, currentRevision, deleted } = fieldsOf(answer) as {
    revision?: number;
    currentRevision?: number;
    deleted?: boolean;
  };
  if (answer.status === 412) return { type: 'precondition_failed', revision: currentRevision ?? 0 };
  if (type === 'put') return { type, revision: revision ?? 0 };
  return { type, deleted: deleted === true, revision: deleted === true ? (revision ?? 0) : 0 };
}
