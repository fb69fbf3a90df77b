import { describe, expect, it } from 'vitest';
import type { SnapshotMeta } from '../../protocol/messages/raft.ts';
import type { GroupId, ReplicaId } from '../../protocol/types.ts';
import type { EngineCursor, EngineRow, SnapshotStore } from '../../storage/ports.ts';

export const GROUP = 3 as GroupId;

export function metaOf(snapshotId: string): Omit<SnapshotMeta, 'totalBytes'> {
  const voters = ['n1:00000001' as ReplicaId];
  return {
    snapshotId,
    lastIncludedIndex: 1234,
    lastIncludedTerm: 5,
    config: { voters, votersOld: null, learners: [] },
    clockBound: 99,
  };
}

export function someRows(count: number, valueBytes: number): EngineRow[] {
  return Array.from({ length: count }, (_, i) => [
    `\xffkey ${String(i).padStart(6, '0')}`,
    new Uint8Array(Buffer.alloc((i * 31) % (valueBytes + 1), i % 251)),
  ]);
}

export function cursorOf(rows: readonly EngineRow[]): EngineCursor {
  let at = 0;
  return {
    next: async (max) => {
      at += max;
      return rows.slice(at - max, at);
    },
    close: async () => {},
  };
}

/** Rows as text: comparing large arrays byte by byte is slow in the test runner. */
export function textRows(rows: readonly EngineRow[]): [string, string][] {
  return rows.map(([key, value]) => [key, Buffer.from(value).toString('latin1')]);
}

export async function readAll(
  store: SnapshotStore,
  snapshotId: string,
): Promise<[string, string][]> {
  const cursor = await store.openRows(GROUP, snapshotId);
  const rows: [string, string][] = [];
  for (let page = await cursor.next(100); page.length > 0; page = await cursor.next(100)) {
    rows.push(...textRows(page));
  }
  await cursor.close();
  return rows;
}

export interface SnapshotHarness {
  /** Two stores over different disks. */
  readonly sender: SnapshotStore;
  readonly receiver: SnapshotStore;
  until<T>(work: Promise<T>): Promise<T>;
}

/** The contract of SnapshotStore (storage/ports.ts). */
export function snapshotStoreConformance(name: string, make: () => Promise<SnapshotHarness>): void {
  const test = (title: string, run: (harness: SnapshotHarness) => Promise<void>) =>
    it(title, async () => {
      const harness = await make();
      await harness.until(run(harness));
    });

  describe(`SnapshotStore over ${name}`, () => {
    test('gives back the rows it was made from', async ({ sender }) => {
      for (const [id, rows] of [
        ['empty', []],
        ['small', someRows(10, 20)],
        ['large', someRows(3000, 1000)],
      ] as const) {
        const meta = await sender.create(GROUP, metaOf(id), cursorOf(rows));
        expect(meta).toEqual({ ...metaOf(id), totalBytes: meta.totalBytes });
        expect(meta.totalBytes).toBeGreaterThan(0);
        expect(await readAll(sender, id)).toEqual(textRows(rows));
      }
    });

    test('travels in chunks, whatever is repeated, lost or early', async ({ sender, receiver }) => {
      const rows = someRows(2000, 600);
      const meta = await sender.create(GROUP, metaOf('s1'), cursorOf(rows));
      let wanted = 0;
      let round = 0;
      while (wanted < meta.totalBytes) {
        const chunk = await sender.readChunk(GROUP, 's1', wanted, 70_000);
        if (round++ % 3 === 0) {
          const early = await sender.readChunk(GROUP, 's1', wanted + 1000, 500);
          expect(await receiver.writeChunk(GROUP, meta, wanted + 1000, early)).toBe(wanted);
        }
        await expect(receiver.openRows(GROUP, 's1')).rejects.toMatchObject({ code: 'ENOENT' });
        const next = await receiver.writeChunk(GROUP, meta, wanted, chunk);
        expect(next).toBe(wanted + chunk.length);
        expect(await receiver.writeChunk(GROUP, meta, wanted, chunk)).toBe(next);
        wanted = next;
      }
      expect(await receiver.writeChunk(GROUP, meta, 0, new Uint8Array(5))).toBe(meta.totalBytes);
      expect(await readAll(receiver, 's1')).toEqual(textRows(rows));
    });

    test('refuses more than was announced, and ids that are no names', async (harness) => {
      const { sender, receiver } = harness;
      const meta = { ...metaOf('s1'), totalBytes: 10 };
      await expect(receiver.writeChunk(GROUP, meta, 0, new Uint8Array(11))).rejects.toMatchObject({
        code: 'EBADMSG',
      });
      for (const id of ['../escape', 'a/b', '', 'x'.repeat(65), 'nul\0']) {
        await expect(sender.openRows(GROUP, id)).rejects.toMatchObject({ code: 'EINVAL' });
        const bad = { ...meta, snapshotId: id };
        await expect(receiver.writeChunk(GROUP, bad, 0, new Uint8Array(1))).rejects.toMatchObject({
          code: 'EINVAL',
        });
      }
    });

    test('finds damage before the first row, and lets the transfer begin anew', async (harness) => {
      const { sender, receiver } = harness;
      const meta = await sender.create(GROUP, metaOf('s1'), cursorOf(someRows(100, 100)));
      const bytes = await sender.readChunk(GROUP, 's1', 0, meta.totalBytes);
      const damaged = new Uint8Array(bytes);
      damaged[1000] = damaged[1000]! ^ 1;
      expect(await receiver.writeChunk(GROUP, meta, 0, damaged)).toBe(meta.totalBytes);
      await expect(receiver.openRows(GROUP, 's1')).rejects.toMatchObject({ code: 'EBADMSG' });
      expect(await receiver.writeChunk(GROUP, meta, 0, bytes)).toBe(meta.totalBytes);
      expect((await readAll(receiver, 's1')).length).toBe(100);
    });

    test('removes one, all but one, or all', async ({ sender }) => {
      for (const id of ['s1', 's2', 's3']) {
        await sender.create(GROUP, metaOf(id), cursorOf(someRows(3, 3)));
      }
      await sender.remove(GROUP, ['s2']);
      await expect(sender.openRows(GROUP, 's1')).rejects.toMatchObject({ code: 'ENOENT' });
      expect((await readAll(sender, 's2')).length).toBe(3);
      await sender.remove(GROUP, []);
      await expect(sender.readChunk(GROUP, 's2', 0, 1)).rejects.toMatchObject({ code: 'ENOENT' });
    });
  });
}
