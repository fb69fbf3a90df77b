import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { Readable } from 'node:stream';
import { LIMITS } from '../../protocol/limits.ts';
import { randomHex } from '../../protocol/random.ts';
import type { ClientRequest } from '../client.ts';
import { RequestFailed } from '../client.ts';
import { CommandFailed, UsageError } from '../failures.ts';
import type { Io } from '../io.ts';
import { type Context, keyText, printJson, valueText } from './context.ts';
import { parseTxnLine, TXN_SYNTAX, type TxnDocument } from './txn-lines.ts';

export interface TxnFlags {
  readonly file?: string;
}

interface Answer {
  readonly succeeded: boolean;
  readonly revision: number;
  readonly results: readonly Record<string, unknown>[];
}

/** `minikv txn`: a document `{compare, then, else}` from a file or standard input, or line by line at a terminal. */
export async function txn({ io, client, json }: Context, flags: TxnFlags): Promise<void> {
  const isTyped = flags.file === undefined && io.stdinIsTerminal;
  const document = isTyped ? await typed(io) : await read(io, flags.file);
  const request: ClientRequest = {
    ...{ method: 'POST', path: '/v1/txn', body: document, repeatable: true },
    // The same transaction again is the same transaction: it can be repeated when its outcome is unknown.
    headers: { 'content-type': 'application/json', 'idempotency-key': randomHex(io.random, 16) },
  };
  try {
    const answer = await client.json<Answer>(request);
    if (json) return await printJson(io, answer);
    const branch = answer.succeeded ? 'then' : 'else';
    await io.out(`${branch}, at revision ${answer.revision}\n`);
    for (const result of answer.results) await io.out(`${lineOf(result)}\n`);
  } catch (error) {
    if (!(error instanceof RequestFailed) || error.code !== 'compare_failed') throw error;
    const failed = JSON.stringify(error.details['failedCompare']);
    throw new CommandFailed(`nothing was done: ${failed} does not hold`, error.details, error);
  }
}

function lineOf(result: Record<string, unknown>): string {
  const key = 'key' in result || 'keyBase64' in result ? keyText(result) : '';
  if ('deleted' in result) return `deleted ${key}\t${String(result['deleted'])}`.trimEnd();
  if (Array.isArray(result['items'])) {
    const lines = (result['items'] as Record<string, unknown>[]).map(lineOf);
    return lines.length === 0 ? '(no keys)' : lines.join('\n');
  }
  if ('value' in result || 'base64' in result) return `${key}\t${valueText(result)}`;
  return result['revision'] === 0 ? `${key} is absent` : `${key} is at ${result['revision']}`;
}

async function read(io: Io, file: string | undefined): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of file === undefined || file === '-'
      ? io.stdin
      : createReadStream(file)) {
      chunks.push(chunk as Uint8Array);
      size += (chunk as Uint8Array).length;
      if (size > LIMITS.batchBytesMax) throw new CommandFailed('the transaction is too large');
    }
  } catch (error) {
    if (error instanceof CommandFailed) throw error;
    throw new CommandFailed(`cannot read the transaction: ${(error as Error).message}`, {}, error);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  try {
    JSON.parse(text);
  } catch (error) {
    throw new UsageError(`the transaction is no JSON: ${(error as Error).message}`);
  }
  return text;
}

/** Compares, then operations, `else`, operations. Only an empty line sends it: not the end, nor Ctrl-C. */
async function typed(io: Io): Promise<string> {
  await io.out(`${TXN_SYNTAX}\n`);
  const input = io.stdin instanceof Readable ? io.stdin : Readable.from(io.stdin);
  const lines = createInterface({ input, signal: io.signal });
  const document: TxnDocument = { compare: [], then: [] };
  try {
    for await (const line of lines) {
      if (line.trim() === '') return JSON.stringify(document);
      const refusal = parseTxnLine(document, line.trim());
      if (refusal !== null) await io.out(`This line is left out: ${refusal}\n`);
    }
  } finally {
    lines.close();
  }
  throw new CommandFailed('nothing was done: no empty line sent the transaction');
}
