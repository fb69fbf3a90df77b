import { createReadStream } from 'node:fs';
import { LIMITS } from '../../protocol/limits.ts';
import { CommandFailed, UsageError } from '../failures.ts';
import type { Io } from '../io.ts';
import { type Context, printJson } from './context.ts';

/** A role as a node shows it. */
interface ShownRole {
  readonly name: string;
  readonly builtIn: boolean;
  readonly description: string;
  readonly rules: readonly Rule[];
}

interface Rule {
  readonly effect: string;
  readonly actions: readonly string[];
  readonly resources: readonly object[];
}

export interface PutRoleFlags {
  readonly allow?: string;
  readonly deny?: string;
  readonly keys?: readonly string[];
  readonly bucket?: readonly string[];
  readonly buckets?: readonly string[];
  readonly cluster?: boolean;
  readonly description?: string;
  readonly file?: string;
}

export async function listRoles({ io, client, json }: Context): Promise<void> {
  const { roles } = await client.json<{ readonly roles: readonly ShownRole[] }>({
    ...{ method: 'GET', path: '/admin/roles', repeatable: true },
  });
  for (const role of roles) {
    if (json) await printJson(io, role);
    else await io.out(`${lineOf(role)}\n`);
  }
}

export async function showRole({ io, client }: Context, name: string): Promise<void> {
  const role = await client.json<ShownRole>({
    ...{ method: 'GET', path: pathTo(name), repeatable: true },
  });
  await printJson(io, role);
}

/** `minikv roles put <name>`: done when every node judges by the new rules. */
export async function putRole(
  { io, client, json }: Context,
  name: string,
  flags: PutRoleFlags,
): Promise<void> {
  const body = await documentOf(io, flags);
  const role = await client.json<ShownRole>({
    ...{ method: 'PUT', path: pathTo(name), repeatable: true, body },
    headers: { 'content-type': 'application/json' },
  });
  if (json) return printJson(io, role);
  await io.out(`${lineOf(role)}\n`);
}

export async function deleteRole({ io, client, json }: Context, name: string): Promise<void> {
  const deleted = await client.json({
    ...{ method: 'DELETE', path: pathTo(name), repeatable: false },
  });
  if (json) return printJson(io, deleted);
  await io.out(`deleted ${name}\n`);
}

function pathTo(name: string): string {
  return `/admin/roles/${encodeURIComponent(name)}`;
}

async function documentOf(io: Io, flags: PutRoleFlags): Promise<string> {
  const { allow, deny, file, description } = flags;
  const resources = resourcesOf(flags);
  if (file !== undefined) {
    const others = [allow, deny, description].some((flag) => flag !== undefined);
    if (others || resources.length > 0) throw new UsageError('--file says all of the role');
    return textOf(io, file);
  }
  if (allow === undefined && deny === undefined) {
    throw new UsageError('say what it may: --allow, --deny, or --file');
  }
  if (resources.length === 0) {
    throw new UsageError('say where: --keys, --bucket, --buckets, --cluster, or --file');
  }
  const rules = [
    ...(allow === undefined ? [] : [{ effect: 'allow', actions: allow.split(','), resources }]),
    ...(deny === undefined ? [] : [{ effect: 'deny', actions: deny.split(','), resources }]),
  ];
  return JSON.stringify({ ...(description === undefined ? {} : { description }), rules });
}

function resourcesOf({ keys = [], bucket = [], buckets = [], cluster }: PutRoleFlags): object[] {
  const ofBuckets = bucket.map((text) => {
    const at = text.indexOf('/');
    return at < 0 ? { bucket: text } : { bucket: text.slice(0, at), objects: text.slice(at + 1) };
  });
  return [
    ...keys.map((prefix) => ({ keys: prefix })),
    ...ofBuckets,
    ...buckets.map((prefix) => ({ buckets: prefix })),
    ...(cluster === true ? [{ cluster: true }] : []),
  ];
}

/** What is longer is no role: a document in JSON may have room between its words. */
const DOCUMENT_BYTES_MAX = 4 * LIMITS.roleBytesMax;

async function textOf(io: Io, file: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of file === '-' ? io.stdin : createReadStream(file)) {
      chunks.push(chunk as Uint8Array);
      size += (chunk as Uint8Array).length;
      if (size > DOCUMENT_BYTES_MAX) throw new CommandFailed('that is too long for a role');
    }
  } catch (error) {
    if (error instanceof CommandFailed) throw error;
    throw new CommandFailed(`cannot read the role: ${(error as Error).message}`, {}, error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function lineOf({ name, builtIn, description, rules }: ShownRole): string {
  const said = rules.map(
    ({ effect, actions, resources }) =>
      `${effect} ${actions.join(',')} on ${resources.map((one) => JSON.stringify(one)).join(' ')}`,
  );
  const origin = builtIn ? '  (built in)' : '';
  const about = description === '' ? '' : `  ${description}`;
  return [`${name}${origin}${about}`, ...said.map((line) => `  ${line}`)].join('\n');
}
