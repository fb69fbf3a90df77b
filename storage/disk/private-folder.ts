import { mkdir } from 'node:fs/promises';

/**
 * Makes a folder of data, with those above it, for nobody else to enter: LevelDB's files in it could be read by everybody.
 * One that is there stays as it is.
 */
export async function makePrivateFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
}
