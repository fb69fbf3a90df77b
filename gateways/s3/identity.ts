import type { EdgeRequest } from '../http/exchange.ts';
import { isForeignOrigin } from '../http/screen.ts';
import type { S3Edge } from './edge.ts';
import { s3Error } from './errors.ts';
import type { PayloadForm } from './payload-form.ts';
import type { Headers } from './signed-request.ts';
import type { ChunkSeed } from './sigv4.ts';

/** Who sent a request, and what they said of it and its body. */
export interface Sender {
  /** They may do everything: they signed, or nobody has to. */
  readonly isOwner: boolean;
  readonly isAnonymous: boolean;
  readonly headers: Headers;
  readonly payload: PayloadForm | null;
  readonly seed: ChunkSeed | null;
}

/** A signature is always verified, also where nobody has to sign. */
export async function senderOf(edge: S3Edge, req: EdgeRequest): Promise<Sender> {
  const request = { method: req.method ?? '', target: req.url ?? '', rawHeaders: req.rawHeaders };
  const found = await edge.verifier.authenticate(request);
  const { headers, payload } = found;
  if (found.kind === 'authenticated') {
    return { isOwner: true, isAnonymous: false, headers, payload, seed: found.seed };
  }
  return { isOwner: edge.config.allowUnsigned, isAnonymous: true, headers, payload, seed: null };
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Where nobody has to sign, a page of another site could post a form to this machine (FAULTS I36). A bucket whose
 * CORS rules name that site has asked for it: browsers ask first, so `isAllowed` is looked up by the caller.
 */
export function checkOrigin(
  edge: S3Edge,
  req: EdgeRequest,
  sender: Sender,
  isAllowed: boolean,
): void {
  if (!sender.isAnonymous || isAllowed || SAFE_METHODS.has(req.method ?? '')) return;
  if (isForeignOrigin(req, edge.http.config.allowedOrigins ?? [])) {
    throw s3Error('AccessDenied', 'Pages of other origins may not write here without a signature');
  }
}
