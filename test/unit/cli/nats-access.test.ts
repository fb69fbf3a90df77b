import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadConfig, type NatsFiles } from '../../../cli/config.ts';
import { natsAccess } from '../../../cli/nats-access.ts';
import { type ParsedNatsUrls, parseNatsUrls } from '../../../gateways/peer/nats-options.ts';

const folder = mkdtempSync(join(tmpdir(), 'minikv-access-'));
afterAll(() => rmSync(folder, { recursive: true }));

const NONE: NatsFiles = { creds: null, nkey: null, ca: null, cert: null, key: null };
const urls = (text: string): ParsedNatsUrls => parseNatsUrls(text) as ParsedNatsUrls;

test('without files the URLs say who the node is', () => {
  const { credentials, tls } = natsAccess(urls('nats://node:secret@h:4222'), NONE);
  expect(credentials).toEqual({ kind: 'password', user: 'node', password: 'secret' });
  expect(tls).toBeNull();
});

test('an nkey file is read again at each connection', () => {
  const file = join(folder, 'nkey');
  writeFileSync(file, 'SUFIRST\n');
  const { credentials } = natsAccess(urls('nats://h:4222'), { ...NONE, nkey: file });
  if (credentials.kind !== 'nkey') throw new Error(credentials.kind);
  expect(Buffer.from(credentials.seed()).toString()).toBe('SUFIRST');
  writeFileSync(file, 'SUSECOND');
  expect(Buffer.from(credentials.seed()).toString()).toBe('SUSECOND');
});

test('a .creds file goes before credentials in the URL', () => {
  const file = join(folder, 'creds');
  writeFileSync(file, 'the contents');
  const { credentials } = natsAccess(urls('nats://u:p@h:4222'), { ...NONE, creds: file });
  if (credentials.kind !== 'creds') throw new Error(credentials.kind);
  expect(Buffer.from(credentials.contents()).toString()).toBe('the contents');
});

test('authority, certificate and key files ask for TLS', () => {
  const files = { ...NONE, ca: '/ca', cert: '/cert', key: '/key' };
  expect(natsAccess(urls('nats://h:4222'), files).tls).toEqual({
    caFile: '/ca',
    certFile: '/cert',
    keyFile: '/key',
  });
});

test('files that contradict each other, or go with nothing, are refused', () => {
  const load = (env: Record<string, string>) => () =>
    loadConfig({ flags: {}, env, readFile: () => '' });
  expect(load({ MINIKV_NATS_CREDS: 'f' })).toThrow(/need --nats/);
  const nats = { MINIKV_NATS: 'nats://h:4222' };
  expect(load({ ...nats, MINIKV_NATS_CREDS: 'f', MINIKV_NATS_NKEY: 'g' })).toThrow(/give one/);
  expect(load({ ...nats, MINIKV_NATS_TLS_CERT: 'f' })).toThrow(/go together/);
});
