import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { loadConfig } from '../../../cli/config.ts';
import { UsageError } from '../../../cli/failures.ts';
import { TlsFiles } from '../../../cli/tls-files.ts';
import type { TlsPair } from '../../../gateways/http/tls.ts';
import { HandClock } from '../../kit/hand-clock.ts';
import { waitFor } from '../../kit/http-watch-suite.ts';
import { recordingTelemetry } from '../../kit/recording-telemetry.ts';
import { TestAuthority } from '../../kit/test-tls.ts';

const LOOK_MS = 2_000;
const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

async function kept(pair: TlsPair) {
  const folder = await mkdtemp(join(tmpdir(), 'minikv-tls-'));
  folders.push(folder);
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const clientCaFile = pair.clientCa === undefined ? null : join(folder, 'ca.pem');
  const write = async ({ cert, key, clientCa }: TlsPair) => {
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
    if (clientCaFile !== null) await writeFile(clientCaFile, clientCa ?? '');
  };
  await write(pair);
  const clock = new HandClock();
  clock.wallStartMs = Date.now();
  const gauged: number[] = [];
  const gauge = (name: string, value: number) => {
    if (name === 'tls_certificate_ends_seconds') gauged.push(value);
  };
  const telemetry = { ...recordingTelemetry(), gauge };
  const open = () =>
    new TlsFiles({ certFile, keyFile, clientCaFile, minVersion: 'TLSv1.2' }, { clock, telemetry });
  /** Lets it look once more, to the end. */
  const look = async (files: TlsFiles) => {
    await waitFor(() => clock.timerCount > 0);
    await clock.pass(LOOK_MS);
    await waitFor(() => clock.timerCount > 0);
    return files.pair();
  };
  const errors = () => telemetry.lines.filter(({ level }) => level === 'error').length;
  const gauges = () => gauged;
  return { certFile, keyFile, write, clock, telemetry, open, look, errors, gauges };
}

it('what replaces the pair is used, and told to who asked', async () => {
  const authority = await TestAuthority.make();
  const [one, two] = [await authority.server(), await authority.server()];
  const { write, open, look, gauges } = await kept(one);
  const files = open();
  const told: TlsPair[] = [];
  files.onReplaced((pair) => told.push(pair));
  expect(await look(files)).toEqual(one);
  expect(told).toEqual([]);
  await write(two);
  expect(await look(files)).toEqual(two);
  expect(told).toEqual([two]);
  const endsMs = Date.parse(new X509Certificate(two.cert).validTo);
  expect(gauges().at(-1)).toBe(endsMs / 1000);
  files.stop();
});

it('half of a new pair, no file, what is no certificate, and one that is broken behind it are told once each, and the old pair goes on', async () => {
  const authority = await TestAuthority.make();
  const [one, two] = [await authority.server(), await authority.server()];
  const { certFile, keyFile, write, open, look, errors } = await kept(one);
  const files = open();
  await writeFile(certFile, two.cert);
  for (let i = 0; i < 3; i++) expect(await look(files)).toEqual(one);
  expect(errors()).toBe(1);
  await rm(keyFile);
  for (let i = 0; i < 3; i++) expect(await look(files)).toEqual(one);
  expect(errors()).toBe(2);
  await write({ cert: 'not a certificate', key: two.key });
  for (let i = 0; i < 3; i++) expect(await look(files)).toEqual(one);
  expect(errors()).toBe(3);
  const broken = `${two.cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
  const told: TlsPair[] = [];
  files.onReplaced((pair) => told.push(pair));
  await write({ cert: broken, key: two.key });
  for (let i = 0; i < 3; i++) expect(await look(files)).toEqual(one);
  expect(errors()).toBe(4);
  await write(two);
  expect(await look(files)).toEqual(two);
  expect(told).toEqual([two]);
  expect(errors()).toBe(4);
  files.stop();
});

it('a node does not start with half a pair; one whose time is over is used and warned of', async () => {
  const authority = await TestAuthority.make();
  const [one, two] = [await authority.server(), await authority.server()];
  const { write, open, telemetry } = await kept({ cert: one.cert, key: two.key });
  expect(open).toThrow('the private key is not that of the certificate');
  await write(await authority.server(undefined, Date.now() - 900 * 86_400_000));
  const files = open();
  expect(telemetry.lines).toMatchObject([{ level: 'warn', message: 'the certificate has ended' }]);
  files.stop();
});

it('a replacement that was cut off in the middle is used whole, at the start and while it runs', async () => {
  const authority = await TestAuthority.make();
  const [one, two] = [await authority.server(), await authority.server()];
  const { certFile, keyFile, write, open, look, errors } = await kept(one);
  // As `minikv init --renew` does it: both are there before the first takes its place.
  await writeFile(`${certFile}.next`, two.cert);
  const running = open();
  expect(await look(running)).toEqual(one);
  await writeFile(keyFile, two.key);
  expect(await look(running)).toEqual(two);
  const started = open();
  expect(started.pair()).toEqual(two);
  await write(two);
  expect(await look(running)).toEqual(two);
  expect(errors()).toBe(0);
  // One that has nothing to do with the key is no help.
  await writeFile(`${certFile}.next`, one.cert);
  await writeFile(keyFile, (await authority.server()).key);
  expect(open).toThrow('the private key is not that of the certificate');
  for (const files of [running, started]) files.stop();
});

it('the two files go together, and the version is one of two', () => {
  const load = (env: Record<string, string>) =>
    loadConfig({ flags: {}, env, readFile: () => '' }).config.tls;
  expect(load({})).toBeNull();
  const both = { MINIKV_TLS_CERT: 'a', MINIKV_TLS_KEY: 'b' };
  expect(load(both)).toEqual({
    ...{ certFile: 'a', keyFile: 'b', clientCaFile: null, minVersion: 'TLSv1.2' },
  });
  const withCa = { ...both, MINIKV_TLS_CLIENT_CA: 'c', MINIKV_AUTH: 'true' };
  expect(load(withCa)?.clientCaFile).toBe('c');
  expect(() => load({ ...withCa, MINIKV_AUTH: 'false' })).toThrow('needs auth');
  expect(() => load({ MINIKV_TLS_CLIENT_CA: 'c' })).toThrow('needs tls-cert');
  expect(load({ ...both, MINIKV_TLS_MIN_VERSION: '1.3' })?.minVersion).toBe('TLSv1.3');
  expect(() => load({ MINIKV_TLS_CERT: 'a' })).toThrow(UsageError);
  expect(() => load({ ...both, MINIKV_TLS_MIN_VERSION: '1.1' })).toThrow('one of 1.2, 1.3');
});

it('an authority of clients that is replaced is used; what is none is told, and passed over', async () => {
  const authority = await TestAuthority.make();
  const [first, second] = [await TestAuthority.make('one'), await TestAuthority.make('two')];
  const pair = await authority.server();
  const { write, open, look, errors } = await kept({ ...pair, clientCa: first.cert });
  const files = open();
  expect(files.pair().clientCa).toBe(first.cert);
  await write({ ...pair, clientCa: second.cert });
  expect((await look(files)).clientCa).toBe(second.cert);
  await write({ ...pair, clientCa: 'none' });
  expect((await look(files)).clientCa).toBe(second.cert);
  expect(errors()).toBe(1);
  files.stop();
});
