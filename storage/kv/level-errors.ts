import { DiskError } from '../disk/port.ts';

/** What LevelDB's errors mean: it tells them in words. */

const PASSING: readonly (readonly [text: string, code: string])[] = [
  ['No space left on device', 'ENOSPC'],
  ['Disk quota exceeded', 'EDQUOT'],
  ['Read-only file system', 'EROFS'],
  ['Too many open files', 'EMFILE'],
];

/** EIO, as LevelDB tells it. */
const UNREADABLE = 'Input/output error';

/** The damage that an error of LevelDB tells of, or null. */
export function damageIn(error: Error): DiskError | null {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ((at as { code?: string }).code === 'LEVEL_CORRUPTION' || /^Corruption/.test(at.message)) {
      return new DiskError('EBADMSG', `the state's files are damaged: ${at.message}`, error);
    }
  }
  return null;
}

/** What a read met: damage, or bytes that the disk no longer gives. */
export function damageInRead(error: Error): DiskError | null {
  const damage = damageIn(error);
  if (damage !== null) return damage;
  if (!isInputOutput(error)) return null;
  return new DiskError('EBADMSG', `the state's files cannot be read: ${error.message}`, error);
}

/** EIO. Of a write it may come from what a compaction reads or from what it writes. */
export function isInputOutput(error: Error): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at.message.includes(UNREADABLE)) return true;
  }
  return false;
}

/** LevelDB tells the system's error only in words. */
export function asPassing(error: unknown): never {
  const { message, cause } = error as Error;
  const text = `${message} ${cause instanceof Error ? cause.message : ''}`;
  const found = PASSING.find(([words]) => text.includes(words));
  if (found === undefined) throw error;
  throw new DiskError(found[1], text, error);
}
