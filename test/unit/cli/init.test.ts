import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { afterEach, expect, it } from 'vitest';
import { init } from '../../../cli/commands/init.ts';
import { loadConfig } from '../../../cli/config.ts';
import { UsageError } from '../../../cli/failures.ts';
import { testIo } from './fake-io.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const root = mkdtempSync(join(tmpdir(), 'minikv-init-'));
  folders.push(root);
  return join(root, 'kv');
}

const tomlOf = (folder: string, id: string) =>
  readFileSync(join(folder, id, 'minikv.toml'), 'utf8');

/** As the node reads it. */
const configOf = (folder: string, id: string) =>
  loadConfig({ flags: { config: 'c' }, env: {}, readFile: () => tomlOf(folder, id) }).config;

const THREE = {
  node: ['n1=kv1.example,10.0.0.1', 'n2=kv2.example', 'n3=kv3.example'],
  nats: 'nats://bus.example:4222',
};

it('nodes of one cluster share every secret, and differ in what is their own', async () => {
  const folder = newFolder();
  await init(testIo(), folder, { ...THREE, auth: true, tls: true, at: '/etc/minikv' });
  const [one, two, three] = ['n1', 'n2', 'n3'].map((id) => configOf(folder, id));
  for (const other of [two, three]) {
    expect(other?.adminKey).toEqual(one?.adminKey);
    expect(other?.rootKeys).toEqual(one?.rootKeys);
    expect(other?.s3Keys).toEqual(one?.s3Keys);
    expect(other?.clusterSecrets).toEqual(one?.clusterSecrets);
  }
  expect(one).toMatchObject({
    ...{ nodeId: 'n1', initialMembers: ['n1', 'n2', 'n3'], host: '0.0.0.0', auth: true },
    ...{ data: '/etc/minikv/data', httpUrl: 'https://kv1.example:8080' },
    tls: {
      certFile: '/etc/minikv/cert.pem',
      keyFile: '/etc/minikv/key.pem',
      minVersion: 'TLSv1.2',
    },
    s3Domains: ['kv1.example', 'localhost'],
  });
  expect(two).toMatchObject({ nodeId: 'n2', httpUrl: 'https://kv2.example:8080' });
  const cert = new X509Certificate(readFileSync(join(folder, 'n1', 'cert.pem')));
  for (const name of ['kv1.example', 'bucket.kv1.example', 'localhost']) {
    expect(cert.checkHost(name), name).toBeDefined();
  }
  expect([cert.checkIP('10.0.0.1'), cert.checkIP('::1')]).toEqual(['10.0.0.1', '::1']);
  expect(cert.checkHost('kv2.example')).toBeUndefined();
});

it('secrets are drawn anew each time', async () => {
  const [a, b] = [newFolder(), newFolder()];
  for (const folder of [a, b]) await init(testIo(), folder, { auth: true });
  const [one, two] = [a, b].map((folder) => parse(tomlOf(folder, 'n1')));
  for (const key of ['auth-admin-key', 's3-access-key', 's3-secret-key', 'encryption-root-key']) {
    expect(one?.[key], key).toEqual(expect.any(String));
    expect(one?.[key]).not.toBe(two?.[key]);
  }
});

it('without keys or without TLS a node stays on loopback', async () => {
  for (const flags of [{}, { auth: true }, { tls: true }]) {
    const folder = newFolder();
    await init(testIo(), folder, flags);
    expect(configOf(folder, 'n1').host).toBe('127.0.0.1');
  }
});

it.each([
  [{ node: THREE.node }, 'more than one node needs --nats'],
  [{ node: ['n1=a=b'] }, '--node must be <id>=<host name or address>'],
  [{ node: ['n1=a b'] }, '--node must be'],
  [{ node: ['N1=a'] }, '--node must be'],
  [{ ...THREE, node: ['n1=a', 'n1=b'] }, '--node names a node twice'],
])('%j is refused, and nothing is made', async (flags, message) => {
  const folder = newFolder();
  const refused = init(testIo(), folder, flags);
  await expect(refused).rejects.toThrow(message);
  await expect(refused).rejects.toBeInstanceOf(UsageError);
  expect(() => readFileSync(join(folder, 'n1', 'minikv.toml'))).toThrow('ENOENT');
});

it('new certificates need the authority, and the folders of nodes', async () => {
  const folder = newFolder();
  await expect(init(testIo(), folder, { renew: true })).rejects.toThrow('cannot read');
  await init(testIo(), folder, { tls: true, node: ['n1=kv.example,10.0.0.7'] });
  const certOf = () => new X509Certificate(readFileSync(join(folder, 'n1', 'cert.pem')));
  const before = certOf();
  await init(testIo(), folder, { renew: true });
  expect(certOf().serialNumber).not.toBe(before.serialNumber);
  expect(certOf().subjectAltName).toBe(before.subjectAltName);
  const ca = new X509Certificate(readFileSync(join(folder, 'ca.pem')));
  expect(certOf().verify(ca.publicKey)).toBe(true);
  const key = createPrivateKey(readFileSync(join(folder, 'n1', 'key.pem')));
  expect(certOf().checkPrivateKey(key)).toBe(true);
  // What is there for a moment only is gone.
  expect(readdirSync(join(folder, 'n1')).filter((name) => name.includes('.next'))).toEqual([]);
});

it('certificates for clients are made of the authority that is there, and none is written over', async () => {
  const folder = newFolder();
  await init(testIo(), folder, { auth: true, tls: true });
  await init(testIo(), folder, { client: ['writer', 'reader'] });
  const at = join(folder, 'clients', 'writer');
  const cert = new X509Certificate(readFileSync(join(at, 'cert.pem')));
  const ca = new X509Certificate(readFileSync(join(folder, 'ca.pem')));
  expect(cert.subject).toBe('CN=writer');
  expect(cert.verify(ca.publicKey)).toBe(true);
  expect(cert.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  expect(statSync(join(at, 'key.pem')).mode & 0o777).toBe(0o600);
  await expect(init(testIo(), folder, { client: ['writer'] })).rejects.toThrow('there already');
  await expect(init(testIo(), folder, { client: ['../x'] })).rejects.toThrow(UsageError);
  await expect(init(testIo(), newFolder(), { client: ['a'] })).rejects.toThrow('cannot read');
});

it('each node gets a user of its own on the NATS servers, but where URLs have one', async () => {
  const folder = newFolder();
  await init(testIo(), folder, THREE);
  const urls = ['n1', 'n2', 'n3'].map((id) => configOf(folder, id).nats[0] ?? '');
  expect(new Set(urls).size).toBe(3);
  const conf = readFileSync(join(folder, 'nats-server.conf'), 'utf8');
  for (const [i, url] of urls.entries()) {
    const { username, password, host } = new URL(url);
    expect([username, host]).toEqual([`n${i + 1}`, 'bus.example:4222']);
    expect(conf).toContain(`{ user: "${username}", password: "${password}", permissions:`);
  }
  expect(statSync(join(folder, 'nats-server.conf')).mode & 0o777).toBe(0o600);
  const [nats, other] = ['nats://u:p@bus.example:4222', newFolder()];
  await init(testIo(), other, { ...THREE, nats });
  expect(configOf(other, 'n2').nats).toEqual([nats]);
  expect(existsSync(join(other, 'nats-server.conf'))).toBe(false);
});
