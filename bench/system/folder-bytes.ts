import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes of all files under a folder, as far as they occupy blocks. Files may come and go meanwhile. */
export function folderBytes(folder: string): number {
  let bytes = 0;
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    if (found?.isFile()) bytes += found.blocks * 512;
  }
  return bytes;
}
