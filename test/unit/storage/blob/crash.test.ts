import { describe, expect, it } from 'vitest';
import { type ChunkName, chunkText } from '../../../../protocol/blob.ts';
import { type Random, randomInt, seededRandom } from '../../../../protocol/random.ts';
import type { BlobFiles } from '../../../../storage/blob/blob-files.ts';
import {
  bytesOf,
  chunkOf,
  expectSame,
  get,
  KIB,
  openStore,
  put,
} from '../../../conformance/blob-store.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';
import { SimDisk } from '../../../sim/sim-disk.ts';

const SEEDS = 40;
const LIVES = 6;
const T0 = 1_800_000_000_000;

/** What must be there, what may be, what must not. */
class Model {
  readonly sealed = new Set<string>();
  readonly begun = new Map<string, { name: ChunkName; bytes: Uint8Array }>();
  readonly removing = new Set<string>();
}

/** Writes, repeats and removes chunks until time is up. */
async function work(store: BlobFiles, model: Model, random: Random): Promise<never> {
  for (;;) {
    const known = [...model.begun.values()];
    const again = random.next() < 0.3 && known.length > 0;
    const fresh = () => {
      const number = known.length;
      const name = chunkOf(T0 + number * 20_000, number % 3, number);
      return { name, bytes: bytesOf(randomInt(random, 0, 100) * KIB + 7, number) };
    };
    const { name, bytes } = again ? known[randomInt(random, 0, known.length - 1)]! : fresh();
    const text = chunkText(name);
    if (random.next() < 0.15) {
      model.sealed.delete(text);
      model.removing.add(text);
      await store.remove([name]);
      continue;
    }
    model.begun.set(text, { name, bytes });
    if (random.next() < 0.1) {
      const writer = await store.create(name);
      await writer.write(bytes);
      await writer.abandon();
      continue;
    }
    await put(store, name, bytes, 64 * KIB);
    if (!model.removing.has(text)) model.sealed.add(text);
  }
}

async function runSeed(seed: number): Promise<{ cut: number; kept: number }> {
  const time = new VirtualTime(seed);
  const random = seededRandom(seed, 'workload');
  const disk = new SimDisk(time.process().clock, seededRandom(seed, 'disk'), {});
  const model = new Model();
  const seen = { cut: 0, kept: 0 };
  for (let life = 0; life < LIVES; life++) {
    const process = time.process();
    const store = openStore(disk.session(process.clock));
    seen.cut += await time.until(store.clean());
    expect(disk.paths().filter((path) => path.startsWith('blobs/scratch'))).toEqual([]);
    const files = await time.until(store.list(null, 10_000));
    for (const { name } of files) {
      const { bytes } = model.begun.get(chunkText(name!))!;
      expectSame(await time.until(get(store, name!)), bytes);
    }
    const there = new Set(files.map(({ name }) => chunkText(name!)));
    for (const text of model.sealed) expect(there.has(text), text).toBe(true);
    seen.kept += model.sealed.size;
    model.removing.clear();
    for (let i = 0; i < 3; i++) work(store, model, random);
    await time.pass(random.next() * 40);
    process.end();
    if (random.next() < 0.7) disk.crash();
    else disk.processDied();
  }
  return seen;
}

describe('chunks and crashes', () => {
  it('F08 F09 F10 after a crash at any step a chunk is whole or absent, and a sealed one is there', async () => {
    let cut = 0;
    let kept = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const seen = await runSeed(seed).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error });
      });
      cut += seen.cut;
      kept += seen.kept;
    }
    // The run is void when crashes never hit a chunk that was being written.
    expect(cut).toBeGreaterThan(SEEDS);
    expect(kept).toBeGreaterThan(SEEDS * LIVES);
  }, 120_000);

  it('a store that does not sync, or does not wait for the name, loses chunks here', async () => {
    const lost = { unsynced: 0, unplaced: 0 };
    for (let seed = 1; seed <= 40; seed++) {
      for (const mistake of ['unsynced', 'unplaced'] as const) {
        const time = new VirtualTime(seed);
        const disk = new SimDisk(time.process().clock, seededRandom(seed, 'disk'), {});
        const session = disk.session(time.process().clock);
        const create = session.create.bind(session);
        if (mistake === 'unsynced') {
          session.create = async (path) => {
            const file = await create(path);
            file.sync = async () => {};
            return file;
          };
        } else {
          const place = session.place.bind(session);
          session.place = async (from, to) => void place(from, to); // not waited for
          session.create = async (path) => {
            const file = await create(path);
            file.close = async () => {}; // what takes time behind it would be a wait
            return file;
          };
        }
        const name = chunkOf(T0, seed);
        await time.until(put(openStore(session), name, bytesOf(90 * KIB, seed)));
        disk.crash();
        const after = openStore(disk.session(time.process().clock));
        const found = await time.until(get(after, name).catch(() => null));
        if (found === null) lost[mistake]++;
      }
    }
    expect(lost.unsynced).toBeGreaterThan(5);
    expect(lost.unplaced).toBeGreaterThan(5);
  });
});
