import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** The durable half of a disk under disk/shim.c: see its header for the layout of a shadow. */

/** An empty shadow of an empty data folder. */
export function emptyShadow(shadow: string, data: string): void {
  rmSync(shadow, { recursive: true, force: true });
  for (const kind of ['pins', 'objects', 'dirs'])
    mkdirSync(join(shadow, kind), { recursive: true });
  mkdirSync(data, { recursive: true });
}

/** Lets go of files that neither the data folder nor the shadow names. The node is not running. */
export function pruneShadow(shadow: string): void {
  const named = new Set<string>();
  for (const folder of readdirSync(join(shadow, 'dirs'))) {
    for (const { inode } of namesIn(shadow, folder)) named.add(inode);
  }
  for (const inode of readdirSync(join(shadow, 'pins'))) {
    const pin = join(shadow, 'pins', inode);
    if (named.has(inode) || statSync(pin).nlink > 1) continue;
    unlinkSync(pin);
    rmSync(join(shadow, 'objects', inode), { force: true });
  }
}

/**
 * The data folder as it is after a power cut: what was fsynced, under the names whose folders were. The
 * node's process is gone. Returns how many bytes and names the cut took.
 */
export function cutPower(data: string, shadow: string): { lostNames: number; lostBytes: number } {
  const survived = `${data}.survived`;
  rmSync(survived, { recursive: true, force: true });
  const before = measure(data);
  restore(shadow, String(statSync(data).ino), survived);
  const after = measure(survived);
  rmSync(data, { recursive: true, force: true });
  renameSync(survived, data);
  emptyShadow(shadow, data);
  seed(shadow, data);
  const { names, bytes } = before;
  return { lostNames: names - after.names, lostBytes: bytes - after.bytes };
}

interface Name {
  readonly isFolder: boolean;
  readonly inode: string;
  readonly name: string;
}

function namesIn(shadow: string, folderInode: string): Name[] {
  const path = join(shadow, 'dirs', folderInode);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      const [kind, inode = '', ...name] = line.split(' ');
      return { isFolder: kind === 'd', inode, name: name.join(' ') };
    });
}

function restore(shadow: string, folderInode: string, target: string): void {
  mkdirSync(target, { recursive: true });
  for (const { isFolder, inode, name } of namesIn(shadow, folderInode)) {
    const path = join(target, name);
    const content = join(shadow, 'objects', inode);
    if (isFolder) restore(shadow, inode, path);
    else if (existsSync(content)) copyFileSync(content, path);
    else writeFileSync(path, '');
  }
}

/** Everything that is in a folder is durable. */
function seed(shadow: string, folder: string): void {
  const lines: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const inode = String(statSync(path).ino);
    lines.push(`${entry.isDirectory() ? 'd' : 'f'} ${inode} ${entry.name}\n`);
    if (entry.isDirectory()) {
      seed(shadow, path);
      continue;
    }
    copyFileSync(path, join(shadow, 'objects', inode));
    linkSync(path, join(shadow, 'pins', inode));
  }
  writeFileSync(join(shadow, 'dirs', String(statSync(folder).ino)), lines.join(''));
}

/** Names and bytes that are not zero, so that room taken in advance does not count. */
function measure(folder: string): { names: number; bytes: number } {
  let names = 0;
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    names++;
    if (entry.isDirectory()) {
      const inner = measure(path);
      names += inner.names;
      bytes += inner.bytes;
    } else {
      const content = readFileSync(path);
      let end = content.length;
      while (end > 0 && content[end - 1] === 0) end--;
      bytes += end;
    }
  }
  return { names, bytes };
}
