import { readFileSync } from 'node:fs';
import type { NatsCredentials, NatsTls, ParsedNatsUrls } from '../gateways/peer/nats-options.ts';
import type { Config, NatsFiles } from './config.ts';
import { UsageError } from './failures.ts';

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

/** Throws UsageError. */
export function checkNatsFiles({ nats, natsFiles }: Pick<Config, 'nats' | 'natsFiles'>): void {
  const { creds, nkey, cert, key } = natsFiles;
  const given = Object.values(natsFiles).some((file) => file !== null);
  if (given && nats.length === 0) throw new UsageError('nats-... files need --nats <url,...>');
  if (creds !== null && nkey !== null) {
    throw new UsageError('nats-creds and nats-nkey are two ways to say the same: give one');
  }
  if ((cert === null) !== (key === null)) {
    throw new UsageError('nats-tls-cert and nats-tls-key go together');
  }
}
