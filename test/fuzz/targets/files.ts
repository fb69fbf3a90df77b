import { createHash } from 'node:crypto';
import { InvariantViolation } from '../../../protocol/assert.ts';
import { OVERHEAD_BYTES } from '../../../storage/at-rest/sealed-layout.ts';
import { readLine, sealed, TrailChecker } from '../../../storage/audit/chain.ts';
import { decodeHeader, encodeHeader, HEADER_BYTES } from '../../../storage/blob/format.ts';
import { crc32c, extendCrc32c } from '../../../storage/checksum.ts';
import { DiskHealth } from '../../../storage/disk/health.ts';
import { MemoryDisk } from '../../../storage/disk/memory-disk.ts';
import { type DiskFile, isDamage } from '../../../storage/disk/port.ts';
import { checkSnapshot, SnapshotEncoder, SnapshotRows } from '../../../storage/snapshot-format.ts';
import { loadHead, segmentPath } from '../../../storage/wal/head.ts';
import { BATCH_HEADER_BYTES, BatchBuffer, nextMagic } from '../../../storage/wal/record.ts';
import { openWal } from '../../../storage/wal/recovery.ts';
import { WAL_TEST_OPTIONS } from '../../conformance/wal.ts';
import { REAL_CLOCK } from '../../kit/real-clock.ts';
import { batchSeal, sealedDisk } from '../../kit/seals.ts';
import { Broken, checkAgain, type DecoderTarget, shown } from '../target.ts';

/** Files of a data folder: whatever is in them, they are read, cut, or said to be damaged. */

const WAL_ID = Buffer.from('0123456789abcdef', 'hex');
const HEAD = headText({ v: 1, firstSequence: 1, firstPosition: 0, syncedPosition: 0 });

function headText(fields: object): Buffer {
  const body = JSON.stringify({ ...fields, walId: WAL_ID.toString('hex') });
  return Buffer.from(`${crcHex(Buffer.from(body))}${body}`);
}

function crcHex(bytes: Uint8Array): string {
  return crc32c(bytes).toString(16).padStart(8, '0');
}

type Seal = ReturnType<typeof batchSeal> | null;

function segment(seal: Seal): Buffer {
  const batches: Buffer[] = [];
  let position = 0;
  let synced = 0;
  for (let i = 0; i < 3; i++) {
    const batch = new BatchBuffer(seal);
    for (let stream = 0; stream <= i; stream++) {
      batch.add({ stream, payload: Buffer.from(`record ${i} of ${stream}`) });
    }
    const bytes = Buffer.from(batch.seal(WAL_ID, position, synced));
    batches.push(bytes);
    synced = position;
    position += bytes.length;
  }
  return Buffer.concat(batches);
}

/** Checksums of payloads, as far as they are there, and of headers. */
function withBatchChecksums(bytes: Uint8Array): Uint8Array {
  const out = Buffer.from(bytes);
  for (let at = nextMagic(out, 0); at >= 0; at = nextMagic(out, at + 1)) {
    const header = out.subarray(at, at + BATCH_HEADER_BYTES);
    if (header.length < BATCH_HEADER_BYTES) break;
    const start = at + BATCH_HEADER_BYTES;
    const payload = out.subarray(start, start + header.readUInt32LE(32));
    header.writeUInt32LE(crc32c(payload), 36);
    header.writeUInt32LE(crc32c(header.subarray(0, 44)), 44);
  }
  return out;
}

/** Opens a log with one segment. What is in it after that is what was read of it, and stays so. */
async function takeSegment(bytes: Buffer, seal: () => Seal): Promise<void> {
  const disk = new MemoryDisk(REAL_CLOCK);
  await disk.writeFileAtomic('wal/head', HEAD);
  await disk.writeFileAtomic(segmentPath(1), bytes);
  const open = async () => {
    const records: unknown[] = [];
    const health = new DiskHealth(disk, REAL_CLOCK);
    const options = { ...WAL_TEST_OPTIONS, seal: seal(), health };
    const { wal, recovery } = await openWal(disk, REAL_CLOCK, options, (stream, payload, at) => {
      records.push([stream, Buffer.from(payload).toString('hex'), at]);
    });
    await wal?.close();
    return { records: shown(records), damage: recovery.damage };
  };
  const first = await open();
  const second = await open();
  if (first.records !== second.records || (first.damage === null) !== (second.damage === null)) {
    throw new Broken(`it read ${first.records}, and then ${second.records}`);
  }
}

