import { describe, expect, it } from 'vitest';
import { randomInt, seededRandom } from '../../../../protocol/random.ts';
import { MemtableStore } from '../../../../storage/kv/state-store.ts';
import { del, EVERYTHING, put, rowsOf } from '../../../conformance/kv-engine.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';
import { SimEngineStore } from '../../../sim/sim-engine.ts';

const OPTIONS = { memtableBytes: 1500, memtableAgeMs: 100, mayWrite: () => true };

describe('StateStore', () => {
  it('B17 after a power cut the engine holds a prefix of the batches, each whole, and all that were flushed', async () => {
    let lost = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const random = seededRandom(seed, 'workload');
      const time = new VirtualTime(seed);
      const files = new SimEngineStore(seededRandom(seed, 'engine'));
      const process = time.process();
      const store = new MemtableStore(files.open(process.clock), process.clock, {
        ...OPTIONS,
        onFatal: (error) => {
          throw error;
        },
      });
      const states: [string, string][][] = [[]];
      const model = new Map<string, string>();
      let flushed = 0;
      for (let i = 1; i <= 60; i++) {
        const batch = Array.from({ length: randomInt(random, 1, 6) }, () => {
          const key = `k${randomInt(random, 0, 20)}`;
          return random.next() < 0.3 ? del(key) : put(key, `${i}`.repeat(20));
        });
        batch.push(put('applied', `${i}`));
        store.write(batch);
        for (const { key, value } of batch) {
          if (value === null) model.delete(key);
          else model.set(key, value.toString());
        }
        states.push([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
        if (random.next() < 0.1) {
          await time.until(store.flush());
          flushed = i;
        } else await time.pass(random.next() * 8);
      }
      process.end();
      files.crash();
      const reopened = files.open(time.process().clock);
      const snapshot = reopened.snapshot();
      const rows = await rowsOf(snapshot, EVERYTHING, 1000);
      const applied = Number(rows.find(([key]) => key === 'applied')?.[1] ?? 0);
      expect(applied, `seed ${seed}`).toBeGreaterThanOrEqual(flushed);
      expect(rows).toEqual(states[applied]);
      if (applied < 60) lost++;
    }
    expect(lost).toBeGreaterThan(30);
  }, 60_000);

  it('a small memtable reaches the engine when it is old, a large one at once', async () => {
    const time = new VirtualTime(1);
    const { clock } = time.process();
    const engine = new SimEngineStore(seededRandom(1, 'engine')).open(clock);
    const store = new MemtableStore(engine, clock, { ...OPTIONS, onFatal: () => {} });
    store.write([put('a', '1')]);
    await time.pass(90);
    expect(engine.get('a')).toBeNull();
    await time.pass(30);
    expect(engine.get('a')).not.toBeNull();
    expect(store.pendingBytes()).toBe(0);
    store.write([put('b', 'x'.repeat(2000))]);
    expect(store.pendingBytes()).toBeGreaterThan(2000);
    await time.pass(10);
    expect(engine.get('b')).not.toBeNull();
  });

  it('a flush ends also while the engine never catches up with the writes', async () => {
    const time = new VirtualTime(1);
    const { clock } = time.process();
    const engine = new SimEngineStore(seededRandom(1, 'engine')).open(clock);
    const store = new MemtableStore(engine, clock, { ...OPTIONS, onFatal: () => {} });
    let flushed = false;
    let count = 0;
    const write = () => {
      for (let i = 0; i < 20; i++) store.write([put(`k${count++}`, 'x'.repeat(2000))]);
      if (!flushed) clock.after(1, write);
    };
    write();
    void store.flush().then(() => {
      flushed = true;
    });
    await time.pass(1_000);
    expect(flushed).toBe(true);
    expect(engine.get('k0')).not.toBeNull();
  });

  it('F15 a store that is closed while a flush waits for room ends, and that is no failure', async () => {
    const time = new VirtualTime(1);
    const { clock } = time.process();
    const engine = new SimEngineStore(seededRandom(1, 'engine')).open(clock);
    const fatal: unknown[] = [];
    const store = new MemtableStore(engine, clock, {
      ...{ ...OPTIONS, mayWrite: () => false },
      onFatal: (error) => fatal.push(error),
    });
    store.write([put('a', '1')]);
    const flushed = store.flush().catch((error: unknown) => error);
    await time.pass(1_000);
    await time.until(store.close());
    expect(await flushed).toMatchObject({ code: 'ECANCELED' });
    expect(fatal).toEqual([]);
  });

  it('the engine is closed only when a flush under way has ended', async () => {
    const time = new VirtualTime(1);
    const { clock } = time.process();
    const engine = new SimEngineStore(seededRandom(1, 'engine')).open(clock);
    const order: string[] = [];
    engine.flush = () =>
      new Promise((resolved) => {
        clock.after(500, () => {
          order.push('flushed');
          resolved();
        });
      });
    engine.close = async () => void order.push('closed');
    const store = new MemtableStore(engine, clock, { ...OPTIONS, onFatal: () => {} });
    store.write([put('a', '1')]);
    void store.flush();
    await time.pass(200);
    await time.until(store.close());
    expect(order).toEqual(['flushed', 'closed']);
  });

  it('F12 F14 an engine that fails is told once, and nothing is flushed after it', async () => {
    const time = new VirtualTime(1);
    const { clock } = time.process();
    const engine = new SimEngineStore(seededRandom(1, 'engine')).open(clock);
    const fatal: unknown[] = [];
    const store = new MemtableStore(engine, clock, {
      ...OPTIONS,
      onFatal: (error) => fatal.push(error),
    });
    engine.failNextWrite = true;
    store.write([put('a', '1')]);
    await expect(time.until(store.flush())).rejects.toThrow('failed a write');
    store.write([put('b', 'x'.repeat(2000))]);
    await expect(time.until(store.flush())).rejects.toThrow('failed a write');
    expect(fatal.length).toBe(1);
    expect(store.get('a')).not.toBeNull();
    await expect(time.until(store.close())).rejects.toThrow('failed a write');
  });
});
