import { chmod, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Null: there is none. */
export async function readSecret(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Whole or not at all, and for nobody else to read. The folder is there. */
export async function keepSecret(path: string, text: string): Promise<void> {
  const unfinished = `${path}.tmp`;
  const file = await open(unfinished, 'w', 0o600);
  try {
    await chmod(unfinished, 0o600);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(unfinished, path);
  const directory = await open(dirname(path), 'r');
  await directory.sync();
  await directory.close();
}