const META = {
  ...{ snapshotId: 'abc', lastIncludedIndex: 9, lastIncludedTerm: 2, clockBound: 7 },
  config: { voters: ['n1:1' as never], votersOld: null, learners: [] },
};

function snapshot(): Buffer {
  const encoder = new SnapshotEncoder();
  const row = (key: string, value: string) => [key, Buffer.from(value)] as const;
  return Buffer.concat([
    encoder.head(META),
    encoder.block([row('a', '1'), row('b', '')] as never),
    encoder.block([row('c', 'x'.repeat(100))] as never),
    encoder.seal(),
  ]);
}

const FRAME_BYTES = 16;

/** The checksum of each frame, and the totals of the seal. */
function withFrameChecksums(bytes: Uint8Array): Uint8Array {
  const out = Buffer.from(bytes);
  let crc = 0;
  for (let at = 0; at + FRAME_BYTES <= out.length; ) {
    const frame = out.subarray(at, at + FRAME_BYTES + out.readUInt32LE(at + 4));
    if (frame.toString('latin1', 0, 4) === 'MKSF' && frame.length === FRAME_BYTES + 12) {
      frame.writeUInt32LE(crc, FRAME_BYTES + 8);
    }
    const body = frame.subarray(FRAME_BYTES);
    frame.writeUInt32LE(extendCrc32c(crc32c(frame.subarray(0, 12)), body), 12);
    crc = extendCrc32c(crc, frame);
    at += frame.length;
  }
  return out;
}

async function fileOf(disk: MemoryDisk, bytes: Uint8Array): Promise<DiskFile> {
  await disk.writeFileAtomic('f', bytes);
  return (await disk.openToRead('f')) as DiskFile;
}

async function takeSnapshot(bytes: Buffer): Promise<void> {
  const disk = new MemoryDisk(REAL_CLOCK);
  const { intactBytes, isComplete } = await checkSnapshot(await fileOf(disk, bytes), 'abc');
  if (intactBytes > bytes.length) throw new Broken('more is intact than there is');
  if (isComplete) {
    const rows = new SnapshotRows(await fileOf(disk, bytes));
    while ((await rows.next(2)).length > 0);
    return;
  }
  // A transfer goes on behind what is intact.
  const kept = await checkSnapshot(await fileOf(disk, bytes.subarray(0, intactBytes)), 'abc');
  if (kept.intactBytes !== intactBytes) throw new Broken('what is intact is not, without the rest');
}

async function sealedBytes(plain: Uint8Array): Promise<Uint8Array> {
  const disk = new MemoryDisk(REAL_CLOCK);
  const file = await sealedDisk(disk, 'blobs').open('f');
  await file.write(0, plain);
  return (await disk.readFile('f')) as Uint8Array;
}

const PLAIN = Buffer.alloc(5000, 'plain text ');

/** What opens is a beginning of what was sealed, whatever was done to it. */
async function takeSealed(bytes: Buffer): Promise<void> {
  const disk = new MemoryDisk(REAL_CLOCK);
  await disk.writeFileAtomic('f', bytes);
  const file = (await sealedDisk(disk, 'blobs').openToRead('f')) as DiskFile;
  const size = await file.size();
  const found = Buffer.from(await file.read(0, PLAIN.length + OVERHEAD_BYTES));
  if (!found.equals(PLAIN.subarray(0, found.length))) throw new Broken('other bytes came out');
  if (size < found.length) throw new Broken('it holds more than its size');
}

