import { join, resolve } from 'node:path';
import type { Credentials } from '../gateways/s3/sigv4.ts';
import type { Random } from '../protocol/random.ts';
import { makePrivateFolder } from '../storage/disk/private-folder.ts';
import type { Config } from './config.ts';
import { keepSecret, readSecret } from './secret-file.ts';

/** The one pair of S3 keys that this node knows. */
export interface S3Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** `new`: drawn at this start, so nobody has seen them yet. */
  readonly from: 'configuration' | 'file' | 'new';
  /** Where they are kept; null: nowhere. */
  readonly path: string | null;
}

const FILE = 's3-keys.json';

/** From the configuration, else those that an earlier start kept in the data folder, else new ones. */
export async function s3Keys(
  config: Pick<Config, 's3Keys' | 'ephemeral' | 'data'>,
  random: Random,
): Promise<S3Keys> {
  if (config.s3Keys !== null) return { ...config.s3Keys, from: 'configuration', path: null };
  if (config.ephemeral) return { ...drawn(random), from: 'new', path: null };
  const folder = resolve(config.data);
  const path = join(folder, FILE);
  const kept = await readKept(path);
  if (kept !== null) return { ...kept, from: 'file', path };
  const made = drawn(random);
  await makePrivateFolder(folder);
  await keep(path, made);
  return { ...made, from: 'new', path };
}

/** Keys that are kept in one folder for another one too, so that all nodes of a cluster know the same. */
export async function shareKeys(keys: S3Keys, data: string): Promise<void> {
  const folder = resolve(data);
  await makePrivateFolder(folder);
  const { accessKeyId, secretAccessKey } = keys;
  await keep(join(folder, FILE), { accessKeyId, secretAccessKey });
}

interface Pair {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

export function drawn(random: Random): Pair {
  const letters = [...random.bytes(18)].map((byte) => LETTERS[byte & 31]).join('');
  const secretAccessKey = Buffer.from(random.bytes(30)).toString('base64url');
  return { accessKeyId: `MK${letters}`, secretAccessKey };
}

async function readKept(path: string): Promise<Pair | null> {
  const text = await readSecret(path);
  if (text === null) return null;
  const pair = parsed(text);
  if (pair !== null) return pair;
  throw new Error(`${path} has no S3 keys: put its backup there, or remove it to draw new ones`);
}

function parsed(text: string): Pair | null {
  try {
    const { accessKeyId, secretAccessKey } = JSON.parse(text) as Partial<Pair>;
    if (typeof accessKeyId !== 'string' || typeof secretAccessKey !== 'string') return null;
    return accessKeyId === '' || secretAccessKey === '' ? null : { accessKeyId, secretAccessKey };
  } catch {
    return null;
  }
}

function keep(path: string, pair: Pair): Promise<void> {
  return keepSecret(
    path,
    `${JSON.stringify(pair, null, 2)}
`,
  );
}

export function credentialsOf(keys: S3Keys): (accessKeyId: string) => Promise<Credentials | null> {
  const { secretAccessKey } = keys;
  const known = { secretAccessKey, sessionToken: null, expiresAtMs: null };
  return async (accessKeyId) => (accessKeyId === keys.accessKeyId ? known : null);
}
