import { join, resolve } from 'node:path';
import {
  ADMIN_ID,
  type ApiKey,
  apiKeyText,
  drawApiKey,
  parseApiKey,
} from '../gateways/identity/api-key.ts';
import type { Random } from '../protocol/random.ts';
import { makePrivateFolder } from '../storage/disk/private-folder.ts';
import type { Config } from './config.ts';
import { keepSecret, readSecret } from './secret-file.ts';

/** The administrator's key, with which the first other keys are made. */
export interface AdminKey {
  readonly key: ApiKey;
  /** `new`: drawn at this start, so nobody has seen it yet. */
  readonly from: 'configuration' | 'file' | 'new';
  /** Where it is kept; null: nowhere. */
  readonly path: string | null;
}

const FILE = 'admin-key';

type Source = Pick<Config, 'adminKey' | 'ephemeral' | 'data' | 'nats'>;

/**
 * From the configuration, else the one in the data folder. A node on its own draws one at its first start; one of several
 * does not, since all have to have the same: it throws without one.
 */
export async function adminKey(config: Source, random: Random): Promise<AdminKey> {
  const isAlone = config.nats.length === 0;
  if (config.adminKey !== null) return { key: config.adminKey, from: 'configuration', path: null };
  const path = config.ephemeral ? null : join(resolve(config.data), FILE);
  const text = path === null ? null : await readSecret(path);
  if (text !== null) return { key: parsed(text, path ?? ''), from: 'file', path };
  if (!isAlone) {
    throw new Error('auth on one of several nodes needs auth-admin-key, the same on all of them');
  }
  const key = drawApiKey(random, ADMIN_ID);
  if (path !== null) {
    await makePrivateFolder(resolve(config.data));
    await keepSecret(path, `${apiKeyText(key)}\n`);
  }
  return { key, from: 'new', path };
}

/** Null: that is no administrator's key. */
export function parseAdminKey(text: string): ApiKey | null {
  const key = parseApiKey(text);
  return key?.id === ADMIN_ID ? key : null;
}

function parsed(text: string, path: string): ApiKey {
  const key = parseAdminKey(text.trim());
  if (key !== null) return key;
  throw new Error(`${path} has no key: put its backup there, or remove it to draw a new one`);
}