const AUDIT = {
  ...{ seq: 1, at: '2026-11-23T00:00:00.000Z', node: 'n1', who: 'key:abc', from: '127.0.0.1' },
  ...{ action: 'admin:write', resource: 'POST /admin/keys', status: 201, requestId: 'r-1' },
};
const HASH = ',"hash":"';

function withLineHash(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString('utf8');
  const at = text.lastIndexOf(HASH);
  const head = at < 0 ? text : text.slice(0, at);
  const hash = createHash('sha256').update(head).digest('hex');
  return Buffer.from(`${head}${HASH}${hash}"}`);
}

const isNothing = () => false;

export const FILE_TARGETS: readonly DecoderTarget[] = [
  {
    name: 'WAL segment',
    seeds: [segment(null)],
    repair: withBatchChecksums,
    take: (bytes) => takeSegment(bytes, () => null),
    // A payload whose checksum holds and that has no whole records was written wrong: the node stops.
    isRefusal: (error) => error instanceof InvariantViolation,
  },
  {
    name: 'sealed WAL segment',
    seeds: [segment(batchSeal())],
    repair: withBatchChecksums,
    take: (bytes) => takeSegment(bytes, () => batchSeal()),
    isRefusal: isNothing,
  },
  {
    name: 'WAL head',
    seeds: [HEAD],
    repair: (bytes) => {
      const body = Buffer.from(bytes).subarray(8);
      return Buffer.concat([Buffer.from(crcHex(body)), body]);
    },
    take: async (bytes) => {
      const disk = new MemoryDisk(REAL_CLOCK);
      await disk.writeFileAtomic('wal/head', bytes);
      const head = await loadHead(disk);
      if (typeof head === 'string') return;
      const numbers = [head.firstSequence, head.firstPosition, head.syncedPosition];
      if (!numbers.every((n) => Number.isSafeInteger(n) && n >= 0)) {
        throw new Broken(`a head of ${shown(numbers)}`);
      }
    },
    isRefusal: isNothing,
  },
  {
    name: 'snapshot',
    seeds: [snapshot()],
    repair: withFrameChecksums,
    take: takeSnapshot,
    isRefusal: isDamage,
  },
  {
    name: 'sealed file',
    seeds: [await sealedBytes(PLAIN), await sealedBytes(PLAIN.subarray(0, 100))],
    take: takeSealed,
    isRefusal: isDamage,
  },
  {
    name: 'audit line',
    seeds: [
      Buffer.from(sealed(AUDIT, '0'.repeat(64)).line.trimEnd()),
      Buffer.from(sealed({ ...AUDIT, seq: 2 }, 'f'.repeat(64)).line.trimEnd()),
    ],
    repair: withLineHash,
    words: ['"seq":', '{', '}', '"at":', 'null', HASH],
    take: (bytes) => {
      const text = bytes.toString('utf8');
      new TrailChecker().add(text, 'f', 1);
      const read = readLine(text);
      if (read === null) return;
      checkAgain(
        read,
        ({ record, prev }) => sealed(record, prev).line.trimEnd(),
        (again) => {
          const found = readLine(again.toString('utf8'));
          if (found === null) throw new Broken('the line of a record is none');
          // Names that nobody writes change the hash, and are not written again.
          return { ...found, hash: read.hash };
        },
      );
    },
    isRefusal: isNothing,
  },
  {
    name: 'chunk header',
    seeds: [
      encodeHeader({
        name: { data: 'ab'.repeat(16) as never, number: 3 },
        sum: { bytes: 70_000, crc: 5 },
        blockCrcs: [1, 2],
      }),
    ],
    repair: (bytes) => {
      if (bytes.length !== HEADER_BYTES) return bytes;
      const page = Buffer.from(bytes);
      page.writeUInt32LE(0, 40);
      page.writeUInt32LE(crc32c(page), 40);
      return page;
    },
    take: (bytes) => {
      const header = decodeHeader(bytes);
      if (typeof header === 'string') return;
      checkAgain(header, encodeHeader, (page) => {
        const again = decodeHeader(page);
        if (typeof again === 'string') throw new Broken(again);
        return again;
      });
    },
    isRefusal: isNothing,
  },
];
