import { describe, expect, it } from 'vitest';
import { type Random, randomInt, seededRandom } from '../../../../protocol/random.ts';
import type { Wal } from '../../../../storage/ports.ts';
import { reopen } from '../../../conformance/wal.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';
import { SimDisk } from '../../../sim/sim-disk.ts';

/** Lives of one machine per seed; each ends with a crash at a random instant. */
const SEEDS = 150;
const LIVES = 8;

/** What must be true of the WAL so far. */
class Model {
  /** Texts by record number; those before `ackedCount` were synced or recovered. */
  readonly records: string[] = [];
  ackedCount = 0;
  /** Records below it may have been dropped. */
  droppableCount = 0;
  readonly ends: number[] = [];
}

/** Appends, syncs and drops until time is up. */
async function work(wal: Wal, model: Model, random: Random, life: number): Promise<never> {
  for (;;) {
    const count = randomInt(random, 1, 5);
    for (let i = 0; i < count; i++) {
      const number = model.records.length;
      const length = random.next() < 0.05 ? 3000 : randomInt(random, 0, 500);
      const text = `${number}:${life}:${'abcdefgh'[number % 8]!.repeat(length)}`;
      model.records.push(text);
      model.ends.push(wal.append([{ stream: number % 5, payload: Buffer.from(text) }]));
    }
    const reached = model.records.length;
    await new Promise<void>((resolved, rejected) => {
      wal.sync((error) => (error === null ? resolved() : rejected(error)));
    });
    model.ackedCount = reached;
    if (random.next() < 0.1) {
      const keep = randomInt(random, model.droppableCount, model.ackedCount);
      model.droppableCount = keep;
      if (keep > 0) await wal.dropBefore(model.ends[keep - 1]!);
    }
    if (random.next() < 0.2) await new Promise<void>((r) => setTimeoutIn(wal, random, r));
  }
}

const clocks = new WeakMap<Wal, (delayMs: number, run: () => void) => void>();

function setTimeoutIn(wal: Wal, random: Random, run: () => void): void {
  clocks.get(wal)!(random.next() * 20, run);
}

function checkRecovered(model: Model, seen: readonly { text: string; stream: number }[]): void {
  const first = seen.length === 0 ? model.records.length : Number.parseInt(seen[0]!.text, 10);
  const start = seen.length === 0 ? Math.min(model.droppableCount, model.ackedCount) : first;
  expect(start).toBeLessThanOrEqual(model.droppableCount);
  const end = start + seen.length;
  expect(end).toBeGreaterThanOrEqual(model.ackedCount);
  expect(seen.map(({ text }) => text)).toEqual(model.records.slice(start, end));
  seen.forEach(({ stream }, i) => {
    expect(stream).toBe((start + i) % 5);
  });
  model.records.length = end;
  model.ends.length = end;
  model.ackedCount = end;
}

async function runSeed(seed: number): Promise<number> {
  const time = new VirtualTime(seed);
  const random = seededRandom(seed, 'workload');
  const model = new Model();
  const disk = new SimDisk(time.process().clock, seededRandom(seed, 'disk'), {});
  let torn = 0;
  for (let life = 0; life < LIVES; life++) {
    const process = time.process();
    disk.faults.syncErrorRate = random.next() < 0.2 ? 0.02 : 0;
    const session = disk.session(process.clock);
    const opening = reopen(session, process.clock);
    if (random.next() < 0.15) await time.pass(random.next() * 4);
    else {
      const opened = await time.until(opening).catch((error: { code: string }) => {
        expect(error.code).toBe('EIO');
        return null;
      });
      if (opened !== null) {
        expect(opened.recovery.damage).toBeNull();
        if (opened.recovery.tornBytes > 0) torn++;
        checkRecovered(model, opened.seen);
        clocks.set(opened.wal!, process.clock.after);
        work(opened.wal!, model, random, life).catch((error: { code: string }) => {
          expect(error.code).toBe('EIO');
        });
        await time.pass(random.next() * 120);
      }
    }
    opening.catch(() => {}); // it may fail in the life that ends here
    process.end();
    if (random.next() < 0.7) disk.crash();
    else disk.processDied();
  }
  return torn;
}

describe('WAL crashes', () => {
  it('F08 F09 F10 F14 B14 synced records come back whole and in order, cut ones never do', async () => {
    let torn = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      try {
        torn += await runSeed(seed);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    // The run is void when the crashes never hit a write.
    expect(torn).toBeGreaterThan(SEEDS / 10);
  }, 120_000);
});
