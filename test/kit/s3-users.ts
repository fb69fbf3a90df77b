import { createHmac } from 'node:crypto';
import { S3 } from '@aws-sdk/client-s3';
import {
  type Credentials,
  encode,
  presign,
  queryText,
  type Signer,
  scopeOf,
  sha256Hex,
  signHeader,
  signingKey,
  timestampOf,
} from '../s3/sign.ts';
import type { Ask } from './s3-policies.ts';
import type { S3Server } from './s3-start.ts';

export const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };

/** A user of a server under test, with a pair of keys. */
export interface TestUser {
  readonly name: string;
  /** Canonical id. */
  readonly id: string;
  readonly arn: string;
  readonly credentials: Credentials;
  readonly s3: S3;
}

export async function makeUser(
  server: S3Server,
  name: string,
  more: { role?: string; email?: string; expiresInMs?: number } = {},
): Promise<TestUser> {
  const { role = 'read_write', email = null, expiresInMs = null } = more;
  const wanted = { name, displayName: `the ${name}`, email, role };
  const { id } = await server.users.createUser(CTX, wanted);
  const made = await server.users.createKey(CTX, { user: name, expiresInMs });
  const { accessKeyId } = made.shown;
  const credentials = { accessKeyId, secretAccessKey: made.secretAccessKey };
  const s3 = new S3({
    ...{ endpoint: server.url, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 },
    credentials,
  });
  return { name, id, arn: `arn:aws:iam::minikv:user/${name}`, credentials, s3 };
}

/** Sends it signed by somebody, or by nobody. */
export async function sendAs(
  { url }: Pick<S3Server, 'url'>,
  credentials: Credentials | null,
  { method, path, headers, body }: Ask,
): Promise<{ readonly status: number; readonly text: string }> {
  const hasBody = method === 'PUT' || method === 'POST';
  const sent = hasBody ? body : '';
  const all =
    credentials === null
      ? headers
      : signedHeaders(url, credentials, { method, path, headers }, sent);
  const answer = await fetch(url + path, { method, headers: all, body: hasBody ? body : null });
  return { status: answer.status, text: await answer.text() };
}

function signedHeaders(
  url: string,
  credentials: Credentials,
  { method, path: target, headers }: Pick<Ask, 'method' | 'path' | 'headers'>,
  body: string,
): Record<string, string> {
  const { host } = new URL(url);
  const [path = '', search = ''] = target.split('?');
  const query = [...new URLSearchParams(search)];
  const request = { method, path: path.split('/').map(encode).join('/'), query };
  const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
  const all = { host, ...Object.fromEntries(lower) };
  const signed = signHeader({ ...request, headers: all }, signerOf(credentials), sha256Hex(body));
  const { host: _, ...rest } = signed.headers;
  return rest;
}

function signerOf(credentials: Credentials): Signer {
  return { credentials, region: 'us-east-1', service: 's3', at: new Date() };
}

/** A URL that is good for a GET. */
export function urlOf({ url }: Pick<S3Server, 'url'>, credentials: Credentials, path: string) {
  const request = { method: 'GET', path, query: [], headers: { host: new URL(url).host } };
  return `${url}${path}?${queryText(presign(request, signerOf(credentials), 300))}`;
}

/** A form that is good for this key. */
export function formOf(
  credentials: Credentials,
  bucket: string,
  key: string,
  file: string,
): FormData {
  const signer = signerOf(credentials);
  const fields: Record<string, string> = {
    key,
    'x-amz-algorithm': 'AWS4-HMAC-SHA256',
    'x-amz-credential': `${credentials.accessKeyId}/${scopeOf(signer)}`,
    'x-amz-date': timestampOf(signer.at),
  };
  const conditions = Object.entries({ bucket, ...fields }).map(([name, is]) => ({ [name]: is }));
  const expiration = new Date(signer.at.getTime() + 60_000).toISOString();
  const policy = Buffer.from(JSON.stringify({ expiration, conditions })).toString('base64');
  const signature = createHmac('sha256', signingKey(signer)).update(policy).digest('hex');
  const form = new FormData();
  const all = { ...fields, policy, 'x-amz-signature': signature };
  for (const [name, value] of Object.entries(all)) form.append(name, value);
  form.append('file', new Blob([file]));
  return form;
}

/** `denied` also where it is said for each key of a list; else the code that it is refused with, or `let in`. */
export async function outcomeAs(
  server: Pick<S3Server, 'url'>,
  credentials: Credentials | null,
  one: Ask,
): Promise<string> {
  const { status, text } = await sendAs(server, credentials, one);
  const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? '';
  const isDenied = status === 403 && (one.method === 'HEAD' || code === 'AccessDenied');
  if (isDenied || (status === 200 && code === 'AccessDenied')) return 'denied';
  // Whoever may restore is told that there is nothing to restore from.
  if (code === 'InvalidObjectState') return 'let in';
  return status === 403 || status === 503 ? `${status} ${code}` : 'let in';
}
