import { credentialScopeOf, timeOf } from './credential-scope.ts';
import { type S3Error, s3Error } from './errors.ts';
import { UNSIGNED_PAYLOAD } from './payload-form.ts';
import type { Headers, QueryField } from './signed-request.ts';
import { ALGORITHM } from './sigv4-canonical.ts';
import { type Claim, signedHeadersOf } from './sigv4-header.ts';

/** The longest life of a presigned URL: a week. */
const EXPIRES_SECONDS_MAX = 604_800;
/** How far another clock may be off. */
export const SKEW_MS_MAX = 15 * 60 * 1000;

export interface PresignedClaim extends Claim {
  readonly expiresSeconds: number;
}

/** The field that carries the signature, and is not signed itself. */
export const SIGNATURE_FIELD = 'X-Amz-Signature';

const FIELDS = [
  'X-Amz-Algorithm',
  'X-Amz-Credential',
  SIGNATURE_FIELD,
  'X-Amz-Date',
  'X-Amz-SignedHeaders',
  'X-Amz-Expires',
] as const;

function refused(why: string, extra: Readonly<Record<string, string>> = {}): S3Error {
  return s3Error('AuthorizationQueryParametersError', why, extra);
}

/** Reads a presigned URL. Throws the S3 error for what is wrong with its form. */
export function presignedClaimOf(
  fields: readonly QueryField[],
  headers: Headers,
  region: string,
): PresignedClaim {
  const values = FIELDS.map((name) => single(fields, name));
  if (values.some((value) => value === null || value === '')) {
    throw refused(
      'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
    );
  }
  const [algorithm, credentialText, signature, timestamp, signed, expires] = values as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  if (algorithm !== ALGORITHM) throw refused(`X-Amz-Algorithm only supports "${ALGORITHM}"`);
  const credential = credentialScopeOf(credentialText, region, (why, extra) =>
    refused(`Error parsing the X-Amz-Credential parameter; ${why}`, extra),
  );
  const timeMs = timeOf(timestamp);
  if (timeMs === null) {
    throw refused("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  }
  const { date } = credential.scope;
  if (!timestamp.startsWith(date)) {
    throw refused(
      `Invalid credential date "${date}". This date is not the same as X-Amz-Date: "${timestamp.slice(0, 8)}".`,
    );
  }
  const signedHeaders = signedHeadersOf(signed);
  if (signedHeaders === null) throw refused('X-Amz-SignedHeaders is mal-formed.');
  return {
    credential,
    signedHeaders,
    signature,
    timestamp,
    timeMs,
    expiresSeconds: expiresSecondsOf(expires),
    payloadHash: payloadHashOf(fields, headers),
    sessionToken: single(fields, 'X-Amz-Security-Token'),
  };
}

/** Null where it is not there. */
function single(fields: readonly QueryField[], name: string): string | null {
  const found = fields.filter((field) => field.name === name);
  if (found.length > 1) throw refused(`${name} must be given once.`);
  return found[0]?.value ?? null;
}

/**
 * In the URL it is signed with the URL. From there a header cannot change it; where the URL does not have it, a
 * header's value is the one that was signed, or the signature does not match.
 */
function payloadHashOf(fields: readonly QueryField[], headers: Headers): string {
  const inUrl = fields.filter(({ name }) => name.toLowerCase() === 'x-amz-content-sha256');
  if (inUrl.length > 1) throw refused('X-Amz-Content-Sha256 must be given once.');
  return inUrl[0]?.value ?? headers.get('x-amz-content-sha256') ?? UNSIGNED_PAYLOAD;
}

function expiresSecondsOf(text: string): number {
  if (/^-\d+$/.test(text)) throw s3Error('AccessDenied', 'X-Amz-Expires must be non-negative');
  if (!/^\d+$/.test(text)) throw refused('X-Amz-Expires should be a number');
  const seconds = Number(text);
  // S3 says 400 AuthorizationQueryParametersError here; for us it is a URL that has no right any more (I29).
  if (seconds > EXPIRES_SECONDS_MAX) {
    throw s3Error(
      'AccessDenied',
      'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
    );
  }
  return seconds;
}

/** Throws `AccessDenied` outside the URL's life. */
export function checkExpiry(claim: PresignedClaim, wallMs: number): void {
  if (claim.timeMs - wallMs > SKEW_MS_MAX) {
    throw s3Error('AccessDenied', 'Request is not yet valid');
  }
  const endMs = claim.timeMs + claim.expiresSeconds * 1000;
  if (wallMs < endMs) return;
  throw s3Error('AccessDenied', 'Request has expired', {
    'X-Amz-Expires': String(claim.expiresSeconds),
    Expires: new Date(endMs).toISOString(),
    ServerTime: new Date(wallMs).toISOString(),
  });
}
