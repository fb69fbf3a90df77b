import fs from 'node:fs';
import {
  access,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rmdir,
  statfs,
  unlink,
} from 'node:fs/promises';
import { platform } from 'node:os';
import { join, resolve } from 'node:path';
import { isPageAligned, PAGE_BYTES } from '../../protocol/page-aligned.ts';
import { checkPath, folderOf, UNFINISHED_SUFFIX } from './path.ts';
import { type Disk, DiskError, type DiskFile, SyncError } from './port.ts';
import { SharedSyncs } from './shared-syncs.ts';

const PLACE_TRIES_MAX = 3;
const DURABLE_FOLDERS_MAX = 1000;

/** The data folder on a real file system. Every change of a folder is fsynced before it resolves. */
export class NodeDisk implements Disk {
  readonly #root: string;
  readonly #folderSyncs = new SharedSyncs(syncFolder);
  /** Folders for place(), by full path. */
  readonly #durableFolders = new Map<string, Promise<void>>();

  /** `root`: the data folder; made, with its parents, at the first write. */
  constructor(root: string) {
    this.#root = resolve(root);
  }

  async open(path: string): Promise<DiskFile> {
    const full = this.#full(path);
    const existing = await unless('ENOENT', openFile(full, fs.constants.O_RDWR));
    if (existing !== null) return new NodeFile(existing, full);
    await this.#makeFolder(folderOf(path));
    const created = await openFile(full, fs.constants.O_RDWR | fs.constants.O_CREAT);
    await syncFolder(join(full, '..'));
    return new NodeFile(created, full);
  }

  async openToRead(path: string): Promise<DiskFile | null> {
    const full = this.#full(path);
    const fd = await unless('ENOENT', openFile(full, fs.constants.O_RDONLY));
    return fd === null ? null : new NodeFile(fd, full);
  }

  async create(path: string): Promise<DiskFile> {
    const full = this.#full(path);
    const flags = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC;
    let fd = await unless('ENOENT', openFile(full, flags));
    if (fd === null) {
      await this.#makeFolder(folderOf(path));
      fd = await asDiskError(openFile(full, flags));
    }
    return new NodeFile(fd, full);
  }

  async place(from: string, to: string): Promise<void> {
    const source = this.#full(from);
    const target = this.#full(to);
    const folder = join(target, '..');
    const failsToMove = async () => {
      await this.#durableFolder(folder);
      return (await unless('ENOENT', rename(source, target))) === null;
    };
    for (let tries = 1; await failsToMove(); tries++) {
      // A folder that is empty may be removed between the two.
      if (tries === PLACE_TRIES_MAX) throw new DiskError('ENOENT', `${from}: no such file`);
      this.#durableFolders.delete(folder);
    }
    await this.#folderSyncs.sync(folder);
  }

