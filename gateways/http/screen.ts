import type { IncomingMessage } from 'node:http';
import { AppError, type ErrorCode } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';

/** What Node's parser lets through and we do not (FAULTS, "Wrong by default"). In order; first hit answers. */
interface Rule {
  readonly code: ErrorCode;
  readonly message: string;
  isBroken(req: IncomingMessage, url: string): boolean;
}

const RULES: readonly Rule[] = [
  {
    code: 'malformed',
    message: 'only HTTP/1.0 and HTTP/1.1 are spoken here',
    isBroken: (req) => req.httpVersion !== '1.1' && req.httpVersion !== '1.0',
  },
  {
    code: 'uri_too_long',
    message: `the URL is longer than urlBytesMax, ${LIMITS.urlBytesMax}`,
    isBroken: (_req, url) => url.length > LIMITS.urlBytesMax,
  },
  {
    code: 'headers_too_large',
    message: `more headers than headerCountMax, ${LIMITS.headerCountMax}`,
    isBroken: (req) => req.rawHeaders.length > LIMITS.headerCountMax * 2,
  },
  {
    code: 'headers_too_large',
    message: `the headers are larger than headerBytesMax, ${LIMITS.headerBytesMax}`,
    isBroken: (req) => headerBytes(req.rawHeaders) > LIMITS.headerBytesMax,
  },
  {
    code: 'malformed',
    message: 'the request must carry exactly one Host header',
    isBroken: (req) => {
      const hosts = countOf(req.rawHeaders, 'host');
      return hosts > 1 || (hosts === 0 && req.httpVersion === '1.1');
    },
  },
  {
    code: 'malformed',
    message: 'the request target must be a path: this is no proxy',
    isBroken: (_req, url) => url.charCodeAt(0) !== 0x2f || url.includes('#'),
  },
  {
    code: 'malformed',
    message: 'chunked is the only transfer coding taken, once',
    isBroken: (req) => {
      const coding = req.headers['transfer-encoding'];
      if (coding === undefined) return false;
      return coding.toLowerCase() !== 'chunked' || req.httpVersion === '1.0';
    },
  },
];

/** Null where the request may go on; otherwise its one answer, after which the connection ends. */
export function screen(req: IncomingMessage): AppError | null {
  const url = req.url ?? '';
  for (const rule of RULES) {
    if (rule.isBroken(req, url)) return new AppError(rule.code, rule.message);
  }
  return null;
}

function headerBytes(rawHeaders: readonly string[]): number {
  let bytes = 0;
  for (const part of rawHeaders) bytes += part.length + 2;
  return bytes;
}

function countOf(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.length === name.length && rawHeaders[i]?.toLowerCase() === name) count++;
  }
  return count;
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
