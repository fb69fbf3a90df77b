import { type Disk, DiskError, type DiskFile } from '../disk/port.ts';
import { SealedFile, type SealedFileParts } from './sealed-file.ts';
import { blockOf, decodeHead, HEAD_BYTES, startOf } from './sealed-layout.ts';

/** Copied at once. */
const COPY_BLOCKS = 8;

/**
 * A disk whose open files are sealed, for one kind of files. Small whole files (marks, without content of users) are as
 * they are, and so are names.
 */
export class SealedDisk implements Disk {
  readonly #disk: Disk;
  readonly #parts: SealedFileParts;

  constructor(disk: Disk, parts: SealedFileParts) {
    this.#disk = disk;
    this.#parts = parts;
  }

  async open(path: string): Promise<DiskFile> {
    return this.#sealed(await this.#disk.open(path));
  }

  async openToRead(path: string): Promise<DiskFile | null> {
    const file = await this.#disk.openToRead(path);
    return file === null ? null : this.#sealed(file);
  }

  async create(path: string): Promise<DiskFile> {
    return this.#sealed(await this.#disk.create(path));
  }

  place(from: string, to: string): Promise<void> {
    return this.#disk.place(from, to);
  }

  removeFolder(folder: string): Promise<void> {
    return this.#disk.removeFolder(folder);
  }

  list(folder: string): Promise<string[]> {
    return this.#disk.list(folder);
  }

  readFile(path: string): Promise<Uint8Array | null> {
    return this.#disk.readFile(path);
  }

  writeFileAtomic(path: string, content: Uint8Array): Promise<void> {
    return this.#disk.writeFileAtomic(path, content);
  }

  remove(path: string): Promise<void> {
    return this.#disk.remove(path);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#disk.rename(from, to);
  }

  freeBytes(): Promise<number> {
    return this.#disk.freeBytes();
  }

  /** Whether a file is sealed under another data key than new ones; false for one that is gone, or has no head. */
  async isOld(path: string): Promise<boolean> {
    const file = await this.#disk.openToRead(path);
    if (file === null) return false;
    try {
      const head = decodeHead(await file.read(0, HEAD_BYTES));
      return head !== null && head.keyNumber !== this.#parts.keys.current;
    } finally {
      await file.close();
    }
  }

  /**
   * A copy of a file that isOld(), sealed anew, unsynced and open; null where it is not old. Rejects with EBADMSG
   * when a block does not open; nothing is left of the copy then.
   */
  async copyOfOld(path: string, to: string): Promise<DiskFile | null> {
    if (!(await this.isOld(path))) return null;
    const from = await this.openToRead(path);
    if (from === null) return null;
    let copy: DiskFile | null = null;
    try {
      copy = await this.create(to);
      const size = await from.size();
      for (let at = 0; at < size; ) {
        const piece = await from.read(at, startOf(blockOf(at) + COPY_BLOCKS) - at);
        if (piece.length === 0) throw new DiskError('EBADMSG', `${path} is cut short`);
        await copy.write(at, piece);
        at += piece.length;
      }
      return copy;
    } catch (error) {
      await copy?.close().catch(() => {}); // the first failure counts
      if (copy !== null) await this.#disk.remove(to);
      throw error;
    } finally {
      await from.close();
    }
  }

  #sealed(file: DiskFile): DiskFile {
    return new SealedFile(file, this.#parts);
  }
}