  async removeFolder(folder: string): Promise<void> {
    const full = this.#full(folder);
    this.#durableFolders.delete(full);
    await unless('ENOENT', rmdir(full)).catch((error: DiskError) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  }

  async list(folder: string): Promise<string[]> {
    const full = folder === '' ? this.#root : this.#full(folder);
    const names = await unless('ENOENT', readdir(full));
    return (names ?? []).filter((name) => !name.endsWith(UNFINISHED_SUFFIX)).sort();
  }

  async readFile(path: string): Promise<Uint8Array | null> {
    return unless('ENOENT', readFile(this.#full(path)));
  }

  async writeFileAtomic(path: string, content: Uint8Array): Promise<void> {
    const full = this.#full(path);
    const unfinished = `${full}${UNFINISHED_SUFFIX}`;
    await this.#makeFolder(folderOf(path));
    const handle = await asDiskError(open(unfinished, 'w'));
    try {
      await asDiskError(handle.writeFile(content));
      await asDiskError(handle.sync());
    } finally {
      await handle.close();
    }
    await asDiskError(rename(unfinished, full));
    await syncFolder(join(full, '..'));
  }

  async remove(path: string): Promise<void> {
    const full = this.#full(path);
    await unless('ENOENT', unlink(full));
    await unless('ENOENT', this.#folderSyncs.sync(join(full, '..')));
  }

  async rename(from: string, to: string): Promise<void> {
    const source = this.#full(from);
    const target = this.#full(to);
    await this.#makeFolder(folderOf(to));
    await asDiskError(rename(source, target));
    await syncFolder(join(target, '..'));
    await syncFolder(join(source, '..'));
  }

  async freeBytes(): Promise<number> {
    await asDiskError(access(this.#root, fs.constants.W_OK)); // EROFS
    const handle = await asDiskError(open(this.#root, 'r')); // EMFILE
    await handle.close();
    const { bavail, bsize } = await asDiskError(statfs(this.#root));
    return bavail * bsize;
  }

  #full(path: string): string {
    return join(this.#root, checkPath(path));
  }

  /**
   * Makes a folder and syncs all names down to it, once: that it is there does not tell that a power cut leaves it,
   * since who made it may not have synced it yet.
   */
  #durableFolder(full: string): Promise<void> {
    const known = this.#durableFolders.get(full);
    if (known !== undefined) return known;
    if (this.#durableFolders.size >= DURABLE_FOLDERS_MAX) this.#durableFolders.clear();
    const made = (async () => {
      await asDiskError(mkdir(full, { recursive: true }));
      for (let at = full; at.length > this.#root.length; at = join(at, '..')) {
        await unless('ENOENT', this.#folderSyncs.sync(join(at, '..')));
      }
    })();
    this.#durableFolders.set(full, made);
    made.catch(() => {
      if (this.#durableFolders.get(full) === made) this.#durableFolders.delete(full);
    });
    return made;
  }

  /** Makes a folder inside the root; what mkdir made is fsynced from the top down. */
  async #makeFolder(folder: string): Promise<void> {
    const full = join(this.#root, folder);
    const first = await asDiskError(mkdir(full, { recursive: true }));
    if (first === undefined) return;
    await syncFolder(join(first, '..'));
    for (let at = full; at.length >= first.length; at = join(at, '..')) await syncFolder(at);
  }
}

/**
 * Whether a write with O_DSYNC is as durable as a write and an fdatasync. It takes one trip to another thread
 * where they take two, and the second of two waits until the event loop looks for the first. (Elsewhere
 * Node's fdatasync asks for more than O_DSYNC gives: F_FULLFSYNC on macOS.)
 */
const HAS_DURABLE_WRITES = platform() === 'linux';

/** Up to so many bytes are read without asking how many there are. */
const READ_BLINDLY_MAX = 1024 * 1024;

/** O_DIRECT is Linux's. Not every file system has it: those refuse to open a file so. */
const HAS_DIRECT_WRITES = platform() === 'linux';

class NodeFile implements DiskFile {
  readonly #fd: number;
  readonly #path: string;
  /** The same file with O_DSYNC, since the first writeAndSync. */
  #durableFd: number | null = null;
  /** The same file with O_DIRECT, since the first write of whole pages; null: it cannot be written so. */
  #directFd: Promise<number | null> | null = null;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  size(): Promise<number> {
    return this.#call<fs.Stats>((done) => fs.fstat(this.#fd, done)).then((stat) => stat.size);
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    // A length out of a damaged file may be any number.
    const isBounded = length <= READ_BLINDLY_MAX;
    const wanted = isBounded ? length : Math.min(length, (await this.size()) - offset);
    // Only what was read of it is given: it need not be zeros.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(Math.max(0, wanted)).buffer);
    let at = 0;
    while (at < wanted) {
      const count = await this.#call<number>((done) =>
        fs.read(this.#fd, bytes, at, wanted - at, offset + at, done),
      );
      if (count === 0) break;
      at += count;
    }
    return bytes.subarray(0, at);
  }

  /** Past the page cache where memory and place are whole pages: a copy of what nobody reads soon costs more than all else. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const isDirect = HAS_DIRECT_WRITES && offset % PAGE_BYTES === 0 && isPageAligned(bytes);
    const directFd = isDirect ? await this.#direct() : null;
    if (directFd !== null) {
      try {
        return await this.#writeTo(directFd, offset, bytes);
      } catch (error) {
        // It wants larger pages than these, or a short write left less than a page.
        if (!(error instanceof DiskError) || error.code !== 'EINVAL') throw error;
      }
    }
    return this.#writeTo(this.#fd, offset, bytes);
  }

  #direct(): Promise<number | null> {
    const flags = fs.constants.O_WRONLY | fs.constants.O_DIRECT;
    this.#directFd ??= unless('EINVAL', openFile(this.#path, flags));
    return this.#directFd;
  }

  #writeTo(fd: number, offset: number, bytes: Uint8Array): Promise<void> {
    return new Promise((resolved, rejected) => {
      this.#writeAll(fd, offset, bytes, (error) =>
        error === null ? resolved() : rejected(diskError(error, this.#path)),
      );
    });
  }

  writeAndSync(offset: number, bytes: Uint8Array, done: (error: Error | null) => void): void {
    if (HAS_DURABLE_WRITES) return this.#writeDurably(offset, bytes, done);
    this.#writeAll(this.#fd, offset, bytes, (error) => {
      if (error !== null) return done(diskError(error, this.#path));
      fs.fdatasync(this.#fd, (failure) => done(failure && this.#syncError(failure)));
    });
  }

  /**
   * An error that may pass is no SyncError here, although it may come from the sync: the caller repeats the
   * write, not the sync, so no page that the system gave up on is taken for written.
   */
  #writeDurably(offset: number, bytes: Uint8Array, done: (error: Error | null) => void): void {
    if (this.#durableFd === null) {
      fs.open(this.#path, fs.constants.O_WRONLY | fs.constants.O_DSYNC, (error, fd) => {
        if (error !== null) return done(diskError(error, this.#path));
        this.#durableFd = fd;
        this.#writeDurably(offset, bytes, done);
      });
      return;
    }
    this.#writeAll(this.#durableFd, offset, bytes, (error) => {
      done(error === null ? null : this.#durableError(error));
    });
  }

  #durableError(error: NodeJS.ErrnoException): Error {
    return error.code === 'EIO' ? this.#syncError(error) : diskError(error, this.#path);
  }

  writeAndSyncHere(offset: number, bytes: Uint8Array): Error | null | undefined {
    if (this.#durableFd === null) return undefined;
    try {
      for (let at = 0; at < bytes.length; ) {
        const left = bytes.length - at;
        const count = fs.writeSync(this.#durableFd, bytes, at, left, offset + at);
        if (count === 0) return new DiskError('EIO', `${this.#path}: nothing was written`);
        at += count;
      }
      return null;
    } catch (error) {
      return this.#durableError(error as NodeJS.ErrnoException);
    }
  }

  async sync(): Promise<void> {
    await new Promise<void>((resolved, rejected) => {
      fs.fdatasync(this.#fd, (error) => (error ? rejected(this.#syncError(error)) : resolved()));
    });
  }

  #syncError(error: NodeJS.ErrnoException): SyncError {
    return new SyncError(error.code ?? 'EIO', `${this.#path}: ${error.message}`, error);
  }

  async truncate(length: number): Promise<void> {
    await this.#call<void>((done) => fs.ftruncate(this.#fd, length, done));
  }

  async close(): Promise<void> {
    const durableFd = this.#durableFd;
    this.#durableFd = null;
    if (durableFd !== null) await this.#close(durableFd);
    // Where it could not be opened, the write said so.
    const directFd = await this.#directFd?.catch(() => null);
    if (directFd != null) await this.#close(directFd);
    await this.#close(this.#fd);
  }

  #close(fd: number): Promise<void> {
    return this.#call<void>((done) => fs.close(fd, done));
  }

  /** A write may be short (ENOSPC comes only with the next one), so it loops. */
  #writeAll(
    fd: number,
    offset: number,
    bytes: Uint8Array,
    done: (error: NodeJS.ErrnoException | null) => void,
  ): void {
    fs.write(fd, bytes, 0, bytes.length, offset, (error, count) => {
      if (error !== null) return done(error);
      if (count === bytes.length) return done(null);
      if (count === 0) return done(new DiskError('EIO', `${this.#path}: nothing was written`));
      this.#writeAll(fd, offset + count, bytes.subarray(count), done);
    });
  }

  #call<T>(
    run: (done: (error: NodeJS.ErrnoException | null, value?: T) => void) => void,
  ): Promise<T> {
    return new Promise((resolved, rejected) => {
      run((error, value) =>
        error ? rejected(diskError(error, this.#path)) : resolved(value as T),
      );
    });
  }
}

function openFile(path: string, flags: number): Promise<number> {
  return new Promise((resolved, rejected) => {
    fs.open(path, flags, 0o640, (error, fd) => (error ? rejected(error) : resolved(fd)));
  });
}

/** Makes created, removed and renamed names of a folder durable. */
async function syncFolder(path: string): Promise<void> {
  const handle = await asDiskError(open(path, 'r'));
  try {
    await handle.sync().catch((error: NodeJS.ErrnoException) => {
      throw new SyncError(error.code ?? 'EIO', error.message, error);
    });
  } finally {
    await handle.close();
  }
}

/** The value, or null when it failed with this code; other failures become DiskErrors. */
async function unless<T>(code: string, work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === code) return null;
    throw diskError(error, '');
  }
}

async function asDiskError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw diskError(error, '');
  }
}

function diskError(error: unknown, path: string): DiskError {
  if (error instanceof DiskError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new DiskError(code ?? 'EIO', path === '' ? message : `${path}: ${message}`, error);
}
