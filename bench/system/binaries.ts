import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Programs that peers need; a benchmark without them says so. */

const FOLDERS = ['/usr/sbin', '/usr/local/bin', '/usr/bin', '/opt/homebrew/bin'];

export function findBinary(name: string): string | null {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), ...FOLDERS]) {
    if (folder === '') continue;
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // The next folder may have it.
    }
  }
  return null;
}

/** The first version number that the program prints; 'unknown' when it prints none. */
export function versionOf(file: string, flag = '--version'): string {
  const { stdout, stderr } = spawnSync(file, [flag], { encoding: 'utf8' });
  return /\d+\.\d+(?:\.\d+)?/.exec(`${stdout} ${stderr}`)?.[0] ?? 'unknown';
}
