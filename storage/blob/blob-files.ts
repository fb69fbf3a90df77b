import { type ChunkName, chunkText } from '../../protocol/blob.ts';
import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { Turns } from '../../protocol/turns.ts';
import { extendCrc32c } from '../checksum.ts';
import { type CopyFile, type Disk, SyncError } from '../disk/port.ts';
import type { BlobFile, BlobStore, BlobUsage, BlobWriter, DiskView, ScrubMark } from '../ports.ts';
import { BlobError, isMissing, isUnreadable, missing } from './blob-error.ts';
import { ChunkReader, readHeader } from './chunk-reader.ts';
import { ChunkWriter } from './chunk-writer.ts';
import type { ChunkHeader } from './format.ts';
import { ASIDE_FOLDER, folderOfChunk, pathOfChunk, SCRATCH_FOLDER } from './paths.ts';
import { Room } from './room.ts';
import { loadMark, saveMark } from './scrub-mark.ts';
import { walk } from './walk.ts';

/** Damaged chunks that are kept for somebody to look at; what comes then is removed. */
const ASIDE_MAX = 64;
/** Files opened, or removed, at once. */
const AT_ONCE = 16;
/**
 * Pieces that are written past the page cache, and chunks synced, at once. Each holds one of Node's four threads for as long as the disk takes:
 * one is left to the log, on which every key that is written waits, and to reads. Beside 16 uploads of 64 MiB puts of
 * keys took 74 to 104 ms at p99 with three, 123 to 257 ms with sixteen; the uploads were as fast.
 */
const AT_DISK_MAX = 3;

export interface BlobFilesOptions {
  readonly disk: Disk;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly health: Pick<DiskView, 'trouble' | 'refusesWrites' | 'freeBytes'>;
  /**
   * The sync of a folder failed: names in it, also such as were reported sealed, are in doubt, and a later sync that
   * succeeds says nothing about them. The process must exit.
   */
  onFatal(reason: string, error: unknown): void;
}

/** Chunks as files over any Disk. Writing is in chunk-writer.ts, the layout of a file in format.ts. */
export class BlobFiles implements BlobStore {
  readonly #disk: Disk;
  readonly #room: Room;
  readonly #onFatal: (reason: string, error: unknown) => void;
  /** Changes of one name come one after another. */
  readonly #queues = new Map<string, Promise<void>>();
  /** Scratch files that could not be removed. */
  readonly #leftovers = new Set<string>();
  readonly #turns = new Turns(AT_DISK_MAX, null);
  #scratchCount = 0;
  #cleaned: Promise<number> | null = null;

  constructor({ disk, clock, health, onFatal }: BlobFilesOptions) {
    this.#disk = disk;
    this.#room = new Room(health, clock);
    this.#onFatal = onFatal;
  }

