import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstMark, nextRound, scrubRate } from '../../../../actors/blob/scrub-plan.ts';
import {
  Scrubber,
  type ScrubberOptions,
  type ScrubFinding,
} from '../../../../actors/blob/scrubber.ts';
import { chunkText } from '../../../../protocol/blob.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import { HEADER_BYTES } from '../../../../storage/blob/format.ts';
import { pathOfChunk } from '../../../../storage/blob/paths.ts';
import { loadMark, saveMark } from '../../../../storage/blob/scrub-mark.ts';
import { DiskError } from '../../../../storage/disk/port.ts';
import type { ScrubMark } from '../../../../storage/ports.ts';
import { bytesOf, chunkOf, KIB, openStore, put } from '../../../conformance/blob-store.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';
import { SimDisk } from '../../../sim/sim-disk.ts';

const HOUR = 3_600_000;
const T0 = 1_800_000_000_000;
const PACE = { periodMs: HOUR, bytesPerSecondMin: 100 * KIB, bytesPerSecondMax: 10_000 * KIB };

async function machine(chunks: number, bytes: number) {
  const time = new VirtualTime(1);
  const { clock } = time.process();
  const disk = new SimDisk(clock, seededRandom(1, 'disk'), {});
  const store = openStore(disk);
  const names = Array.from({ length: chunks }, (_, i) => chunkOf(T0 + i * 50_000, i, i));
  for (const name of names) await time.until(put(store, name, bytesOf(bytes, name.number)));
  const findings: ScrubFinding[] = [];
  const trouble: unknown[] = [];
  const scrubber = (more: Partial<ScrubberOptions> = {}) =>
    new Scrubber({
      ...{ store, clock, pace: PACE, mark: firstMark(clock.wallMs()) },
      onFinding: async (finding) => void findings.push(finding),
      save: (mark) => saveMark(disk, mark),
      onTrouble: (error) => trouble.push(error),
      ...more,
    });
  return { time, clock, disk, store, names, findings, trouble, scrubber };
}

const said = (finding: ScrubFinding) =>
  finding.state === 'foreign' ? finding.path : `${finding.state} ${chunkText(finding.name)}`;

