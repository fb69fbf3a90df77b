import type { Disk } from '../disk/port.ts';
import { AUDIT_FOLDER, isTrail, linesOf } from './audit-log.ts';
import { type TrailCheck, TrailChecker } from './chain.ts';

/** Whoever writes so much that files go faster than they are read does not stop. */
const ATTEMPTS_MAX = 10;

/**
 * Checks a trail that may be written to meanwhile. Its oldest files go as new ones come: where one of them went while it was
 * read, what seems to be missing need not be, and it is read again from what is oldest then. `files`: how many there were.
 */
export async function checkTrail(
  disk: Pick<Disk, 'list' | 'openToRead'>,
): Promise<TrailCheck & { readonly files: number }> {
  for (let attempt = 1; ; attempt++) {
    const names = await trailOf(disk);
    const checker = new TrailChecker();
    for (const name of names) {
      let line = 0;
      for await (const text of linesOf(disk, `${AUDIT_FOLDER}/${name}`)) {
        checker.add(text, name, ++line);
      }
    }
    const check = { ...checker.result(), files: names.length };
    if (check.fault === null || attempt === ATTEMPTS_MAX) return check;
    const still = new Set(await trailOf(disk));
    if (names.every((name) => still.has(name))) return check;
  }
}

async function trailOf(disk: Pick<Disk, 'list'>): Promise<string[]> {
  return (await disk.list(AUDIT_FOLDER)).filter(isTrail);
}
