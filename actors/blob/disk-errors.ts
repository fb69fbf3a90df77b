import type { Refusal, Unreadable } from '../../protocol/messages/blob.ts';

/** The code of a DiskError; '' for anything else. */
export function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : '';
}

const REFUSALS: Readonly<Record<string, Refusal>> = {
  ENOSPC: 'full',
  EROFS: 'read-only',
  EMFILE: 'no-handles',
  ENFILE: 'no-handles',
  EEXIST: 'conflict',
  EBADMSG: 'mismatch',
};

/** Why the disk took no chunk. */
export function refusalOf(error: unknown): Refusal {
  return REFUSALS[codeOf(error)] ?? 'failed';
}

/** Why the disk gave none. */
export function unreadableOf(error: unknown): Unreadable {
  const code = codeOf(error);
  if (code === 'ENOENT') return 'missing';
  return code === 'EBADMSG' || code === 'EIO' ? 'damaged' : 'failed';
}
