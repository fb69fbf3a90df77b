import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import type { TlsPair } from '../gateways/http/tls.ts';
import type { Random } from '../protocol/random.ts';

/** The door to @peculiar/x509: certificates of an authority of one's own (RFC 5280), with keys on P-256. */

const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 3600 * 1000;
const AUTHORITY_DAYS = 3650;
/** The longest that browsers and Apple's libraries take of one from an authority that was added by hand. */
const HOLDER_DAYS = 825;
/** Clocks of clients may be behind. */
const EARLY_MS = 3600 * 1000;
const SERIAL_BYTES = 16;

/** What certificates are made with. */
export interface Maker {
  readonly random: Random;
  readonly nowMs: number;
}

/** An authority, which signs nothing but certificates of servers and clients. */
export async function makeAuthority(name: string, maker: Maker): Promise<TlsPair> {
  const keys = await drawnKeys();
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    ...{ serialNumber: serial(maker), name: [{ CN: [name] }], keys, signingAlgorithm: SIGNING },
    ...lifetime(maker, AUTHORITY_DAYS),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return pemOf(cert, keys.privateKey);
}

/** A certificate for a server under these names and addresses, which the authority signs. */
export function makeServerPair(
  authority: TlsPair,
  names: readonly string[],
  maker: Maker,
): Promise<TlsPair> {
  const others = names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }) as const);
  const usage = x509.ExtendedKeyUsage.serverAuth;
  return makePair(authority, { name: names[0] ?? '', others, usage }, maker);
}

/** A certificate for a client, `CN=name`, maybe with alternative names such as a SPIFFE id, which the authority signs. */
export function makeClientPair(
  authority: TlsPair,
  name: string,
  others: readonly { readonly type: 'dns' | 'url' | 'email'; readonly value: string }[],
  maker: Maker,
): Promise<TlsPair> {
  return makePair(authority, { name, others, usage: x509.ExtendedKeyUsage.clientAuth }, maker);
}

interface Holder {
  readonly name: string;
  readonly others: readonly x509.JsonGeneralName[];
  readonly usage: x509.ExtendedKeyUsage;
}

async function makePair(
  authority: TlsPair,
  { name, others, usage }: Holder,
  maker: Maker,
): Promise<TlsPair> {
  const keys = await drawnKeys();
  const issuer = new x509.X509Certificate(authority.cert);
  const cert = await x509.X509CertificateGenerator.create({
    ...{ serialNumber: serial(maker), subject: [{ CN: [name] }], issuer: issuer.subject },
    ...{ publicKey: keys.publicKey, signingAlgorithm: SIGNING },
    signingKey: await importedKey(authority.key),
    ...lifetime(maker, HOLDER_DAYS),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      ...(others.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension([...others])]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return pemOf(cert, keys.privateKey);
}

/** Names and addresses of a certificate, as they were given. */
export function namesOf(cert: string): string[] {
  const names = new x509.X509Certificate(cert).getExtension(x509.SubjectAlternativeNameExtension);
  return (names?.names.items ?? []).map(({ value }) => value);
}

function serial({ random }: Maker): string {
  // Positive: the first bit is that of the sign (RFC 5280, section 4.1.2.2).
  const bytes = Buffer.from(random.bytes(SERIAL_BYTES));
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function lifetime({ nowMs }: Maker, days: number) {
  return { notBefore: new Date(nowMs - EARLY_MS), notAfter: new Date(nowMs + days * DAY_MS) };
}

function drawnKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY, true, [
    'sign',
    'verify',
  ]) as Promise<webcrypto.CryptoKeyPair>;
}

function importedKey(pem: string): Promise<webcrypto.CryptoKey> {
  const [block] = x509.PemConverter.decode(pem);
  return webcrypto.subtle.importKey('pkcs8', block as ArrayBuffer, KEY, false, [
    'sign',
  ]) as Promise<webcrypto.CryptoKey>;
}

async function pemOf(cert: x509.X509Certificate, key: webcrypto.CryptoKey): Promise<TlsPair> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key);
  return {
    cert: `${cert.toString('pem')}\n`,
    key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
  };
}
