import {
  type CredentialScope,
  credentialScopeOf,
  timeOf,
  timestampOf,
} from './credential-scope.ts';
import { type S3Error, s3Error } from './errors.ts';
import type { Headers } from './signed-request.ts';
import { ALGORITHM } from './sigv4-canonical.ts';

/** What a client claims to have signed; nothing of it is proven yet. */
export interface Claim {
  readonly credential: CredentialScope;
  /** Lower-case names in the order they were signed. */
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** As it is in the string to sign, yyyyMMddTHHmmssZ, and as Unix ms. */
  readonly timestamp: string;
  readonly timeMs: number;
  readonly payloadHash: string;
  readonly sessionToken: string | null;
}

function malformed(why: string, extra: Readonly<Record<string, string>> = {}): S3Error {
  const message = `The authorization header is malformed; ${why}`;
  return s3Error('AuthorizationHeaderMalformed', message, extra);
}

/** Reads an `Authorization` header of SigV4. Throws the S3 error for what is wrong with its form. */
export function headerClaimOf(headers: Headers, region: string): Claim {
  const parts = componentsOf((headers.get('authorization') ?? '').slice(ALGORITHM.length));
  const credential = credentialScopeOf(parts.credential, region, malformed);
  const signedHeaders = signedHeadersOf(parts.signedHeaders);
  if (signedHeaders === null) throw malformed('the SignedHeaders are mal-formed.');
  const { timestamp, timeMs } = requestTimeOf(headers);
  const { date } = credential.scope;
  if (!timestamp.startsWith(date)) {
    throw malformed(
      `Invalid credential date "${date}". This date is not the same as X-Amz-Date: "${timestamp.slice(0, 8)}".`,
    );
  }
  const payloadHash = headers.get('x-amz-content-sha256');
  if (payloadHash === undefined || payloadHash === '') {
    throw s3Error(
      'InvalidRequest',
      'Missing required header for this request: x-amz-content-sha256',
    );
  }
  return {
    credential,
    signedHeaders,
    signature: parts.signature,
    timestamp,
    timeMs,
    payloadHash,
    sessionToken: headers.get('x-amz-security-token') ?? null,
  };
}

/** The three components, each once, in any order. */
function componentsOf(text: string): {
  credential: string;
  signedHeaders: string;
  signature: string;
} {
  const found = new Map<string, string>();
  for (const part of text.split(',')) {
    const component = part.trim();
    const equals = component.indexOf('=');
    if (equals > 0) found.set(component.slice(0, equals), component.slice(equals + 1));
  }
  const credential = found.get('Credential');
  const signedHeaders = found.get('SignedHeaders');
  const signature = found.get('Signature');
  const isWhole = found.size === 3 && text.split(',').length === 3;
  if (!isWhole || !credential || !signedHeaders || !signature) {
    throw malformed(
      'the authorization header requires three components: Credential, SignedHeaders, and Signature.',
    );
  }
  return { credential, signedHeaders, signature };
}

const HEADER_NAME = /^[a-z0-9!#$%&'*+\-.^_`|~]+$/;

/** Names separated by semicolons, in lower case, none twice; else null. */
export function signedHeadersOf(text: string): string[] | null {
  const names = text.split(';');
  if (new Set(names).size !== names.length) return null;
  return names.every((name) => HEADER_NAME.test(name)) ? names : null;
}

/** `x-amz-date`, else `Date`. */
function requestTimeOf(headers: Headers): { timestamp: string; timeMs: number } {
  const amzDate = headers.get('x-amz-date');
  const text = amzDate ?? headers.get('date') ?? '';
  const timeMs = timeOf(text) ?? (amzDate === undefined ? httpTimeOf(text) : null);
  if (timeMs === null) {
    throw s3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  }
  return { timestamp: timestampOf(timeMs), timeMs };
}

/** RFC 9110's preferred form only: Date.parse takes much more than dates. */
function httpTimeOf(text: string): number | null {
  const timeMs = Date.parse(text);
  return Number.isNaN(timeMs) || new Date(timeMs).toUTCString() !== text ? null : timeMs;
}
