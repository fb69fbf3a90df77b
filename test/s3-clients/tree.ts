import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Files to copy there and back, and their comparison. */

/** Bytes that follow from a name, so that nothing is kept to compare with. */
export function bytesOf(name: string, size: number): Buffer {
  const out = Buffer.alloc(size);
  const seed = createHash('sha256').update(name).digest();
  for (let i = 0; i < size; i += seed.length) {
    seed.writeUInt32BE(i >>> 0, 0);
    seed.copy(out, i);
  }
  return out;
}

/** Some small files in folders, names with blanks and letters of other scripts, one of several chunks. */
export function makeTree(root: string): void {
  const sizes: Readonly<Record<string, number>> = {
    'empty.txt': 0,
    'one.bin': 1,
    'notes/read me first.txt': 5_000,
    'notes/größe — 大きさ.txt': 900,
    'notes/deep/er/still/file.json': 64 * 1024,
    'names/plus+plus': 10,
    'names/per%cent and %20': 11,
    'names/two..dots..': 12,
    'names/ at both ends ': 13,
    'names/quotes"and\'<xml>&amp;': 14,
    "names/sub!$(),;:@=[]{}|^`~'": 15,
    'names/query?x=1#fragment': 16,
    'names/a folder with + and é/inside': 17,
    'data/over-inline.bin': 64 * 1024 + 1,
    'data/large.bin': 21 * 1024 * 1024 + 17,
  };
  for (const [name, size] of Object.entries(sizes)) write(root, name, size);
  for (let i = 0; i < 60; i++) write(root, `many/file-${i}.txt`, 100 + 37 * i);
}

function write(root: string, name: string, size: number): void {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytesOf(name, size));
}

/** `name: sha256` of every file below. */
export function digestTree(root: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    out.set(relative(root, path), createHash('sha256').update(readFileSync(path)).digest('hex'));
  }
  return out;
}

/** Throws with what differs first. */
export function expectSameTree(left: string, right: string): void {
  const [a, b] = [digestTree(left), digestTree(right)];
  if (a.size === 0) throw new Error(`nothing is in ${left}`);
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    if (a.get(name) !== b.get(name)) {
      throw new Error(`${name}: ${a.get(name) ?? 'missing'} and ${b.get(name) ?? 'missing'}`);
    }
  }
}

export function expectEqual(got: unknown, wanted: unknown, what: string): void {
  if (got !== wanted) throw new Error(`${what}: ${String(got)} instead of ${String(wanted)}`);
}

export function sizeOf(path: string): number {
  return statSync(path).size;
}
