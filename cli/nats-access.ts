import { readFileSync } from 'node:fs';
import type { NatsCredentials, NatsTls, ParsedNatsUrls } from '../gateways/peer/nats-options.ts';
import type { NatsFiles } from './config.ts';

/** How this node shows itself to the NATS servers: files go before what the URLs say. */
export function natsAccess(
  parsed: ParsedNatsUrls,
  files: NatsFiles,
): { credentials: NatsCredentials; tls: NatsTls | null } {
  return { credentials: credentialsOf(parsed, files), tls: tlsOf(parsed, files) };
}

function credentialsOf(parsed: ParsedNatsUrls, files: NatsFiles): NatsCredentials {
  const { creds, nkey } = files;
  if (creds !== null) return { kind: 'creds', contents: () => readFileSync(creds) };
  if (nkey !== null) {
    const seed = () => Buffer.from(readFileSync(nkey, 'utf8').trim(), 'utf8');
    return { kind: 'nkey', seed };
  }
  return parsed.credentials;
}

function tlsOf(parsed: ParsedNatsUrls, files: NatsFiles): NatsTls | null {
  const { ca, cert, key } = files;
  if (ca === null && cert === null) return parsed.tls;
  return {
    ...(ca === null ? {} : { caFile: ca }),
    ...(cert === null ? {} : { certFile: cert }),
    ...(key === null ? {} : { keyFile: key }),
  };
}
