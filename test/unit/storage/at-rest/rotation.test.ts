import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../cli/system-clock.ts';
import { type ChunkName, chunkText } from '../../../../protocol/blob.ts';
import { type Random, randomInt, seededRandom } from '../../../../protocol/random.ts';
import { FolderKeys } from '../../../../storage/at-rest/folder-keys.ts';
import { valuesPlace } from '../../../../storage/at-rest/places.ts';
import { SealedEngine } from '../../../../storage/at-rest/sealed-engine.ts';
import { openClassicEngine } from '../../../../storage/kv/classic-engine.ts';
import { MemtableStore } from '../../../../storage/kv/state-store.ts';
import { bytesOf, chunkOf, expectSame, get, KIB, put } from '../../../conformance/blob-store.ts';
import {
  cursorOf,
  GROUP,
  metaOf,
  readAll,
  someRows,
  textRows,
} from '../../../conformance/snapshot-store.ts';
import { record, synced } from '../../../conformance/wal.ts';
import { temporaryFolder } from '../../../kit/engines.ts';
import { SealedMachine } from '../../../kit/sealed-machine.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';

const SEEDS = 10;
const LIVES = 5;
/** Where a crash is wanted; null: between two rounds, or when all is done. */
const AIMS = ['log', 'values', 'chunks', 'snapshots', null] as const;
const clock = systemClock({ holdOpen: true });
const T0 = 1_800_000_000_000;

type Life = Awaited<ReturnType<SealedMachine['open']>>;

/** What has to be there after a crash. */
class Model {
  readonly logged: string[] = [];
  acked = 0;
  /** By row: its last value, and the one that is durable at least. */
  readonly rows = new Map<string, { last: number; durable: number }>();
  readonly chunks = new Map<string, { name: ChunkName; bytes: Uint8Array; isSealed: boolean }>();
  readonly removed = new Set<string>();
  readonly snapshots = new Set<string>();
  /** Highest number of a data key that was reported. */
  dataKey = 1;
}

const ROWS = 600;
const rowOf = (n: number) => `\x00\x01\x00\x01cdefault\x00kv\x00k${n % ROWS}`;

async function logWork({ wal, clock }: Life, model: Model, random: Random): Promise<never> {
  for (;;) {
    model.logged.push(`${model.logged.length} ${'x'.repeat(randomInt(random, 0, 300))}`);
    wal.append([record(1, model.logged.at(-1)!)]);
    const reached = model.logged.length;
    await synced(wal);
    model.acked = reached;
    if (random.next() < 0.3) await pause(clock, random.next() * 50);
  }
}

async function stateWork({ store, clock }: Life, model: Model, random: Random): Promise<never> {
  for (;;) {
    const key = rowOf(randomInt(random, 0, ROWS - 1));
    const row = model.rows.get(key) ?? { last: 0, durable: 0 };
    model.rows.set(key, row);
    row.last++;
    store.write([
      {
        key,
        value: Buffer.from(`${row.last} of ${key}${' '.repeat(row.last % 2 === 0 ? 0 : 300)}`),
      },
    ]);
    if (random.next() < 0.1) await pause(clock, random.next() * 20);
    if (random.next() > 0.01) continue;
    const floors = [...model.rows].map(([, each]) => [each, each.last] as const);
    await store.flush();
    for (const [each, last] of floors) each.durable = Math.max(each.durable, last);
  }
}

async function chunkWork({ blobs }: Life, model: Model, random: Random): Promise<never> {
  for (;;) {
    const known = [...model.chunks.values()];
    if (random.next() < 0.2 && known.length > 3) {
      const { name } = known[randomInt(random, 0, known.length - 1)]!;
      model.removed.add(chunkText(name));
      await blobs.remove([name]);
      continue;
    }
    const number = model.chunks.size;
    const name = chunkOf(T0 + number * 20_000, number % 3, number);
    const bytes = bytesOf(randomInt(random, 0, 150) * KIB + 7, number);
    const chunk = { name, bytes, isSealed: false };
    model.chunks.set(chunkText(name), chunk);
    await put(blobs, name, bytes, 64 * KIB);
    chunk.isSealed = true;
  }
}

