import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Damage to the WAL of a node that does not run. `data`: its data folder. */

/** Flips one bit, `fraction` of the way through what was written last. Returns where. */
export function flipWalBit(data: string, fraction: number): string {
  const { path, bytes, written } = walTail(data);
  const at = Math.floor(written * fraction);
  bytes[at] = (bytes[at] as number) ^ 0x10;
  writeFileSync(path, bytes);
  return `byte ${at} of ${written}`;
}

/** Leaves half of an unfinished write at the end. */
export function tearWalTail(data: string): void {
  const { path, bytes, written } = walTail(data);
  const torn = bytes.subarray(0, Math.min(200, written));
  torn.copy(bytes, written);
  writeFileSync(path, bytes);
}

function walTail(data: string): { path: string; bytes: Buffer; written: number } {
  const folder = join(data, 'wal');
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.wal'))
    .sort();
  for (const name of names.reverse()) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    let written = bytes.length;
    while (written > 0 && bytes[written - 1] === 0) written--;
    if (written > 0) return { path, bytes, written };
  }
  throw new Error('the WAL is empty');
}
