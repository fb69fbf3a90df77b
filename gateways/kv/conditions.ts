import type { IncomingHttpHeaders } from 'node:http';
import type { Condition } from '../../protocol/commands.ts';
import { AppError } from '../../protocol/errors.ts';
import { decimal } from '../http/decimal.ts';

/**
 * Preconditions (RFC 9110 section 13) over revisions. A write takes one strong entity tag: a list, or a
 * weak one (which RFC 9110 says never matches) is refused, since a precondition that is misread loses data.
 */
const STRONG = /^"([1-9][0-9]{0,15})"$/;

export function eTagOf(revision: number): string {
  return `"${decimal(revision)}"`;
}

/** If-Match and If-None-Match of a write; null where neither is given. */
export function writeCondition(headers: IncomingHttpHeaders): Condition | null {
  const match = headers['if-match'];
  const noneMatch = headers['if-none-match'];
  if (match !== undefined && noneMatch !== undefined) {
    throw invalid('If-Match and If-None-Match cannot be combined');
  }
  if (noneMatch !== undefined) {
    if (noneMatch.trim() === '*') return { type: 'absent' };
    throw invalid('If-None-Match of a write can only be *');
  }
  if (match === undefined) return null;
  if (match.trim() === '*') return { type: 'exists' };
  const revision = Number(STRONG.exec(match.trim())?.[1]);
  if (!Number.isSafeInteger(revision)) throw invalid('If-Match must be "<revision>" or *');
  return { type: 'revision', revision };
}

/** What a read's preconditions make of an existing item at `revision`. */
export function readOutcome(
  headers: IncomingHttpHeaders,
  revision: number,
): 'show' | 'not_modified' | 'failed' {
  const match = headers['if-match'];
  if (match !== undefined && !hasTag(match, revision, false)) return 'failed';
  const noneMatch = headers['if-none-match'];
  return noneMatch !== undefined && hasTag(noneMatch, revision, true) ? 'not_modified' : 'show';
}

/** If-None-Match compares weakly, If-Match strongly. */
function hasTag(header: string, revision: number, isWeak: boolean): boolean {
  if (header.trim() === '*') return true;
  const wanted = eTagOf(revision);
  for (const part of header.split(',')) {
    const tag = part.trim();
    if (tag === wanted || (isWeak && tag === `W/${wanted}`)) return true;
  }
  return false;
}

function invalid(message: string): AppError {
  return new AppError('invalid_argument', message);
}
