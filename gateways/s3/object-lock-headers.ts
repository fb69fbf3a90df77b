import { invalidArgument, s3Error } from './errors.ts';
import { flagOf, type Headers, headerOf, wordOf } from './headers.ts';
import { checkRetainUntil, RETENTION_MODES, type RetentionMode } from './object-lock.ts';
import { instantOf } from './xml-scalars.ts';

export interface LockHeaders {
  readonly retention: { readonly mode: RetentionMode; readonly retainUntilMs: number } | null;
  readonly legalHold: 'ON' | 'OFF' | null;
}

const MODE = 'x-amz-object-lock-mode';
const UNTIL = 'x-amz-object-lock-retain-until-date';

/** Null where none of them is given. Throws InvalidArgument. */
export function lockOf(headers: Headers, nowMs: number): LockHeaders | null {
  const mode = wordOf(headers, MODE, RETENTION_MODES);
  const until = headerOf(headers, UNTIL);
  const legalHold = wordOf(headers, 'x-amz-object-lock-legal-hold', ['ON', 'OFF']);
  if ((mode === null) !== (until === null)) {
    throw s3Error('InvalidArgument', `${UNTIL} and ${MODE} must both be supplied`);
  }
  if (mode === null || until === null) {
    return legalHold === null ? null : { retention: null, legalHold };
  }
  const retainUntilMs = instantOf(until);
  if (retainUntilMs === null) {
    throw invalidArgument(
      'The retain until date must be provided in ISO 8601 format',
      UNTIL,
      until,
    );
  }
  checkRetainUntil(retainUntilMs, nowMs);
  return { retention: { mode, retainUntilMs }, legalHold };
}

/** Whether a governance retention may be passed over, for those who are allowed to. */
export function bypassesGovernance(headers: Headers): boolean {
  return flagOf(headers, 'x-amz-bypass-governance-retention');
}
