import { createPrivateKey, X509Certificate } from 'node:crypto';
import type {
  ServerOptions as HttpOptions,
  IncomingMessage,
  Server,
  ServerResponse,
} from 'node:http';
import { createServer } from 'node:https';
import { createSecureContext } from 'node:tls';
import { ALPN_PROTOCOLS } from './http2.ts';

/** PEM: the certificate, with those behind it up to the authority, and its private key. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
  /** Whose certificates of clients count, PEM. Without it clients are asked for none. */
  readonly clientCa?: string;
}

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** What a listener speaks TLS with. */
export interface TlsSource {
  readonly minVersion: TlsVersion;
  /** That of this moment. */
  pair(): TlsPair;
  /** `run` with every later one. */
  onReplaced(run: (pair: TlsPair) => void): void;
}

/** What is known of a certificate that can be used. */
export interface TlsFacts {
  readonly subject: string;
  readonly names: string;
  readonly endsAtMs: number;
}

/** Whether the key is that of the certificate; false also where one of them is none. */
export function belongTogether({ cert, key }: TlsPair): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

/** Throws an Error that says why the two cannot be used together. */
export function checkPair({ cert, key, clientCa }: TlsPair): TlsFacts {
  const certificate = read('certificate', () => new X509Certificate(cert));
  const privateKey = read('private key', () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error('the private key is not that of the certificate');
  }
  // The parser above looks at the first certificate alone; a listener needs all of them, and may find the key too short.
  read('chain that can be used', () => createSecureContext({ cert, key }));
  if (clientCa !== undefined) {
    read('authority of clients', () => new X509Certificate(clientCa));
    read('authorities of clients', () => createSecureContext({ ca: clientCa }));
  }
  return {
    subject: certificate.subject.replaceAll('\n', ', '),
    names: certificate.subjectAltName ?? '',
    endsAtMs: Date.parse(certificate.validTo),
  };
}

function read<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new Error(`there is no ${what} in PEM: ${(error as Error).message}`);
  }
}

/**
 * An HTTP server behind TLS. A pair that replaces its own holds for connections that come later. HTTP/2 is offered beside
 * HTTP/1.1, for whoever listens to speak (http2.ts). Clients are asked for certificates where there is an authority for them, and need none. `handshakeMs`: who has not said hello by then is cut off.
 */
export function createTlsServer<
  Request extends typeof IncomingMessage,
  Response extends typeof ServerResponse<InstanceType<Request>>,
>(
  source: TlsSource,
  options: HttpOptions<Request, Response>,
  handshakeMs: number,
): Server<Request, Response> {
  const { minVersion } = source;
  const offers = { ALPNProtocols: [...ALPN_PROTOCOLS], handshakeTimeout: handshakeMs };
  const tls = { ...contextOf(source.pair(), minVersion), ...offers };
  // Whoever shows a certificate that does not count is nobody, and is told so by an answer.
  const asks = { requestCert: source.pair().clientCa !== undefined, rejectUnauthorized: false };
  const server = createServer<Request, Response>({ ...options, ...tls, ...asks });
  source.onReplaced((pair) => server.setSecureContext(contextOf(pair, minVersion)));
  return server;
}

function contextOf({ cert, key, clientCa }: TlsPair, minVersion: TlsVersion) {
  return { minVersion, cert, key, ...(clientCa === undefined ? {} : { ca: clientCa }) };
}
