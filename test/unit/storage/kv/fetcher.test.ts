import { describe, expect, it } from 'vitest';
import { Fetcher } from '../../../../storage/kv/fetcher.ts';
import type { KvEngine } from '../../../../storage/ports.ts';

type Rows = (Uint8Array | null)[];

/** An engine whose calls the test answers, and a clock whose turns it takes. */
class World {
  readonly calls: { keys: readonly string[]; resolve: (rows: Rows) => void; reject: () => void }[] =
    [];
  readonly #soon: (() => void)[] = [];
  readonly #engine: Partial<KvEngine> = {
    getMany: (keys) =>
      new Promise((resolve, reject) =>
        this.calls.push({ keys, resolve, reject: () => reject(new Error('damaged')) }),
      ),
  };
  readonly fetcher = new Fetcher(this.#engine as KvEngine, {
    soon: (run) => void this.#soon.push(run),
  });

  turn(): void {
    for (const run of this.#soon.splice(0)) run();
  }
}

describe('Fetcher', () => {
  it('asks once for what gathered in a turn, at most 64 rows in a call and two calls at a time', async () => {
    const world = new World();
    const rows = new Map<string, Uint8Array | null | undefined>();
    for (let i = 0; i < 200; i++) world.fetcher.fetch(`${i}`, (row) => rows.set(`${i}`, row));
    expect(world.calls).toHaveLength(0);
    for (let i = 0; i < 5; i++) world.turn();
    expect(world.calls.map(({ keys }) => keys.length)).toEqual([64, 64]);
    for (let at = 0; at < 4; at++) {
      const { keys, resolve } = world.calls[at] as World['calls'][0];
      resolve(keys.map((key) => (Number(key) % 2 === 0 ? Buffer.from(key) : null)));
      await Promise.resolve();
      await Promise.resolve();
      world.turn();
    }
    expect(world.calls.map(({ keys }) => keys.length)).toEqual([64, 64, 64, 8]);
    expect(rows.size).toBe(200);
    for (const [key, row] of rows) {
      expect(row === null ? null : String(row)).toBe(Number(key) % 2 === 0 ? key : null);
    }
  });

  it('says of rows that could not be read that they are not known, and goes on', async () => {
    const world = new World();
    const told: unknown[] = [];
    world.fetcher.fetch('a', (row) => told.push(row));
    world.turn();
    world.calls[0]?.reject();
    await new Promise((resolve) => setImmediate(resolve));
    world.fetcher.fetch('b', (row) => told.push(row));
    world.turn();
    world.calls[1]?.resolve([null]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual([undefined, null]);
  });
});
