import type { SnapshotMeta } from '../protocol/messages/raft.ts';
import type { GroupId } from '../protocol/types.ts';
import { type CopyFile, type Disk, DiskError, type DiskFile } from './disk/port.ts';
import type { EngineCursor, EngineRow, SnapshotStore } from './ports.ts';
import {
  checkSnapshot,
  SNAPSHOT_BLOCK_BYTES,
  SnapshotEncoder,
  type SnapshotHead,
  SnapshotRows,
} from './snapshot-format.ts';

/** Where all snapshot files of a data folder are. */
export const SNAPSHOT_FOLDER = 'snapshots';
const ROWS_PER_READ = 256;
const SNAPSHOT_ID = /^[0-9A-Za-z_-]{1,64}$/;

/** `new`: being written here. `part`: being received. `snap`: complete, synced, renamed last. */
type Stage = 'new' | 'part' | 'snap';

export interface SnapshotName {
  readonly group: GroupId;
  readonly snapshotId: string;
}

interface Receiver {
  readonly file: DiskFile;
  /** Everything before it is written; it is synced when it is whole. */
  nextOffset: number;
}

/**
 * Snapshot files over any Disk: `snapshots/<group>/<snapshotId>.<stage>`. A file gets its final name
 * only when it is whole and synced. A receiver that restarts finds out how far its partial file is
 * good from the checksums inside. A damaged complete file is moved to `quarantine/`, never deleted.
 * Calls for one snapshot run one after another.
 */
export class SnapshotFiles implements SnapshotStore {
  readonly #disk: Disk;
  readonly #receivers = new Map<string, Receiver>();
  /** Complete files that are being sent: open from the first chunk to the last, or until they are removed. */
  readonly #sending = new Map<string, DiskFile>();
  readonly #queues = new Map<string, Promise<void>>();

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** The caller closes `rows`. On an error nothing is left behind but what the disk refuses to remove. */
  create(group: GroupId, meta: SnapshotHead, rows: EngineCursor): Promise<SnapshotMeta> {
    return this.#inTurn(group, meta.snapshotId, async () => {
      const path = pathOf(group, meta.snapshotId, 'new');
      const file = await this.#disk.open(path);
      let totalBytes: number;
      try {
        await file.truncate(0);
        totalBytes = await writeRows(file, meta, rows);
        await file.sync();
      } catch (error) {
        await file.close();
        await this.#disk.remove(path);
        throw error;
      }
      await file.close();
      await this.#disk.rename(path, pathOf(group, meta.snapshotId, 'snap'));
      return { ...meta, totalBytes };
    });
  }

  /**
   * At most `length` bytes; fewer at the end. A read from offset 0 begins a transfer and verifies the
   * whole file first. Rejects with DiskError ENOENT when there is none and EBADMSG when it is damaged.
   */
  readChunk(
    group: GroupId,
    snapshotId: string,
    offset: number,
    length: number,
  ): Promise<Uint8Array> {
    return this.#inTurn(group, snapshotId, async () => {
      const key = `${group}/${snapshotId}`;
      if (offset === 0) await this.#endSending(key);
      let file = this.#sending.get(key);
      if (file === undefined) {
        file = await this.#openComplete(group, snapshotId, offset === 0);
        this.#sending.set(key, file);
      }
      let isLast = true;
      try {
        const data = await file.read(offset, length);
        isLast = offset + length >= (await file.size());
        return data;
      } finally {
        if (isLast) await this.#endSending(key);
      }
    });
  }

  /** A piece that is not the one wanted next is not written; the answer says what is wanted. */
  writeChunk(
    group: GroupId,
    meta: SnapshotMeta,
    offset: number,
    data: Uint8Array,
  ): Promise<number> {
    return this.#inTurn(group, meta.snapshotId, async () => {
      const { snapshotId, totalBytes } = meta;
      let receiver = this.#receivers.get(`${group}/${snapshotId}`);
      if (receiver === undefined) {
        if (await this.#has(group, snapshotId, 'snap')) return totalBytes;
        receiver = await this.#receiver(group, snapshotId);
      }
      if (offset + data.length > totalBytes) {
        throw new DiskError('EBADMSG', `snapshot ${snapshotId} is larger than announced`);
      }
      if (offset === receiver.nextOffset && data.length > 0) {
        await receiver.file.write(offset, data);
        receiver.nextOffset += data.length;
      }
      if (receiver.nextOffset >= totalBytes) await this.#complete(group, snapshotId, receiver);
      return receiver.nextOffset;
    });
  }

  openRows(group: GroupId, snapshotId: string): Promise<EngineCursor> {
    return this.#inTurn(group, snapshotId, async () => {
      return new SnapshotRows(await this.#openComplete(group, snapshotId, true));
    });
  }

  async remove(group: GroupId, keep: readonly string[]): Promise<void> {
    const ids = new Set<string>();
    for (const name of await this.#disk.list(folderOfGroup(group))) {
      ids.add(name.slice(0, name.lastIndexOf('.')));
    }
    for (const id of keep) ids.delete(id);
    for (const id of ids) await this.#inTurn(group, id, () => this.#removeOne(group, id));
  }

  /** Every snapshot there is, complete or not. */
  async list(): Promise<SnapshotName[]> {
    const names: SnapshotName[] = [];
    for (const folder of await this.#disk.list(SNAPSHOT_FOLDER)) {
      const group = Number(folder) as GroupId;
      const files = await this.#disk.list(folderOfGroup(group));
      const ids = new Set(files.map((name) => name.slice(0, name.lastIndexOf('.'))));
      for (const snapshotId of ids) {
        if (SNAPSHOT_ID.test(snapshotId)) names.push({ group, snapshotId });
      }
    }
    return names;
  }

  /**
   * Puts what `copy` makes of a complete snapshot in its place, and forgets what was received of one in part, or left by
   * a crash, where `isOld`: its sender begins anew. False: nothing was to be done.
   */
  replace(
    { group, snapshotId }: SnapshotName,
    { copy, isOld }: { copy: CopyFile; isOld: (path: string) => Promise<boolean> },
  ): Promise<boolean> {
    return this.#inTurn(group, snapshotId, async () => {
      const [fresh, part, complete] = (['new', 'part', 'snap'] as const).map((stage) =>
        pathOf(group, snapshotId, stage),
      ) as [string, string, string];
      let isChanged = false;
      if (await isOld(part)) {
        const key = `${group}/${snapshotId}`;
        await this.#receivers.get(key)?.file.close();
        this.#receivers.delete(key);
        await this.#disk.remove(part);
        isChanged = true;
      }
      if (await isOld(fresh)) await this.#disk.remove(fresh);
      const file = await copy(complete, fresh);
      if (file === null) return isChanged;
      await file.sync().finally(() => file.close());
      await this.#disk.place(fresh, complete);
      return true;
    });
  }

  async #removeOne(group: GroupId, snapshotId: string): Promise<void> {
    const key = `${group}/${snapshotId}`;
    await this.#endSending(key);
    await this.#receivers.get(key)?.file.close();
    this.#receivers.delete(key);
    for (const stage of ['new', 'part', 'snap'] as const) {
      if (await this.#has(group, snapshotId, stage)) {
        await this.#disk.remove(pathOf(group, snapshotId, stage));
      }
    }
  }

  async #endSending(key: string): Promise<void> {
    const file = this.#sending.get(key);
    this.#sending.delete(key);
    await file?.close();
  }

  async #openComplete(group: GroupId, snapshotId: string, verify: boolean): Promise<DiskFile> {
    const path = pathOf(group, snapshotId, 'snap');
    if (!(await this.#has(group, snapshotId, 'snap'))) {
      throw new DiskError('ENOENT', `no complete snapshot ${path}`);
    }
    const file = await this.#disk.open(path);
    if (!verify || (await checkSnapshot(file, snapshotId)).isComplete) return file;
    await file.close();
    const aside = `quarantine/${path.replaceAll('/', '-')}`;
    await this.#disk.rename(path, aside);
    throw new DiskError('EBADMSG', `snapshot ${path} fails its checksums; moved to ${aside}`);
  }

  /** The open partial file; after a restart it is cut back to what its checksums vouch for. */
  async #receiver(group: GroupId, snapshotId: string): Promise<Receiver> {
    const file = await this.#disk.open(pathOf(group, snapshotId, 'part'));
    const { intactBytes } = await checkSnapshot(file, snapshotId);
    await file.truncate(intactBytes);
    await file.sync();
    const receiver = { file, nextOffset: intactBytes };
    this.#receivers.set(`${group}/${snapshotId}`, receiver);
    return receiver;
  }

  async #complete(group: GroupId, snapshotId: string, receiver: Receiver): Promise<void> {
    const part = pathOf(group, snapshotId, 'part');
    this.#receivers.delete(`${group}/${snapshotId}`);
    try {
      await receiver.file.sync();
    } catch (error) {
      // What is cached of it may not be on the disk, nor get there: nothing of it is taken up again.
      await receiver.file.close();
      await this.#disk.remove(part);
      throw error;
    }
    await receiver.file.close();
    await this.#disk.rename(part, pathOf(group, snapshotId, 'snap'));
  }

  async #has(group: GroupId, snapshotId: string, stage: Stage): Promise<boolean> {
    const names = await this.#disk.list(folderOfGroup(group));
    return names.includes(`${checkedId(snapshotId)}.${stage}`);
  }

  #inTurn<T>(group: GroupId, snapshotId: string, work: () => Promise<T>): Promise<T> {
    const key = `${group}/${snapshotId}`;
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

