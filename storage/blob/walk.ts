import type { Disk } from '../disk/port.ts';
import type { BlobFile } from '../ports.ts';
import { CHUNK_FOLDER, chunkAt } from './paths.ts';

/** Folders above one of chunks. */
const DEPTH = 2;

/**
 * Files in the chunks' folders in the order of their paths, from behind `after`, until there are `max`. A folder is
 * listed once per page it is part of. Files in places where none belong are found too.
 */
export async function walk(disk: Disk, after: string | null, max: number): Promise<BlobFile[]> {
  const found: BlobFile[] = [];
  const behind = after === null ? [] : after.slice(CHUNK_FOLDER.length + 1).split('/');
  await visit(disk, CHUNK_FOLDER, behind, { depth: DEPTH, max, found });
  return found;
}

interface Visit {
  readonly depth: number;
  readonly max: number;
  readonly found: BlobFile[];
}

/** `behind`: names from here down to the file behind which the walk goes on; [] for all of the folder. */
async function visit(
  disk: Disk,
  folder: string,
  [first, ...rest]: readonly string[],
  { depth, max, found }: Visit,
): Promise<void> {
  for (const name of await listOf(disk, folder)) {
    if (found.length >= max) return;
    const isFirst = name === first;
    if (first !== undefined && (name < first || (isFirst && rest.length === 0))) continue;
    const path = `${folder}/${name}`;
    if (depth > 0 && FOLDER_NAME.test(name)) {
      await visit(disk, path, isFirst ? rest : [], { depth: depth - 1, max, found });
    } else {
      found.push({ path, name: depth === 0 ? chunkAt(path) : null });
    }
  }
}

const FOLDER_NAME = /^[0-9a-f]{3,6}$/;

/** A file in the place of a folder has nothing in it. */
async function listOf(disk: Disk, folder: string): Promise<string[]> {
  try {
    return await disk.list(folder);
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOTDIR') return [];
    throw error;
  }
}
