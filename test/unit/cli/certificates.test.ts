import { X509Certificate } from 'node:crypto';
import { expect, it } from 'vitest';
import { makeAuthority, makeServerPair } from '../../../cli/certificates.ts';
import { checkPair } from '../../../gateways/http/tls.ts';
import { seededRandom } from '../../../protocol/random.ts';

const NOW_MS = Date.parse('2026-03-04T05:06:07Z');
const maker = (seed: number) => ({ random: seededRandom(seed), nowMs: NOW_MS });

it('an authority signs for names and addresses, and another did not', async () => {
  const authority = await makeAuthority('one', maker(1));
  const other = await makeAuthority('one', maker(2));
  const pair = await makeServerPair(
    authority,
    ['n1.example', 'localhost', '::1', '10.0.0.1'],
    maker(3),
  );
  const ca = new X509Certificate(authority.cert);
  const cert = new X509Certificate(pair.cert);
  expect(ca.ca).toBe(true);
  expect(cert.ca).toBe(false);
  expect(cert.checkIssued(ca)).toBe(true);
  expect(cert.verify(ca.publicKey)).toBe(true);
  expect(cert.verify(new X509Certificate(other.cert).publicKey)).toBe(false);
  for (const name of ['n1.example', 'localhost']) expect(cert.checkHost(name)).toBe(name);
  for (const ip of ['::1', '10.0.0.1']) expect(cert.checkIP(ip)).toBe(ip);
  expect([cert.checkHost('n2.example'), cert.checkIP('10.0.0.2')]).toEqual([undefined, undefined]);
});

it('certificates have begun, end after 825 days, and have serials of 16 bytes that are positive', async () => {
  const authority = await makeAuthority('one', maker(1));
  const serials = new Set<string>();
  for (let seed = 10; seed < 30; seed++) {
    const cert = new X509Certificate((await makeServerPair(authority, ['a'], maker(seed))).cert);
    expect(Date.parse(cert.validFrom)).toBe(NOW_MS - 3_600_000);
    expect(Date.parse(cert.validTo) - NOW_MS).toBe(825 * 86_400_000);
    expect(cert.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
    serials.add(cert.serialNumber);
  }
  expect(serials.size).toBe(20);
});

it('a pair is one only with the key of its certificate', async () => {
  const authority = await makeAuthority('one', maker(1));
  const one = await makeServerPair(authority, ['a.example'], maker(2));
  const two = await makeServerPair(authority, ['a.example'], maker(3));
  expect(checkPair(one)).toEqual({
    ...{ subject: 'CN=a.example', names: 'DNS:a.example', endsAtMs: NOW_MS + 825 * 86_400_000 },
  });
  expect(() => checkPair({ cert: one.cert, key: two.key })).toThrow('not that of the certificate');
  expect(() => checkPair({ cert: 'x', key: one.key })).toThrow('there is no certificate in PEM');
  expect(() => checkPair({ cert: one.cert, key: '' })).toThrow('there is no private key in PEM');
});
