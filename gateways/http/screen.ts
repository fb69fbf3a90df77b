import type { IncomingMessage } from 'node:http';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';

/**
 * What Node's parser lets through and we do not (FAULTS, "Wrong by default"). Null where the request may
 * go on; otherwise its one answer, after which the connection ends.
 */
export function screen(req: IncomingMessage): AppError | null {
  const { rawHeaders, httpVersion } = req;
  const url = req.url ?? '';
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    return new AppError('malformed', 'only HTTP/1.0 and HTTP/1.1 are spoken here');
  }
  if (url.length > LIMITS.urlBytesMax) {
    const message = `the URL is longer than urlBytesMax, ${LIMITS.urlBytesMax}`;
    const details = { limit: 'urlBytesMax', max: LIMITS.urlBytesMax };
    return new AppError('uri_too_long', message, { details });
  }
  if (rawHeaders.length > LIMITS.headerCountMax * 2) {
    const message = `more headers than headerCountMax, ${LIMITS.headerCountMax}`;
    return new AppError('headers_too_large', message);
  }
  let bytes = 0;
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    bytes += name.length + 4 + (rawHeaders[i + 1]?.length ?? 0);
    if (name.length === 4 && (name === 'Host' || name.toLowerCase() === 'host')) hosts++;
  }
  if (bytes > LIMITS.headerBytesMax) {
    const message = `the headers are larger than headerBytesMax, ${LIMITS.headerBytesMax}`;
    return new AppError('headers_too_large', message);
  }
  if (hosts > 1 || (hosts === 0 && httpVersion === '1.1')) {
    return new AppError('malformed', 'the request must carry exactly one Host header');
  }
  if (url.charCodeAt(0) !== 0x2f || url.includes('#')) {
    return new AppError('malformed', 'the request target must be a path: this is no proxy');
  }
  const coding = req.headers['transfer-encoding'];
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || httpVersion === '1.0')) {
    return new AppError('malformed', 'chunked is the only transfer coding taken, once');
  }
  return null;
}

/**
 * Whether a browser may have been led here by another site: an Origin that is neither ours nor
 * allowed. Programs send none. Checked for writes and WebSockets (FAULTS I36).
 */
export function isForeignOrigin(req: IncomingMessage, allowed: readonly string[]): boolean {
  const origin = req.headers.origin;
  if (origin === undefined || allowed.includes(origin)) return false;
  if (!URL.canParse(origin)) return true;
  return new URL(origin).host !== (req.headers.host ?? '').toLowerCase();
}
