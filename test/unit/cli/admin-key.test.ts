import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { adminKey } from '../../../cli/admin-key.ts';
import { apiKeyText } from '../../../gateways/identity/api-key.ts';
import { seededRandom } from '../../../protocol/random.ts';

let data: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'minikv-admin-'));
});
afterEach(() => rmSync(data, { recursive: true }));

const ALONE = { adminKey: null, ephemeral: false, nats: [] };

it('a node on its own draws one, keeps it for nobody else to read, and finds it again', async () => {
  const made = await adminKey({ ...ALONE, data }, seededRandom(1));
  const path = join(data, 'admin-key');
  expect(made).toMatchObject({ from: 'new', path });
  expect(readFileSync(path, 'utf8').trim()).toBe(apiKeyText(made.key));
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const again = await adminKey({ ...ALONE, data }, seededRandom(2));
  expect(again).toEqual({ key: made.key, from: 'file', path });
});

it('one of several nodes needs the one of all', async () => {
  const several = { ...ALONE, data, nats: ['nats://a:4222'] };
  await expect(adminKey(several, seededRandom(1))).rejects.toThrow('auth-admin-key');
  const key = { id: 'admin', secret: 'k'.repeat(43) };
  const given = await adminKey({ ...several, adminKey: key }, seededRandom(1));
  expect(given).toEqual({ key, from: 'configuration', path: null });
});

it('a file that holds something else is not passed over', async () => {
  writeFileSync(join(data, 'admin-key'), 'secret');
  await expect(adminKey({ ...ALONE, data }, seededRandom(1))).rejects.toThrow('has no key');
});