  /** Before the first chunk is written: removes what a crash left unsealed; tells how many files that were. */
  clean(): Promise<number> {
    this.#cleaned ??= this.#clean().catch((error: unknown) => {
      this.#cleaned = null;
      throw error;
    });
    return this.#cleaned;
  }

  async #clean(): Promise<number> {
    const names = await this.#disk.list(SCRATCH_FOLDER);
    await inParts(names, (name) => this.#disk.remove(`${SCRATCH_FOLDER}/${name}`));
    return names.length;
  }

  async create(name: ChunkName): Promise<BlobWriter> {
    this.#room.take(0);
    await this.clean();
    await this.#removeLeftovers();
    const scratch = `${SCRATCH_FOLDER}/${++this.#scratchCount}-${chunkText(name)}`;
    const file = await this.#disk.create(scratch);
    return new ChunkWriter(name, file, {
      takeRoom: (bytes) => this.#room.take(bytes),
      inTurn: (work) => this.#turns.run(work),
      place: (header) => this.#inTurn(name, () => this.#place(scratch, header)),
      discard: () => this.#discard(scratch),
    });
  }

  async open(name: ChunkName, frontBytes = 0): Promise<ChunkReader> {
    const file = await this.#disk.openToRead(pathOfChunk(name));
    if (file === null) throw missing(name);
    try {
      return await ChunkReader.of(file, name, frontBytes);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  list(after: string | null, max: number): Promise<BlobFile[]> {
    return walk(this.#disk, after, max);
  }

  async measure(files: readonly BlobFile[]): Promise<BlobUsage> {
    let chunks = 0;
    let bytes = 0;
    await inParts(files, async ({ path, name }) => {
      const file = name === null ? null : await this.#disk.openToRead(path);
      if (file === null) return;
      try {
        const size = await file.size();
        bytes += size;
        chunks++;
      } finally {
        await file.close();
      }
    });
    return { chunks, bytes };
  }

  async remove(names: readonly ChunkName[]): Promise<void> {
    await inParts(names, (name) =>
      this.#inTurn(name, () => this.#changeNames(() => this.#disk.remove(pathOfChunk(name)))),
    );
    const folders = new Set(names.map(folderOfChunk));
    for (const folder of folders) {
      await this.#disk.removeFolder(folder);
      await this.#disk.removeFolder(folder.slice(0, folder.lastIndexOf('/')));
    }
  }

  /** Looks again first: it may have been replaced by a good one since the damage was seen. */
  setAside(name: ChunkName): Promise<void> {
    return this.#inTurn(name, async () => {
      if (!(await this.#isReadable(name))) await this.#setAside(name);
    });
  }

  /**
   * Puts what `copy` makes of a chunk's file in its place; false where it makes nothing. Nobody sees a difference: a
   * chunk that is removed meanwhile is gone, and whoever has it open goes on with what was there.
   */
  async replace(name: ChunkName, copy: CopyFile): Promise<boolean> {
    this.#room.take(0);
    await this.clean();
    return this.#inTurn(name, async () => {
      const path = pathOfChunk(name);
      const scratch = `${SCRATCH_FOLDER}/${++this.#scratchCount}-${chunkText(name)}`;
      const file = await copy(path, scratch);
      if (file === null) return false;
      try {
        await this.#turns.run(() => file.sync()).finally(() => file.close());
        await this.#changeNames(() => this.#disk.place(scratch, path));
      } catch (error) {
        await this.#discard(scratch);
        throw error;
      }
      return true;
    });
  }

  checksum(crc: number, bytes: Uint8Array): number {
    return extendCrc32c(crc, bytes);
  }

  loadMark(): Promise<ScrubMark | null> {
    return loadMark(this.#disk);
  }

  saveMark(mark: ScrubMark): Promise<void> {
    return saveMark(this.#disk, mark);
  }

  async #place(scratch: string, header: ChunkHeader): Promise<void> {
    const { name } = header;
    const path = pathOfChunk(name);
    const existing = await this.#headerAt(path, name);
    if (existing === 'damaged') await this.#setAside(name);
    else if (existing !== null && !isSame(existing, header)) {
      throw new BlobError('EEXIST', name, 'is here already with other bytes');
    }
    await this.#changeNames(() => this.#disk.place(scratch, path));
  }

  async #headerAt(path: string, name: ChunkName): Promise<ChunkHeader | 'damaged' | null> {
    const file = await this.#disk.openToRead(path);
    if (file === null) return null;
    try {
      return await readHeader(file, name);
    } catch (error) {
      if (isUnreadable(error)) return 'damaged';
      throw error;
    } finally {
      await file.close();
    }
  }

  async #isReadable(name: ChunkName): Promise<boolean> {
    let reader: ChunkReader | null = null;
    try {
      reader = await this.open(name);
      const pieceBytes = LIMITS.blobPieceBytes;
      for (let at = 0; at < reader.sum.bytes; at += pieceBytes) await reader.read(at, pieceBytes);
      return true;
    } catch (error) {
      if (isUnreadable(error)) return false;
      if (isMissing(error)) return true;
      throw error;
    } finally {
      await reader?.close();
    }
  }

  async #setAside(name: ChunkName): Promise<void> {
    const path = pathOfChunk(name);
    const file = await this.#disk.openToRead(path);
    if (file === null) return;
    await file.close();
    const isKept = (await this.#disk.list(ASIDE_FOLDER)).length < ASIDE_MAX;
    await this.#changeNames(() =>
      isKept
        ? this.#disk.rename(path, `${ASIDE_FOLDER}/${chunkText(name)}`)
        : this.#disk.remove(path),
    );
  }

  async #changeNames(change: () => Promise<void>): Promise<void> {
    try {
      await change();
    } catch (error) {
      if (error instanceof SyncError) this.#onFatal("a chunk folder's sync failed", error);
      throw error;
    }
  }

  /** A disk that is ill may refuse this too: then it is tried again with the next chunk, and at start. */
  async #discard(scratch: string): Promise<void> {
    this.#leftovers.add(scratch);
    await this.#removeLeftovers();
  }

  async #removeLeftovers(): Promise<void> {
    for (const path of [...this.#leftovers]) {
      this.#leftovers.delete(path);
      await this.#disk.remove(path).catch(() => this.#leftovers.add(path));
    }
  }

  #inTurn<T>(name: ChunkName, work: () => Promise<T>): Promise<T> {
    const key = chunkText(name);
    const result = (this.#queues.get(key) ?? Promise.resolve()).then(work);
    const settled = result.then(
      () => {},
      () => {}, // the caller has the error; the next call still runs
    );
    this.#queues.set(key, settled);
    settled.then(() => {
      if (this.#queues.get(key) === settled) this.#queues.delete(key);
    });
    return result;
  }
}

function isSame(a: ChunkHeader, b: ChunkHeader): boolean {
  return (
    a.sum.bytes === b.sum.bytes &&
    a.sum.crc === b.sum.crc &&
    a.blockCrcs.every((crc, i) => crc === b.blockCrcs[i])
  );
}

async function inParts<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += AT_ONCE) {
    await Promise.all(items.slice(at, at + AT_ONCE).map(work));
  }
}