async function snapshotWork({ snapshots, clock }: Life, model: Model): Promise<never> {
  for (;;) {
    const id = `s${model.snapshots.size}-${Math.floor(clock.monotonicMs())}`;
    await snapshots.create(GROUP, metaOf(id), cursorOf(someRows(200, 300)));
    model.snapshots.add(id);
    await pause(clock, 400);
  }
}

function pause(clock: Life['clock'], ms: number): Promise<void> {
  return new Promise((resolved) => void clock.after(ms, resolved));
}

async function check(life: Life, model: Model): Promise<void> {
  expect(life.recovery.damage).toBeNull();
  expect(life.logged).toEqual(model.logged.slice(0, life.logged.length));
  expect(life.logged.length).toBeGreaterThanOrEqual(model.acked);
  model.logged.length = life.logged.length;
  model.acked = life.logged.length;
  for (const [key, row] of model.rows) {
    const value = life.store.get(key);
    const [number, of] =
      value === null ? [0, key] : Buffer.from(value).toString().trimEnd().split(' of ');
    expect(of).toBe(key);
    expect(Number(number)).toBeGreaterThanOrEqual(row.durable);
    row.last = Number(number);
  }
  const there = new Set<string>();
  for (const { name } of await life.blobs.list(null, 100_000)) {
    expectSame(await get(life.blobs, name!), model.chunks.get(chunkText(name!))!.bytes);
    there.add(chunkText(name!));
  }
  for (const [text, { isSealed }] of model.chunks) {
    if (isSealed && !model.removed.has(text)) expect(there.has(text), text).toBe(true);
    else if (!there.has(text)) model.chunks.get(text)!.isSealed = false;
  }
  for (const id of model.snapshots) {
    expect(await readAll(life.snapshots, id)).toEqual(textRows(someRows(200, 300)));
  }
  expect(life.keys.current).toBeGreaterThanOrEqual(model.dataKey);
}

async function begin(life: Life, model: Model): Promise<void> {
  await life.rotation.begin();
  model.dataKey = life.keys.current;
}

async function settled(time: VirtualTime, { rotation }: Life): Promise<void> {
  for (let i = 0; rotation.status().dataKeys.length > 1; i++) {
    if (i > 3_000) throw new Error(`it does not end: ${JSON.stringify(rotation.status())}`);
    await time.pass(50);
  }
}

async function runSeed(seed: number, at: Set<string>): Promise<number> {
  const time = new VirtualTime(seed);
  const random = seededRandom(seed, 'workload');
  const machine = new SealedMachine(time, seed);
  const model = new Model();
  for (let number = 0; number < LIVES; number++) {
    const life = await time.until(machine.open());
    await time.until(check(life, model));
    logWork(life, model, random);
    stateWork(life, model, random);
    chunkWork(life, model, random);
    snapshotWork(life, model);
    await time.pass(random.next() * 200);
    begin(life, model).catch(() => {}); // the last one may not be at its end
    const aim = AIMS[(seed + number) % AIMS.length];
    for (let i = 0; i < 150 && life.rotation.status().at !== aim; i++) await time.pass(5);
    await time.pass(random.next() * 8);
    at.add(life.rotation.status().at ?? life.rotation.status().state);
    life.end();
    if (random.next() < 0.6) machine.disk.crash();
    else machine.disk.processDied();
    if (random.next() < 0.6) machine.engines.crash();
    else machine.engines.processDied();
  }
  const last = await time.until(machine.open());
  await time.until(check(last, model));
  if (last.keys.numbers.length === 1) await time.until(begin(last, model));
  const newest = last.keys.current;
  await settled(time, last);
  await time.until(last.store.close());
  await time.until(last.wal.close());
  last.end();
  machine.disk.processDied();
  machine.engines.processDied();
  // Another life has only the newest key, and all is there.
  const after = await time.until(machine.open());
  expect(after.keys.numbers).toEqual([newest]);
  await time.until(check(after, model));
  expect(await time.until(machine.underOldKeys(after.clock, after.keys))).toEqual([]);
  return newest;
}

