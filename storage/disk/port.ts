/**
 * Files as the WAL and the snapshot store need them. Two adapters: node:fs (storage/disk/node-disk.ts)
 * and the simulator's, which loses unsynced writes, tears, flips and fails. Paths are relative to the
 * node's data folder, '/'-separated. All calls may run concurrently on different files.
 */
export interface Disk {
  /** Opens for reading and writing; creates an empty file when there is none. */
  open(path: string): Promise<DiskFile>;
  /** Opens a file for reading; null when there is none. */
  openToRead(path: string): Promise<DiskFile | null>;
  /**
   * A new, empty file, in place of one that was there, whose name a power cut may take until place() has moved it:
   * nothing is synced for it.
   */
  create(path: string): Promise<DiskFile>;
  /**
   * Moves a file that was made by create() and synced to its name for good, over one that is there; makes parent
   * folders. Durable when it resolves: calls that meet in one folder share a sync. A SyncError says that the
   * folder's names are in doubt.
   */
  place(from: string, to: string): Promise<void>;
  /** Removes a folder, not durably, if it is there and empty. */
  removeFolder(folder: string): Promise<void>;
  /** Names (not paths) in a folder, sorted; [] when the folder does not exist. */
  list(folder: string): Promise<string[]>;
  /** Whole content, or null when there is no such file. */
  readFile(path: string): Promise<Uint8Array | null>;
  /** Writes a whole file so that after a crash either the old or the new content is there, synced. */
  writeFileAtomic(path: string, content: Uint8Array): Promise<void>;
  /** Removes a file and makes that durable; no error when it is gone already. */
  remove(path: string): Promise<void>;
  /** Moves a file or folder within the data folder, durably; makes parent folders. */
  rename(from: string, to: string): Promise<void>;
  /** Bytes that may still be written; rejects with the code of what stands in the way of any write. */
  freeBytes(): Promise<number>;
}

export interface DiskFile {
  size(): Promise<number>;
  read(offset: number, length: number): Promise<Uint8Array>;
  /**
   * Writes all bytes (loops over short writes). Not durable before sync. Bytes of pageAligned() at the start of a page of the
   * file take as long as the disk does: they may go past the page cache.
   */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** The hot path: durable when it calls back without an error. After a SyncError like sync(). */
  writeAndSync(offset: number, bytes: Uint8Array, done: (error: Error | null) => void): void;
  /**
   * The same in the call itself: nothing else runs until the disk has answered. Undefined: that is not possible now, and
   * nothing was done.
   */
  writeAndSyncHere?(offset: number, bytes: Uint8Array): Error | null | undefined;
  /** fdatasync. After an error the file must not be used again (fsyncgate). */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

/** Makes an unsynced, open copy of a file under a new name; null where there is no need. */
export type CopyFile = (from: string, to: string) => Promise<DiskFile | null>;

/** A disk error with the operating system's code, e.g. ENOSPC, EIO, EROFS, EMFILE. */
export class DiskError extends Error {
  override readonly name: string = 'DiskError';
  readonly code: string;
  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** Whether something that was written does not read back: it will not by asking again. */
export function isDamage(error: unknown): error is DiskError {
  return error instanceof DiskError && error.code === 'EBADMSG';
}

/** A failed fsync: whatever its code, it must never be repeated (fsyncgate). */
export class SyncError extends DiskError {
  override readonly name = 'SyncError';
}

const PASSING_CODES = ['ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE'];

/** Whether a write or an open failed for want of something that may come back: it may be repeated. */
export function mayPass(error: unknown): error is DiskError {
  return (
    error instanceof DiskError &&
    !(error instanceof SyncError) &&
    PASSING_CODES.includes(error.code)
  );
}
