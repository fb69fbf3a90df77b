import type { Disk, DiskFile } from '../disk/port.ts';
import { SealedFile, type SealedFileParts } from './sealed-file.ts';

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

  #sealed(file: DiskFile): DiskFile {
    return new SealedFile(file, this.#parts);
  }
}
