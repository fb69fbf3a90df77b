import type { Clock } from '../../protocol/clock.ts';
import { GrowableBytes } from './growable-bytes.ts';
import { checkPath, namesIn } from './path.ts';
import { type Disk, DiskError, type DiskFile } from './port.ts';

/** A Disk that forgets everything with the process: --ephemeral and tests. Syncs do nothing. */
export class MemoryDisk implements Disk {
  readonly #clock: Pick<Clock, 'soon'>;
  readonly #files = new Map<string, GrowableBytes>();

  constructor(clock: Pick<Clock, 'soon'>) {
    this.#clock = clock;
  }

  async open(path: string): Promise<DiskFile> {
    checkPath(path);
    let content = this.#files.get(path);
    if (content === undefined) {
      content = new GrowableBytes(new Uint8Array(0));
      this.#files.set(path, content);
    }
    return new MemoryFile(content, this.#clock);
  }

  async openToRead(path: string): Promise<DiskFile | null> {
    const content = this.#files.get(checkPath(path));
    return content === undefined ? null : new MemoryFile(content, this.#clock);
  }

  async create(path: string): Promise<DiskFile> {
    this.#files.delete(checkPath(path));
    return this.open(path);
  }

  place(from: string, to: string): Promise<void> {
    return this.rename(from, to);
  }

  async removeFolder(folder: string): Promise<void> {
    checkPath(folder); // folders are there while there is something in them
  }

  async list(folder: string): Promise<string[]> {
    if (folder !== '') checkPath(folder);
    return namesIn(folder, this.#files.keys());
  }

  async readFile(path: string): Promise<Uint8Array | null> {
    const content = this.#files.get(checkPath(path));
    return content === undefined ? null : content.read(0, content.length);
  }

  async writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
    this.#files.set(checkPath(path), new GrowableBytes(bytes));
  }

  async remove(path: string): Promise<void> {
    this.#files.delete(checkPath(path));
  }

  async rename(from: string, to: string): Promise<void> {
    renameIn(this.#files, checkPath(from), checkPath(to));
  }

  async freeBytes(): Promise<number> {
    return Number.MAX_SAFE_INTEGER;
  }
}

/** Moves a file, or every file of a folder, to a new path. Rejects ENOENT when there is neither. */
export function renameIn<T>(files: Map<string, T>, from: string, to: string): void {
  const moved = [...files].filter(([path]) => path === from || path.startsWith(`${from}/`));
  if (moved.length === 0) throw new DiskError('ENOENT', `no such file: ${from}`);
  for (const [path, content] of moved) {
    files.delete(path);
    files.set(`${to}${path.slice(from.length)}`, content);
  }
}

class MemoryFile implements DiskFile {
  readonly #content: GrowableBytes;
  readonly #clock: Pick<Clock, 'soon'>;

  constructor(content: GrowableBytes, clock: Pick<Clock, 'soon'>) {
    this.#content = content;
    this.#clock = clock;
  }

  async size(): Promise<number> {
    return this.#content.length;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.#content.read(offset, length);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    this.#content.write(offset, bytes);
  }

  writeAndSync(offset: number, bytes: Uint8Array, done: (error: Error | null) => void): void {
    this.#content.write(offset, bytes);
    this.#clock.soon(() => done(null));
  }

  async sync(): Promise<void> {}

  async truncate(length: number): Promise<void> {
    this.#content.truncate(length);
  }

  async close(): Promise<void> {}
}
