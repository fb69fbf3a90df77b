import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../protocol/random.ts';
import type { BatchSeal } from '../../../../storage/at-rest/batch-seal.ts';
import { crc32c } from '../../../../storage/checksum.ts';
import { segmentPath } from '../../../../storage/wal/head.ts';
import { BATCH_HEADER_BYTES } from '../../../../storage/wal/record.ts';
import { openAnew, record, synced } from '../../../conformance/wal.ts';
import { batchSeal } from '../../../kit/seals.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';
import { SimDisk } from '../../../sim/sim-disk.ts';

const FIRST = segmentPath(1);
const TEXTS = ['planted one', 'planted two', 'planted three', 'planted four'];

/** A log of four batches that was closed, or not. */
async function written(end: 'closed' | 'open', seal: BatchSeal | null = batchSeal()) {
  const time = new VirtualTime(1);
  const { clock } = time.process();
  const disk = new SimDisk(clock, seededRandom(1, 'disk'), {});
  const { wal } = await time.until(openAnew(disk, clock, seal));
  const offsets: number[] = [];
  for (const text of TEXTS) {
    offsets.push(wal!.position());
    wal!.append([record(1, text)]);
    await time.until(synced(wal!));
  }
  if (end === 'closed') await time.until(wal!.close());
  disk.processDied();
  const overwrite = async (offset: number, bytes: Uint8Array) => {
    const file = await time.until(disk.open(FIRST));
    await time.until(file.write(offset, bytes));
    await time.until(file.sync());
  };
  const content = () => Buffer.from(disk.durableContent(FIRST));
  const reading = (again: BatchSeal | null = batchSeal()) =>
    time.until(openAnew(disk, clock, again));
  return { time, disk, offsets, overwrite, content, reading };
}

type Written = Awaited<ReturnType<typeof written>>;

/** A batch as whoever can write to the disk would leave it: its checksums hold. */
async function forge(log: Written, at: number, change: (batch: Buffer) => void): Promise<void> {
  const whole = log.content();
  const bytes = whole.readUInt32LE(at + 32);
  const batch = Buffer.from(whole.subarray(at, at + BATCH_HEADER_BYTES + bytes));
  change(batch);
  batch.writeUInt32LE(crc32c(batch.subarray(BATCH_HEADER_BYTES)), 36);
  batch.writeUInt32LE(crc32c(batch.subarray(0, 44)), 44);
  await log.overwrite(at, batch);
}

describe('a sealed log', () => {
  it('shows nothing of its records, and gives them back in another life', async () => {
    const log = await written('closed');
    expect(log.content().includes('planted')).toBe(false);
    const { wal, seen, recovery } = await log.reading();
    expect(wal).not.toBeNull();
    expect(recovery).toEqual({ tornBytes: 0, damage: null });
    expect(seen.map(({ text }) => text)).toEqual(TEXTS);
  });

  it('cuts a torn tail, as one in clear: its checksum fails', async () => {
    const log = await written('open');
    await log.overwrite(log.offsets[3]! + BATCH_HEADER_BYTES + 20, Buffer.alloc(8));
    const { wal, seen, recovery } = await log.reading();
    expect(wal).not.toBeNull();
    expect(recovery.damage).toBeNull();
    expect(recovery.tornBytes).toBeGreaterThan(0);
    expect(seen.map(({ text }) => text)).toEqual(TEXTS.slice(0, 3));
  });

  it.each([0, 1, 3])('never cuts batch %i that was changed with its checksums', async (index) => {
    for (const at of [BATCH_HEADER_BYTES, BATCH_HEADER_BYTES + 20, BATCH_HEADER_BYTES + 40]) {
      const log = await written('open');
      await forge(log, log.offsets[index]!, (batch) => {
        batch[at] = (batch[at] as number) ^ 1;
      });
      const before = log.content();
      const { wal, seen, recovery } = await log.reading();
      expect(wal).toBeNull();
      expect(recovery.damage?.reason).toBe('a batch was changed since it was sealed');
      expect(seen.map(({ text }) => text)).toEqual(TEXTS.slice(0, index));
      expect(log.content()).toEqual(before);
    }
  });

  it('takes no batch from another place, with another header, in clear, or of another folder', async () => {
    const moved = await written('open');
    const [first, second] = moved.offsets as [number, number];
    const whole = moved.content();
    await forge(moved, first, (batch) => {
      const bytes = whole.subarray(second + BATCH_HEADER_BYTES, second + batch.length);
      bytes.copy(batch, BATCH_HEADER_BYTES);
    });
    expect((await moved.reading()).recovery.damage?.reason).toContain('changed since');

    const claiming = await written('open');
    await forge(claiming, first, (batch) => batch.writeUInt32LE(2, 40));
    expect((await claiming.reading()).recovery.damage?.reason).toContain('changed since');

    const clear = await written('open', null);
    expect((await clear.reading()).recovery.damage?.reason).toBe('a batch is not sealed');
    expect((await clear.reading(null)).seen.map(({ text }) => text)).toEqual(TEXTS);

    const other = await written('open');
    expect((await other.reading(batchSeal(2))).recovery.damage?.reason).toContain('changed since');
    expect((await other.reading(null)).recovery.damage?.reason).toContain('has no keys');
  });

  it('never seals two batches with the same key and nonce: a place is written again after a crash', async () => {
    const stored = new Set<string>();
    for (let life = 0; life < 20; life++) {
      const log = await written('open');
      const payload = log.content().subarray(BATCH_HEADER_BYTES, log.offsets[1]);
      stored.add(payload.toString('hex', 16));
    }
    expect(stored.size).toBe(20);
  });
});