describe('another data key', () => {
  it('whatever crashes when, nothing is lost, and in the end nothing is under the old key', async () => {
    const at = new Set<string>();
    let rotations = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      rotations += await runSeed(seed, at).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error });
      });
    }
    // The run is void when crashes never met a rotation in each of its places.
    expect([...at].sort()).toEqual(
      expect.arrayContaining(['chunks', 'idle', 'log', 'snapshots', 'values']),
    );
    expect(rotations).toBeGreaterThan(2 * SEEDS);
  }, 240_000);

  it('is refused while an older one is still needed', async () => {
    const time = new VirtualTime(1);
    const machine = new SealedMachine(time, 1);
    const life = await time.until(machine.open());
    expect(life.rotation.status()).toMatchObject({ dataKey: 1, dataKeys: [1], state: 'idle' });
    await time.until(life.rotation.begin());
    expect(life.rotation.status()).toMatchObject({
      dataKey: 2,
      dataKeys: [1, 2],
      state: 'resealing',
    });
    await expect(time.until(life.rotation.begin())).rejects.toThrow('not at its end');
    await settled(time, life);
    expect(await time.until(life.rotation.begin())).toBe(3);
  });

  it('waits for a chunk that is being written under the old one, and for one that does not open', async () => {
    const time = new VirtualTime(2);
    const machine = new SealedMachine(time, 2);
    const life = await time.until(machine.open());
    const [first, second] = [chunkOf(T0, 1), chunkOf(T0 + 1, 2)];
    const writer = await time.until(life.blobs.create(first));
    await time.until(writer.write(bytesOf(100, 1)));
    await time.until(life.rotation.begin());
    await time.pass(5_000);
    expect(life.rotation.status()).toMatchObject({ dataKeys: [1, 2], state: 'waiting' });
    await time.until(writer.seal(null));
    await settled(time, life);
    expectSame(await time.until(get(life.blobs, first)), bytesOf(100, 1));
    // Damage is left to those who mend it.
    await time.until(put(life.blobs, second, bytesOf(100, 2)));
    const path = machine.disk.paths().find((each) => each.endsWith(chunkText(second)))!;
    const file = await time.until(machine.disk.session(life.clock).open(path));
    const size = await time.until(file.size());
    await time.until(file.write(size - 1, new Uint8Array([7])));
    await time.until(life.rotation.begin());
    await time.pass(5_000);
    const status = life.rotation.status();
    expect(status).toMatchObject({ dataKeys: [2, 3], places: { chunks: { damaged: 1 } } });
    await time.until(life.blobs.setAside(second));
    await settled(time, life);
    expect(life.keys.numbers).toEqual([3]);
  });

  it('leaves nothing of the old one in the files of the engine, also of what was overwritten', async () => {
    const folder = await temporaryFolder();
    const classic = await openClassicEngine(folder, { bootId: 'boot-1', clock });
    const keys = new FolderKeys(new Map([[1, new Uint8Array(32).fill(1)]]));
    const engine = new SealedEngine(classic, keys, { random: seededRandom(1, 'life'), clock });
    const store = new MemtableStore(engine, clock, {
      ...{ memtableBytes: 64 * KIB, memtableAgeMs: 20, mayWrite: () => true },
      onFatal: (error) => {
        throw error;
      },
    });
    for (let n = 0; n < 3_000; n++) {
      store.write([{ key: rowOf(n), value: bytesOf(300, n) }]);
    }
    store.write([{ key: rowOf(1), value: null }]);
    await store.flush();
    // Form, number of the key, and what the life drew: as each row begins.
    const front = Buffer.from(classic.get(rowOf(0))!.subarray(0, 15));
    expect(await filesWith(folder, front)).not.toEqual([]);
    keys.add(2, new Uint8Array(32).fill(2));
    const walk = await valuesPlace(store, engine).walk();
    let resealed = 0;
    for (let step = await walk.step(); step !== null; step = await walk.step()) {
      resealed += step.resealed;
      await new Promise((resolved) => setTimeout(resolved, 1));
    }
    expect(resealed).toBe(ROWS - 1);
    expect(await filesWith(folder, front)).toEqual([]);
    expect(store.get(rowOf(1))).toBeNull();
    expectSame(store.get(rowOf(0))!, bytesOf(300, 2_400));
    await store.close();
  });
});

async function filesWith(folder: string, bytes: Buffer): Promise<string[]> {
  const names = await readdir(folder);
  const files = await Promise.all(
    names.map((name) => readFile(join(folder, name)).catch(() => Buffer.alloc(0))),
  );
  return names.filter((_, i) => files[i]!.includes(bytes));
}
