import { TLSSocket } from 'node:tls';
import type { EdgeRequest } from '../http/exchange.ts';
import { isForeignHost } from '../http/foreign-host.ts';
import { isForeignOrigin } from '../http/screen.ts';
import { certificateOn } from '../identity/client-certificate.ts';
import type { S3Identity } from '../identity/s3-user.ts';
import type { S3Edge } from './edge.ts';
import { s3Error } from './errors.ts';
import type { PayloadForm } from './payload-form.ts';
import { ACCOUNT } from './principals.ts';
import { type Headers, headersOf } from './signed-request.ts';
import type { ChunkSeed } from './sigv4.ts';

/** Who sent a request, and what they said of it and its body. */
export interface Sender {
  /** Whose key signed it; the account where nobody has to sign. Null: nobody's. */
  readonly who: S3Identity | null;
  readonly isAnonymous: boolean;
  /** Where the signature was; null: there was none. */
  readonly signedBy: 'header' | 'query' | null;
  /** Of the client, or of the last proxy before this node. */
  readonly address: string | null;
  readonly isSecure: boolean;
  readonly headers: Headers;
  readonly payload: PayloadForm | null;
  readonly seed: ChunkSeed | null;
}

/** A signature is always verified, also where nobody has to sign. Without one a client's certificate counts. */
export async function senderOf(edge: S3Edge, req: EdgeRequest): Promise<Sender> {
  const request = { method: req.method ?? '', target: req.url ?? '', rawHeaders: req.rawHeaders };
  const found = await edge.verifier.authenticate(request);
  const { headers, payload } = found;
  const link = linkOf(req);
  if (found.kind === 'authenticated') {
    const { by: signedBy, seed } = found;
    const { identity: who } = found.credentials;
    return { who, isAnonymous: false, signedBy, ...link, headers, payload, seed };
  }
  const certificate = edge.users === null ? null : certificateOn(req.socket);
  const certified = certificate === null ? null : await edge.users?.certified(certificate);
  if (certified) {
    return {
      who: certified,
      isAnonymous: false,
      signedBy: null,
      ...link,
      headers,
      payload,
      seed: null,
    };
  }
  const isTrusted = edge.config.allowUnsigned && !isUnderForeignName(edge, req);
  const who = isTrusted ? ACCOUNT : null;
  return { who, isAnonymous: true, signedBy: null, ...link, headers, payload, seed: null };
}

/** Whoever comes under a name that is not ours is nobody, also where nobody has to sign. */
function isUnderForeignName({ config, http }: S3Edge, { headers, socket }: EdgeRequest): boolean {
  const names = [...config.baseDomains, ...(http.config.ownNames ?? [])];
  return isForeignHost(headers.host ?? '', socket.localAddress ?? '', names);
}

/** Of a preflight, which nobody signs and whose headers say nothing of the sender. */
export function nobody(req: EdgeRequest): Sender {
  return {
    ...{ who: null, isAnonymous: true, signedBy: null, ...linkOf(req) },
    ...{ headers: new Map(), payload: null, seed: null },
  };
}

/** Of a website: no signature counts there, nor any other header that is S3's own. */
export function visitor(req: EdgeRequest): Sender {
  const headers = [...headersOf(req.rawHeaders)].filter(([name]) => !name.startsWith('x-amz-'));
  return { ...nobody(req), headers: new Map(headers) };
}

function linkOf({ socket }: EdgeRequest): Pick<Sender, 'address' | 'isSecure'> {
  return { address: socket.remoteAddress ?? null, isSecure: socket instanceof TLSSocket };
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Where nobody has to sign, a page of another site could post a form to this machine (FAULTS I36), and where a certificate
 * counts in place of a signature, a browser shows that by itself. A bucket whose
 * CORS rules name that site has asked for it: browsers ask first, so `isAllowed` is looked up by the caller.
 */
export function checkOrigin(
  edge: S3Edge,
  req: EdgeRequest,
  sender: Sender,
  isAllowed: boolean,
): void {
  if (sender.signedBy !== null || isAllowed || SAFE_METHODS.has(req.method ?? '')) return;
  if (isForeignOrigin(req, edge.http.config.allowedOrigins ?? [])) {
    throw s3Error('AccessDenied', 'Pages of other origins may not write here without a signature');
  }
}
