import { createReadStream } from 'node:fs';
import { LIMITS } from '../../protocol/limits.ts';
import { randomHex } from '../../protocol/random.ts';
import { type ClientRequest, keyPath, query } from '../client.ts';
import { CommandFailed, UsageError } from '../failures.ts';
import type { Io } from '../io.ts';
import { type Context, countOf, printJson, valueJson } from './context.ts';

interface Written {
  readonly key?: string;
  readonly revision: number;
  readonly version?: number;
  readonly deleted?: boolean;
}

export interface PutFlags {
  readonly file?: string;
  readonly ttl?: string;
  readonly lease?: string;
  readonly ifMatch?: string;
  readonly ifAbsent?: boolean;
  readonly contentType?: string;
}

/** Every write carries an idempotency key, so it can be sent again when its outcome is unknown. */
function writeHeaders(io: Io, flags: PutFlags): Record<string, string> {
  const headers: Record<string, string> = { 'idempotency-key': randomHex(io.random, 16) };
  if (flags.ifMatch !== undefined) {
    const revision = countOf(flags.ifMatch, '--if-match', 0, Number.MAX_SAFE_INTEGER);
    headers['if-match'] = `"${revision}"`;
  }
  if (flags.ifAbsent === true) headers['if-none-match'] = '*';
  if (flags.ttl !== undefined) {
    headers['x-minikv-ttl'] = String(countOf(flags.ttl, '--ttl', 1, LIMITS.ttlSecondsMax));
  }
  if (flags.lease !== undefined) {
    const lease = countOf(flags.lease, '--lease', 1, Number.MAX_SAFE_INTEGER);
    headers['x-minikv-lease'] = String(lease);
  }
  return headers;
}

/** `minikv put <key> [value]`: the value is the argument, a file, or standard input. */
export async function put(
  { io, client, json }: Context,
  key: string,
  value: string | undefined,
  flags: PutFlags,
): Promise<void> {
  const headers = writeHeaders(io, flags);
  headers['content-type'] = flags.contentType ?? 'application/octet-stream';
  const body = await valueBytes(io, value, flags.file);
  const request: ClientRequest = {
    ...{ method: 'PUT', path: keyPath(key), headers, body, repeatable: true },
  };
  const written = await client.json<Written>(request);
  if (json) await printJson(io, written);
  else await io.out(`${key} is at revision ${written.revision}\n`);
}

async function valueBytes(io: Io, value: string | undefined, file?: string): Promise<Uint8Array> {
  if (value !== undefined && file !== undefined) {
    throw new UsageError('give the value as an argument or as --file, not both');
  }
  if (value !== undefined && value !== '-') return Buffer.from(value, 'utf8');
  if (file === undefined && io.stdinIsTerminal && value === undefined) {
    throw new UsageError('no value: give it as an argument, with --file, or on standard input');
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of file === undefined ? io.stdin : createReadStream(file)) {
      chunks.push(chunk as Uint8Array);
      size += (chunk as Uint8Array).length;
      if (size > LIMITS.valueBytesMax) {
        throw new CommandFailed(
          `the value is larger than the limit of ${LIMITS.valueBytesMax} bytes`,
        );
      }
    }
  } catch (error) {
    if (error instanceof CommandFailed) throw error;
    throw new CommandFailed(`cannot read the value: ${(error as Error).message}`, {}, error);
  }
  return Buffer.concat(chunks);
}

export interface GetFlags {
  readonly revision?: string;
  readonly stale?: boolean;
}

/** `minikv get <key>`: the value's bytes on standard output, and nothing else. */
export async function get(
  { io, client, json }: Context,
  key: string,
  flags: GetFlags,
): Promise<void> {
  const path = `${keyPath(key)}${query({
    revision: flags.revision,
    consistency: flags.stale === true ? 'stale' : undefined,
  })}`;
  const answer = await client.send({ method: 'GET', path, repeatable: true }, async (response) => ({
    bytes: new Uint8Array(await response.arrayBuffer()),
    revision: Number((response.headers.get('etag') ?? '').replaceAll('"', '')),
    contentType: response.headers.get('content-type'),
  }));
  if (json) {
    const { bytes, revision, contentType } = answer;
    await printJson(io, { key, ...valueJson(bytes), revision, contentType });
    return;
  }
  await io.out(answer.bytes);
  if (io.outIsTerminal && answer.bytes.at(-1) !== 10) await io.out('\n');
}

export interface DelFlags {
  readonly ifMatch?: string;
}

/** `minikv del <key>`; a key that was not there is no failure. */
export async function del(
  { io, client, json }: Context,
  key: string,
  flags: DelFlags,
): Promise<void> {
  const headers = writeHeaders(io, flags.ifMatch === undefined ? {} : { ifMatch: flags.ifMatch });
  const answer = await client.json<Written>({
    method: 'DELETE',
    path: keyPath(key),
    headers,
    repeatable: true,
  });
  if (json) await printJson(io, answer);
  else await io.out(answer.deleted === true ? `deleted ${key}\n` : `${key} was not there\n`);
}
