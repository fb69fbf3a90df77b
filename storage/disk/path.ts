import { DiskError } from './port.ts';

/** Ends the name of a file that writeFileAtomic has not put in place yet; list() hides it. */
export const UNFINISHED_SUFFIX = '.tmp~';

/**
 * Checks a '/'-separated path relative to the data folder: it may not be empty, absolute, climb out,
 * or hold NUL. Throws DiskError EINVAL. Returns the path.
 */
export function checkPath(path: string): string {
  for (const name of path.split('/')) {
    if (name === '' || name === '.' || name === '..' || name.includes('\0')) {
      throw new DiskError('EINVAL', `not a path inside the data folder: ${JSON.stringify(path)}`);
    }
  }
  return path;
}

/** The folder part of a path; '' for a name in the root. */
export function folderOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** The last name of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Names directly in `folder`, given all file paths: files and folders, sorted, unfinished ones hidden. */
export function namesIn(folder: string, paths: Iterable<string>): string[] {
  const prefix = folder === '' ? '' : `${folder}/`;
  const names = new Set<string>();
  for (const path of paths) {
    if (!path.startsWith(prefix)) continue;
    const rest = path.slice(prefix.length);
    const slash = rest.indexOf('/');
    names.add(slash < 0 ? rest : rest.slice(0, slash));
  }
  return [...names].filter((name) => !name.endsWith(UNFINISHED_SUFFIX)).sort();
}