describe('the scrubber', () => {
  it('F12 finds every chunk once in a round: good, damaged, and what is not ours', async () => {
    const { time, disk, names, findings, trouble, scrubber } = await machine(20, 150 * KIB);
    disk.flip(pathOfChunk(names[3]!), HEADER_BYTES + 100_000, 8);
    disk.flip(pathOfChunk(names[11]!), 3, 8);
    await time.until(disk.writeFileAtomic('blobs/chunks/000000/notes.txt', Buffer.from('x')));
    const strayed = `blobs/chunks/000000/000/${chunkText(names[5]!)}`;
    await time.until(disk.rename(pathOfChunk(names[5]!), strayed));
    const one = scrubber();
    one.start();
    await time.pass(HOUR / 2);
    await time.until(one.stop());
    const expected = names.flatMap((name, i) =>
      i === 5 ? [] : [`${i === 3 || i === 11 ? 'damaged' : 'good'} ${chunkText(name)}`],
    );
    expect(findings.map(said).sort()).toEqual(
      [...expected, 'blobs/chunks/000000/notes.txt', strayed].sort(),
    );
    expect(trouble).toEqual([]);
  });

  it('keeps to its rate, and does a round in its period', async () => {
    const { time, clock, names, findings, scrubber } = await machine(40, 250 * KIB);
    const one = scrubber({ pace: { ...PACE, periodMs: 60_000, bytesPerSecondMax: 1_000 * KIB } });
    one.start();
    await time.pass(9_000); // 10 MB at 1 MB/s, the first round
    expect(findings.length).toBeLessThan(names.length);
    await time.pass(45_000);
    expect(findings.length).toBe(names.length);
    const startMs = clock.wallMs();
    await time.pass(60_000); // the second round begins with the second period, and takes its time
    expect(findings.length).toBeGreaterThan(names.length * 1.7);
    await time.pass(60_000 - (clock.wallMs() - startMs - 60_000));
    expect(findings.length).toBeGreaterThanOrEqual(names.length * 2);
    expect(findings.length).toBeLessThanOrEqual(names.length * 3);
    await time.until(one.stop());
  });

  it('goes on where it was after a restart, and begins anew when its mark is damaged', async () => {
    const { time, disk, names, findings, scrubber } = await machine(30, 100 * KIB);
    const slow = { ...PACE, bytesPerSecondMax: 100 * KIB };
    const one = scrubber({ pace: slow });
    one.start();
    await time.pass(12_000);
    await time.until(one.stop());
    const before = findings.length;
    expect(before).toBeGreaterThan(5);
    expect(before).toBeLessThan(25);
    await time.until(saveMark(disk, one.mark));
    const mark = await time.until(loadMark(disk));
    expect(mark).toEqual(one.mark);
    const two = scrubber({ pace: slow, mark: mark as ScrubMark });
    two.start();
    await time.pass(60_000);
    await time.until(two.stop());
    expect(findings.map(said)).toEqual(names.map((name) => `good ${chunkText(name)}`));
    disk.flip('blobs/scrub', 12, 1);
    expect(await time.until(loadMark(disk))).toBeNull();
  });

  it('waits when the disk gives no handles, and tells it', async () => {
    const { time, store, names, findings, trouble, scrubber } = await machine(3, 10);
    const open = store.open.bind(store);
    store.open = async (name) => {
      if (trouble.length < 2) throw new DiskError('EMFILE', 'too many open files');
      return open(name);
    };
    const one = scrubber();
    one.start();
    await time.pass(60_000);
    await time.until(one.stop());
    expect(trouble.length).toBe(2);
    expect(findings.length).toBe(names.length);
  });

  it('does not report what is removed while it looks', async () => {
    const { time, store, names, findings, scrubber } = await machine(5, 10);
    const list = store.list.bind(store);
    store.list = async (after, max) => {
      const files = await list(after, max);
      await store.remove([names[2]!]);
      return files;
    };
    const one = scrubber();
    one.start();
    await time.pass(30_000);
    await time.until(one.stop());
    expect(findings.map(said)).toEqual(
      names.filter((_, i) => i !== 2).map((name) => `good ${chunkText(name)}`),
    );
  });
});

describe('the pace', () => {
  const marks = fc.record({
    after: fc.constant(null),
    roundStartMs: fc.integer({ min: T0 - 10 * HOUR, max: T0 + 10 * HOUR }),
    bytes: fc.nat(1e12),
    lastBytes: fc.option(fc.nat(1e12)),
  });

  it('stays within its bounds, whatever the clock says', () => {
    fc.assert(
      fc.property(marks, (mark) => {
        const rate = scrubRate(mark, PACE, T0);
        expect(rate).toBeGreaterThanOrEqual(PACE.bytesPerSecondMin);
        expect(rate).toBeLessThanOrEqual(PACE.bytesPerSecondMax);
        const { waitMs, next } = nextRound(mark, PACE, T0);
        expect(waitMs).toBeGreaterThanOrEqual(0);
        expect(waitMs).toBeLessThanOrEqual(PACE.periodMs);
        expect(next).toMatchObject({ after: null, bytes: 0, lastBytes: mark.bytes });
      }),
    );
  });

  it('catches up with a round that was held up', () => {
    const mark = { after: null, roundStartMs: T0, bytes: 100e6, lastBytes: 1000e6 };
    const early = scrubRate(mark, PACE, T0 + 0.1 * HOUR);
    expect(scrubRate(mark, PACE, T0 + 0.5 * HOUR)).toBeGreaterThan(early * 1.5);
    const seconds = (0.8 * HOUR) / 1000;
    expect(early * seconds).toBeCloseTo(1000e6, -6);
  });
});