function folderOfGroup(group: GroupId): string {
  return `${SNAPSHOT_FOLDER}/${group}`;
}

function pathOf(group: GroupId, snapshotId: string, stage: Stage): string {
  return `${folderOfGroup(group)}/${checkedId(snapshotId)}.${stage}`;
}

/** Snapshot ids come from peers and become file names. Throws DiskError EINVAL. */
function checkedId(snapshotId: string): string {
  if (SNAPSHOT_ID.test(snapshotId)) return snapshotId;
  throw new DiskError('EINVAL', `not a snapshot id: ${JSON.stringify(snapshotId)}`);
}

/** Writes a whole file, unsynced. Returns its size. */
async function writeRows(file: DiskFile, meta: SnapshotHead, rows: EngineCursor): Promise<number> {
  const encoder = new SnapshotEncoder();
  await file.write(0, encoder.head(meta));
  let block: EngineRow[] = [];
  let blockBytes = 0;
  const flush = async () => {
    const offset = encoder.byteLength;
    await file.write(offset, encoder.block(block));
    block = [];
    blockBytes = 0;
  };
  for (let page = await rows.next(ROWS_PER_READ); page.length > 0; ) {
    for (const row of page) {
      block.push(row);
      blockBytes += row[0].length + row[1].length;
      if (blockBytes >= SNAPSHOT_BLOCK_BYTES) await flush();
    }
    page = await rows.next(ROWS_PER_READ);
  }
  if (block.length > 0) await flush();
  const offset = encoder.byteLength;
  await file.write(offset, encoder.seal());
  return encoder.byteLength;
}
