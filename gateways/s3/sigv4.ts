import { s3Error } from './errors.ts';
import { type PayloadForm, payloadFormOf } from './payload-form.ts';
import {
  type Headers,
  headersOf,
  hoistedHeaders,
  type QueryField,
  queryFieldsOf,
  type RawRequest,
} from './signed-request.ts';
import { isSameSecret, isSameSignature, SigningKeys, signatureOf } from './signing-key.ts';
import { ALGORITHM, canonicalRequest, stringToSign } from './sigv4-canonical.ts';
import { type Claim, headerClaimOf } from './sigv4-header.ts';
import { checkExpiry, presignedClaimOf, SIGNATURE_FIELD, SKEW_MS_MAX } from './sigv4-query.ts';

/** What is known of an access key. */
export interface Credentials {
  readonly secretAccessKey: string;
  /** Of a temporary key: the token that has to come with it. */
  readonly sessionToken: string | null;
  /** Unix ms; null: no end. */
  readonly expiresAtMs: number | null;
}

export interface Verification<C extends Credentials> {
  readonly clock: { wallMs(): number };
  readonly region: string;
  /** Null: there is no such access key. */
  readonly credentialsOf: (accessKeyId: string) => Promise<C | null>;
}

/** What the signatures of a body's chunks follow from. */
export interface ChunkSeed {
  readonly signingKey: Buffer;
  readonly timestamp: string;
  readonly scope: string;
  readonly signature: string;
}

interface Common {
  /**
   * Also those that a presigned URL carries in its query. `x-amz-date` and `x-amz-content-sha256` of a signed request are
   * what was signed, wherever it stood.
   */
  readonly headers: Headers;
  readonly fields: readonly QueryField[];
  /** Null: the client says nothing of the body. */
  readonly payload: PayloadForm | null;
}

export interface Anonymous extends Common {
  readonly kind: 'anonymous';
}

export interface Authenticated<C> extends Common {
  readonly kind: 'authenticated';
  readonly by: 'header' | 'query';
  readonly accessKeyId: string;
  readonly credentials: C;
  readonly payload: PayloadForm;
  /** For a body of signed chunks; else null. */
  readonly seed: ChunkSeed | null;
}

const SIGV4_ONLY =
  'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.';

/**
 * Says who sent a request, by SigV4 in the `Authorization` header or in the URL, or throws what S3 answers. Who
 * sends neither is anonymous. Whether they may do what they ask for is decided elsewhere.
 */
export class SigV4<C extends Credentials> {
  readonly #options: Verification<C>;
  readonly #keys = new SigningKeys();

  constructor(options: Verification<C>) {
    this.#options = options;
  }

  get keys(): SigningKeys {
    return this.#keys;
  }

  async authenticate(request: RawRequest): Promise<Anonymous | Authenticated<C>> {
    const headers = headersOf(request.rawHeaders);
    const fields = queryFieldsOf(request.target);
    const by = mechanismOf(headers, fields);
    if (by === null) return anonymous(headers, fields);
    const { region, clock } = this.#options;
    let claim: Claim;
    if (by === 'header') {
      claim = headerClaimOf(headers, region);
      checkSkew(claim, clock.wallMs());
    } else {
      const presigned = presignedClaimOf(fields, headers, region);
      checkExpiry(presigned, clock.wallMs());
      claim = presigned;
    }
    const payload = payloadFormOf(claim.payloadHash);
    checkSignedHeaders(claim, headers);
    const credentials = await this.credentialsOf({
      accessKeyId: claim.credential.accessKeyId,
      sessionToken: claim.sessionToken,
    });
    const seed = this.#verify(claim, credentials, request, headers, fields);
    const hoisted = by === 'query' ? hoistedHeaders(fields) : [];
    return {
      kind: 'authenticated',
      by,
      accessKeyId: claim.credential.accessKeyId,
      credentials,
      headers: new Map([...hoisted, ...headers, ...coveredBy(claim)]),
      fields,
      payload,
      seed: payload.kind === 'chunked' && payload.isSigned ? seed : null,
    };
  }

  /** Throws for an access key that is not known, or a token that is not the key's. */
  async credentialsOf(claimed: {
    readonly accessKeyId: string;
    readonly sessionToken: string | null;
  }): Promise<C> {
    const credentials = await this.#options.credentialsOf(claimed.accessKeyId);
    const id = { AWSAccessKeyId: claimed.accessKeyId };
    if (credentials === null) throw s3Error('InvalidAccessKeyId', undefined, id);
    const { sessionToken, expiresAtMs } = credentials;
    if (claimed.sessionToken === null) {
      // S3 does not know a temporary key without its token.
      if (sessionToken !== null) throw s3Error('InvalidAccessKeyId', undefined, id);
    } else if (sessionToken === null || !isSameSecret(sessionToken, claimed.sessionToken)) {
      throw s3Error('InvalidToken');
    }
    if (expiresAtMs !== null && this.#options.clock.wallMs() >= expiresAtMs) {
      throw s3Error('ExpiredToken');
    }
    return credentials;
  }

