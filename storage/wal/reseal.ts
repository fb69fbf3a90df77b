import type { Clock } from '../../protocol/clock.ts';
import type { BatchSeal } from '../at-rest/batch-seal.ts';
import { type Disk, DiskError } from '../disk/port.ts';
import { segmentPath, WAL_FOLDER } from './head.ts';
import { BATCH_HEADER_BYTES, readHeader, resealBatch } from './record.ts';
import type { Segment } from './wal.ts';

const SCRATCH = `${WAL_FOLDER}/resealed`;
/** Sealed, or written, between two turns of the event loop. */
const BYTES_PER_TURN = 512 * 1024;

export interface ResealParts {
  readonly disk: Disk;
  readonly clock: Pick<Clock, 'soon'>;
  readonly walId: Uint8Array;
  readonly seal: BatchSeal;
}

/**
 * Writes a complete segment anew, in place of itself, with every batch under the data key that seals now; what lay
 * behind its last batch is zeros then. False: it was so already. A crash leaves the one or the other. Nobody else
 * may write to the segment, or remove it. Rejects with EBADMSG when a batch does not open, or the batches do not reach to
 * where the next segment begins, and leaves it as it is: what lies behind damage proves that something is missing.
 */
export async function resealSegment(
  { disk, clock, walId, seal }: ResealParts,
  { sequence, firstPosition }: Segment,
  endPosition: number,
): Promise<boolean> {
  const path = segmentPath(sequence);
  const bytes = await contentOf(disk, path);
  let isChanged = false;
  let offset = 0;
  let since = 0;
  while (firstPosition + offset !== endPosition) {
    const header = readHeader(bytes, offset, walId);
    const isBatch = header?.position === firstPosition + offset && header.recordCount > 0;
    const resealed = isBatch ? resealBatch(bytes, offset, header, { walId, seal }) : null;
    if (header === null || resealed === null) {
      throw new DiskError('EBADMSG', `a batch of ${path} is damaged, or does not open`);
    }
    isChanged ||= resealed;
    const length = BATCH_HEADER_BYTES + header.payloadBytes;
    offset += length;
    since += length;
    if (since < BYTES_PER_TURN) continue;
    since = 0;
    await new Promise<void>((resolved) => clock.soon(resolved));
  }
  if (!isChanged) return false;
  const marker = readHeader(bytes, offset, walId);
  const isMarked = marker?.recordCount === 0 && marker.position === firstPosition + offset;
  bytes.fill(0, isMarked ? offset + BATCH_HEADER_BYTES : offset);
  await writeWhole(disk, bytes).catch(async (error: unknown) => {
    // What is there of it takes room, which may be just what is missing.
    await disk.remove(SCRATCH).catch(() => {});
    throw error;
  });
  await disk.place(SCRATCH, path);
  return true;
}

async function writeWhole(disk: Disk, bytes: Buffer): Promise<void> {
  const file = await disk.create(SCRATCH);
  try {
    for (let at = 0; at < bytes.length; at += BYTES_PER_TURN) {
      await file.write(at, bytes.subarray(at, at + BYTES_PER_TURN));
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

async function contentOf(disk: Disk, path: string): Promise<Buffer> {
  const file = await disk.open(path);
  try {
    return Buffer.from(await file.read(0, await file.size())); // a copy, to be changed
  } finally {
    await file.close();
  }
}
