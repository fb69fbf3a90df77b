import { readFile } from 'node:fs/promises';
import { IssuerKeys, type KeySource } from '../gateways/identity/issuer-keys.ts';
import {
  ISSUER_ALGORITHMS,
  type IssuerConfig,
  IssuerTokens,
} from '../gateways/identity/issuer-tokens.ts';
import type { Telemetry } from '../observability/port.ts';
import type { Clock } from '../protocol/clock.ts';
import { UsageError } from './failures.ts';

/** An issuer of tokens that this node takes, and where its keys are. */
export interface IssuerSettings extends IssuerConfig {
  /** A file, or an https URL. */
  readonly jwks: string;
}

interface Settings {
  text(key: string): string | null;
  list<T>(key: string, wanted: string, accept: (text: string) => T | null): T[];
}

const KEYS = ['auth-jwt-issuer', 'auth-jwt-audience', 'auth-jwt-jwks'] as const;

/** Null: no tokens of others are taken. Throws UsageError. */
export function issuerSettings(read: Settings): IssuerSettings | null {
  const [issuer = null, audience = null, jwks = null] = KEYS.map((key) => read.text(key));
  if (issuer === null && audience === null && jwks === null) return null;
  if (issuer === null || audience === null || jwks === null) {
    throw new UsageError(`${KEYS.join(', ')} go together`);
  }
  if (/^[a-z]+:\/\//.test(jwks) && !isSafe(jwks)) {
    throw new UsageError(
      'auth-jwt-jwks must be a file or an https URL: who can change what comes by http could sign',
    );
  }
  const algorithms = read.list('auth-jwt-algorithms', ISSUER_ALGORITHMS.join(', '), (text) => {
    return ISSUER_ALGORITHMS.find((one) => one === text) ?? null;
  });
  if (algorithms.length === 0) throw new UsageError('auth-jwt-algorithms names none');
  const roleClaim = read.text('auth-jwt-role-claim') ?? 'role';
  const tenantClaim = read.text('auth-jwt-tenant-claim');
  return { issuer, audience, jwks, algorithms, roleClaim, tenantClaim };
}

/** https, or http on this machine. */
function isSafe(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  const isLocal = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
  return protocol === 'https:' || (protocol === 'http:' && isLocal);
}

const FILE_EVERY_MS = 2_000;
const URL_EVERY_MS = 300_000;
const FETCH_MS = 5_000;
const BYTES_MAX = 256 * 1024;

function sourceOf(jwks: string): KeySource {
  if (!/^https?:\/\//.test(jwks)) {
    return { name: jwks, everyMs: FILE_EVERY_MS, read: () => readFile(jwks, 'utf8') };
  }
  return { name: jwks, everyMs: URL_EVERY_MS, read: () => fetched(jwks) };
}

/** Redirects are not followed: they may lead to where http is. */
async function fetched(url: string): Promise<string> {
  const signal = AbortSignal.timeout(FETCH_MS);
  const headers = { accept: 'application/json' };
  const answer = await fetch(url, { signal, headers, redirect: 'error' });
  if (!answer.ok || answer.body === null) throw new Error(`it answered ${answer.status}`);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body) {
    bytes += chunk.length;
    if (bytes > BYTES_MAX) throw new Error(`it has more than ${BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

export interface OpenedIssuer {
  readonly tokens: IssuerTokens;
  stop(): void;
}

/** Begins to read the keys; until they are there its tokens are refused. */
export function openIssuer(
  settings: IssuerSettings,
  parts: { readonly clock: Clock; readonly telemetry: Telemetry },
): OpenedIssuer {
  const keys = new IssuerKeys(sourceOf(settings.jwks), parts);
  void keys.start();
  return { tokens: new IssuerTokens(settings, keys, parts.clock), stop: () => keys.stop() };
}
