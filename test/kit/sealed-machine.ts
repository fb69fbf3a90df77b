import { RootKeys } from '../../gateways/encryption/root-keys.ts';
import type { Clock } from '../../protocol/clock.ts';
import { seededRandom } from '../../protocol/random.ts';
import type { FolderKeys } from '../../storage/at-rest/folder-keys.ts';
import { openKeyring } from '../../storage/at-rest/keyring.ts';
import { KeyRotation } from '../../storage/at-rest/rotation.ts';
import { decodeHead, HEAD_BYTES } from '../../storage/at-rest/sealed-layout.ts';
import type { BlobFiles } from '../../storage/blob/blob-files.ts';
import type { Disk } from '../../storage/disk/port.ts';
import { ValueCompression } from '../../storage/kv/value-compression.ts';
import { openStorage } from '../../storage/open.ts';
import type { SnapshotFiles } from '../../storage/snapshot-file.ts';
import { listSegments, loadHead, segmentPath } from '../../storage/wal/head.ts';
import { BATCH_HEADER_BYTES, readHeader } from '../../storage/wal/record.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import { SimEngineStore } from '../sim/sim-engine.ts';
import type { VirtualTime } from './virtual-time.ts';

/** Rotations and crashes meet compressed values too. */
const COMPRESSION = new ValueCompression([{ prefix: '', codec: 'lz4' }]);
const ROOTS = new RootKeys([Buffer.alloc(32, 5)]);

/** An encrypted data folder on a simulated disk: everything that a node keeps in one. */
export class SealedMachine {
  readonly disk: SimDisk;
  readonly engines: SimEngineStore;
  readonly #time: VirtualTime;
  #lives = 0;

  constructor(time: VirtualTime, seed: number) {
    this.#time = time;
    this.disk = new SimDisk(time.process().clock, seededRandom(seed, 'disk'), {});
    this.engines = new SimEngineStore(seededRandom(seed, 'engine'));
  }

  /** A process opens it all. `end` kills it. */
  async open() {
    const { clock, end } = this.#time.process();
    const disk = this.disk.session(clock);
    const random = seededRandom(++this.#lives, 'sealed machine');
    const opened = await openKeyring({ disk, random, masters: ROOTS, isWanted: true });
    const { keys, ring } = opened!;
    const resealed: Record<string, number> = {};
    const rotation = new KeyRotation({
      ...{ keys, ring, clock, log: () => {}, counted: () => {} },
      resealed: (place, count) => {
        resealed[place] = (resealed[place] ?? 0) + count;
      },
    });
    const storage = openStorage({
      ...{ disk, clock, random, prepareAhead: false, keys, rotation, compression: COMPRESSION },
      openEngine: async () => this.engines.open(clock),
      setEngineAside: async () => {},
      onFatal: (reason, error) => {
        throw new Error(reason, { cause: error });
      },
    });
    const logged: string[] = [];
    const { wal, recovery } = await storage.openWal((_stream, payload) => {
      logged.push(Buffer.from(payload).toString());
    });
    const store = await storage.openState();
    const blobs = storage.blobs as BlobFiles;
    await blobs.clean();
    const snapshots = storage.snapshots as SnapshotFiles;
    const parts = { blobs, snapshots, rotation, keys, resealed };
    return { ...parts, clock, logged, recovery, store, wal: wal!, end: () => end() };
  }

  /** Whatever on the disk names a data key other than the newest, by its path. */
  async underOldKeys(clock: Clock, keys: FolderKeys): Promise<string[]> {
    const disk = this.disk.session(clock);
    const old: string[] = [];
    for (const path of this.disk.paths()) {
      const file = await disk.readFile(path);
      const head = file === null ? null : decodeHead(file.subarray(0, HEAD_BYTES));
      if (head !== null && head.keyNumber !== keys.current) old.push(path);
    }
    const cursor = this.engines.open(clock).snapshot().cursor(EVERYTHING);
    for (const [key, row] of await cursor.next(1_000_000)) {
      if (row[0] !== 1 || row[1]! * 256 + row[2]! !== keys.current) old.push(`row ${key}`);
    }
    return [...old, ...(await oldBatches(disk, keys.current))];
  }
}

const EVERYTHING = { start: '', end: '\xff'.repeat(64), reverse: false };

async function oldBatches(disk: Disk, current: number): Promise<string[]> {
  const old: string[] = [];
  const head = await loadHead(disk);
  if (typeof head === 'string') throw new Error(`the log's head is ${head}`);
  for (const sequence of await listSegments(disk)) {
    const bytes = Buffer.from((await disk.readFile(segmentPath(sequence)))!);
    for (let at = 0; ; ) {
      const header = readHeader(bytes, at, head.walId);
      if (header === null || header.recordCount === 0) break;
      if (bytes.readUInt32LE(at + BATCH_HEADER_BYTES) !== current) old.push(`batch ${sequence}`);
      at += BATCH_HEADER_BYTES + header.payloadBytes;
    }
  }
  return old;
}
