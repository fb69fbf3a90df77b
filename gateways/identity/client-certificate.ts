import type { X509Certificate } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

/**
 * A client's certificate on a connection: the handshake has shown that its sender has the key, and that the certificate
 * is one for clients, is valid, and leads to the authority that is configured (tls-client-ca).
 */
export class ClientCertificate {
  /** As mappings have them: `subject:CN=a,O=b`, and `dns:`, `uri:`, `email:` and `ip:` of its alternative names. */
  readonly names: readonly string[];
  /** Unix ms. */
  readonly endsAtMs: number;

  constructor(names: readonly string[], endsAtMs: number) {
    this.names = names;
    this.endsAtMs = endsAtMs;
  }
}

/** What an `Authorization` says, or in its place the certificate of the connection. */
export type Credential = string | ClientCertificate | undefined;

const certificates = new WeakMap<Duplex, ClientCertificate | null>();

const carriers = new WeakMap<Duplex, TLSSocket>();

/** Requests on `stream` come over this connection: what it has shown counts for them. */
export function carry(stream: Duplex, connection: TLSSocket): void {
  carriers.set(stream, connection);
}

/** A header goes before a certificate: whoever sends one asks to be judged by it. */
export function credentialOf(authorization: string | undefined, socket: Duplex | null): Credential {
  if (authorization !== undefined || socket === null) return authorization;
  return certificateOn(socket) ?? undefined;
}

/** Null: the client has shown none, or one that does not count. Read once per connection. */
export function certificateOn(stream: Duplex): ClientCertificate | null {
  const socket = carriers.get(stream) ?? stream;
  if (!(socket instanceof TLSSocket)) return null;
  const known = certificates.get(socket);
  if (known !== undefined) return known;
  const found = socket.authorized ? read(socket) : null;
  certificates.set(socket, found);
  return found;
}

function read(socket: TLSSocket): ClientCertificate | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  return new ClientCertificate(namesOf(certificate), Date.parse(certificate.validTo));
}

const KINDS: Readonly<Record<string, string>> = {
  DNS: 'dns',
  URI: 'uri',
  email: 'email',
  'IP Address': 'ip',
};
/** Node quotes a name that has a character which could pass for the end of it: such a one is no name here. */
const ALTERNATIVE = /(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)/g;

function namesOf({ subject, subjectAltName }: X509Certificate): readonly string[] {
  // Lines, in which control characters and commas are escaped (RFC 2253).
  const names = subject ? [`subject:${subject.split('\n').join(',')}`] : [];
  for (const [, kind = '', name = ''] of (subjectAltName ?? '').matchAll(ALTERNATIVE)) {
    const prefix = KINDS[kind];
    if (prefix === undefined || name === '' || name.startsWith('"')) continue;
    names.push(`${prefix}:${prefix === 'dns' ? name.toLowerCase() : name}`);
  }
  return names;
}