  #verify(
    claim: Claim,
    credentials: C,
    request: RawRequest,
    headers: Headers,
    fields: readonly QueryField[],
  ): ChunkSeed {
    const { accessKeyId, scope } = claim.credential;
    const canonical = canonicalRequest({
      method: request.method,
      target: request.target,
      fields,
      except: SIGNATURE_FIELD,
      headers,
      signedHeaders: claim.signedHeaders,
      payloadHash: claim.payloadHash,
    });
    const text = stringToSign(claim.timestamp, scope.text, canonical);
    const signingKey = this.#keys.keyOf(accessKeyId, credentials.secretAccessKey, scope);
    if (!isSameSignature(signatureOf(signingKey, text), claim.signature)) {
      throw s3Error('SignatureDoesNotMatch', undefined, {
        AWSAccessKeyId: accessKeyId,
        StringToSign: text,
        SignatureProvided: claim.signature,
        CanonicalRequest: canonical,
      });
    }
    return {
      signingKey,
      timestamp: claim.timestamp,
      scope: scope.text,
      signature: claim.signature,
    };
  }
}

/** Null: anonymous. Throws for a mechanism that S3 does not take (any more), and for two at once. */
function mechanismOf(headers: Headers, fields: readonly QueryField[]): 'header' | 'query' | null {
  const header = headers.get('authorization') ?? '';
  const names = new Set(fields.map(({ name }) => name));
  const isV4 = names.has('X-Amz-Algorithm') || names.has(SIGNATURE_FIELD);
  const isV2 = names.has('AWSAccessKeyId') && names.has('Signature');
  if (header !== '' && (isV4 || isV2)) {
    throw s3Error(
      'InvalidArgument',
      'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified',
      { ArgumentName: 'Authorization', ArgumentValue: header },
    );
  }
  if (isV4) return 'query';
  if (isV2) throw s3Error('InvalidRequest', SIGV4_ONLY);
  if (header === '') return null;
  if (header.startsWith(`${ALGORITHM} `)) return 'header';
  // Version 2, and 4A with its elliptic curves.
  if (/^AWS [^:\s]+:\S+$|^AWS4-\S+ /.test(header)) throw s3Error('InvalidRequest', SIGV4_ONLY);
  throw s3Error('InvalidArgument', 'Unsupported Authorization Type', {
    ArgumentName: 'Authorization',
    ArgumentValue: header,
  });
}

function anonymous(headers: Headers, fields: readonly QueryField[]): Anonymous {
  const text = headers.get('x-amz-content-sha256') ?? '';
  const payload = text === '' ? null : payloadFormOf(text);
  if (payload?.kind === 'chunked' && payload.isSigned) {
    throw s3Error('InvalidRequest', 'Signed chunks need a signed request.');
  }
  return { kind: 'anonymous', headers, fields, payload };
}

function checkSkew(claim: Claim, wallMs: number): void {
  if (Math.abs(wallMs - claim.timeMs) <= SKEW_MS_MAX) return;
  throw s3Error('RequestTimeTooSkewed', undefined, {
    RequestTime: claim.timestamp,
    ServerTime: new Date(wallMs).toISOString(),
    MaxAllowedSkewMilliseconds: String(SKEW_MS_MAX),
  });
}

/**
 * In the string to sign whether they are signed as headers or not. Where a URL says the same, such a header says
 * nothing: whoever has the URL may have added it.
 */
const COVERED = new Set(['x-amz-content-sha256', 'x-amz-date']);

function coveredBy({ timestamp, payloadHash }: Claim): Headers {
  return new Map([
    ['x-amz-date', timestamp],
    ['x-amz-content-sha256', payloadHash],
  ]);
}

/** Headers that say what is to be done. `x-minikv-ttl` takes an object away. */
const OURS = /^x-(?:amz|minikv)-/;

/**
 * Signed are the host and every such header that came, and what is said to be signed has come. Without this
 * one could add a header that nobody signed (an ACL, a source to copy from) to a URL that was given away.
 */
function checkSignedHeaders(claim: Claim, headers: Headers): void {
  const signed = new Set(claim.signedHeaders);
  if (!signed.has('host')) throw s3Error('SignatureDoesNotMatch');
  for (const name of signed) {
    if (!headers.has(name)) throw s3Error('SignatureDoesNotMatch');
  }
  const unsigned = [...headers.keys()].filter(
    (name) => OURS.test(name) && !signed.has(name) && !COVERED.has(name),
  );
  if (unsigned.length === 0) return;
  throw s3Error('AccessDenied', 'There were headers present in the request which were not signed', {
    HeadersNotSigned: unsigned.join(', '),
  });
}
