import { describe, expect, it } from 'vitest';
import type { ScrubPace } from '../../../../actors/blob/scrub-plan.ts';
import type { GroupSight } from '../../../../actors/blob/sweep.ts';
import { type ChunkName, chunkText } from '../../../../protocol/blob.ts';
import type { CareProgress } from '../../../../protocol/chunk-care.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { revisionAtWallMs } from '../../../../protocol/revision.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { HEADER_BYTES } from '../../../../storage/blob/format.ts';
import { bytesOf, expectSame, get } from '../../../conformance/blob-store.ts';
import { CHUNK, Kept } from '../../../kit/kept-node.ts';

const DAY_MS = LIMITS.objectDataAgeMsMax;
const PACE: ScrubPace = {
  ...{ periodMs: 60_000, bytesPerSecondMin: 1e6, bytesPerSecondMax: 1e9 },
};

describe('the keeper', () => {
  it('F13 brings every chunk that its groups name to a disk that lacks them', async () => {
    const kept = new Kept();
    const names = [...(await kept.object('a', 250_000)), ...(await kept.object('b', CHUNK))];
    await kept.time.until(kept.own.remove(names));
    const seen = await kept.time.until(kept.keeper.verify());
    expect(seen).toMatchObject({ chunks: 4, missing: 4, mended: 0, verified: 0 });
    expect(await kept.files()).toBe(0);
    const repaired = await kept.time.until(kept.keeper.repair());
    expect(repaired).toMatchObject({ chunks: 4, missing: 4, mended: 4, lost: 0 });
    for (const name of names) {
      const length = Math.min(CHUNK, chunkText(name).endsWith('2') ? 50_000 : CHUNK);
      expectSame(await kept.time.until(get(kept.own, name)), bytesOf(length, name.number));
    }
  });

  it('looks for nothing where this node is no member, and counts what nobody has', async () => {
    const kept = new Kept();
    const names = await kept.object('a', CHUNK * 2);
    await kept.time.until(kept.own.remove(names));
    await kept.time.until(kept.other.remove(names.slice(1)));
    kept.isMember = false;
    expect(await kept.time.until(kept.keeper.repair())).toMatchObject({ chunks: 0, missing: 0 });
    kept.isMember = true;
    const repaired = await kept.time.until(kept.keeper.repair());
    expect(repaired).toMatchObject({ chunks: 2, missing: 2, mended: 1, lost: 1 });
  });

  it('F12 mends a damaged chunk from another node; one that nobody else has goes aside', async () => {
    const kept = new Kept();
    const names = await kept.object('a', CHUNK * 2);
    for (const name of names) await kept.damage(name);
    await kept.time.until(kept.other.remove(names.slice(1)));
    expect(await kept.time.until(kept.keeper.verify())).toMatchObject({ verified: 0, damaged: 2 });
    const repaired = await kept.time.until(kept.keeper.repair());
    expect(repaired).toMatchObject({ damaged: 2, mended: 1 });
    expectSame(await kept.time.until(get(kept.own, names[0] as ChunkName)), bytesOf(CHUNK, 0));
    expect(await kept.files()).toBe(1);
    expect((await kept.time.until(kept.disk.list('quarantine/blobs'))).length).toBe(1);
  });

  it('tells how far it is: of so many files, in which phase', async () => {
    const kept = new Kept();
    const names = await kept.object('a', CHUNK * 3);
    await kept.time.until(kept.own.remove(names.slice(2)));
    const seen: CareProgress<object>[] = [];
    const keep = (progress: CareProgress<object>): void => {
      seen.push(progress);
      expect(progress).toMatchObject({ phase: 'counting', looked: 0, total: null });
    };
    await kept.time.until(kept.keeper.verify(keep));
    const counts = { verified: 2, chunks: 3, missing: 1, mended: 0 };
    expect(seen[0]).toMatchObject({ phase: 'restoring', looked: 2, total: 2, counts });
    await kept.time.until(kept.keeper.repair(keep));
    expect(seen[1]).toMatchObject({ looked: 2, total: 2, counts: { ...counts, mended: 1 } });
    await kept.time.until(kept.keeper.sweep(keep));
    expect(seen[2]).toMatchObject({ phase: 'sweeping', looked: 3, total: 3 });
    const stopping = kept.keeper.verify(keep);
    kept.keeper.stop();
    await expect(kept.time.until(stopping)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('takes away what nothing names once nothing can name it, and nothing else', async () => {
    const kept = new Kept();
    await kept.object('named', CHUNK);
    await kept.object('never', CHUNK * 2, false);
    await kept.object('removed', CHUNK);
    kept.remove('removed');
    const young = await kept.time.until(kept.keeper.sweep());
    expect(young).toMatchObject({ named: 2, young: 2, removed: 0 });
    kept.group.wallMs += DAY_MS + 1_000;
    const old = await kept.time.until(kept.keeper.sweep());
    // What was removed is wanted by reads of the past until its row goes.
    expect(old).toMatchObject({ named: 2, young: 0, unneeded: 2, removed: 2 });
    expect(old.removedBytes).toBe(2 * (CHUNK + HEADER_BYTES));
    expect(await kept.files()).toBe(2);
  });

  it('asks groups that have no replica here, only of what its own would let go', async () => {
    const kept = new Kept();
    const other = 7 as GroupId;
    await kept.object('named', CHUNK);
    const [never] = await kept.object('never', CHUNK, false);
    const [theirs] = await kept.object('theirs', CHUNK, false);
    kept.group.wallMs += DAY_MS + 1_000;
    const sight = (closedMs: number, mapEpoch: number): GroupSight => ({
      ...{ group: other, closedRevision: revisionAtWallMs(closedMs), mapEpoch },
      isNamed: (id) => id === theirs?.data,
    });
    const { epoch } = kept.group.state;
    const nowMs = kept.group.wallMs;
    const answers = [null, sight(nowMs, epoch + 1), sight(nowMs - 2_000, epoch)];
    for (const answer of answers) {
      kept.elsewhere.set(other, answer);
      expect(await kept.time.until(kept.keeper.sweep())).toMatchObject({ removed: 0 });
      expect(kept.asked.splice(0).sort()).toEqual([never?.data, theirs?.data].sort());
    }
    kept.elsewhere.set(other, sight(nowMs, epoch));
    const swept = await kept.time.until(kept.keeper.sweep());
    expect(swept).toMatchObject({ named: 2, removed: 1 });
    await expect(kept.time.until(get(kept.own, never as ChunkName))).rejects.toThrow();
    expectSame(await kept.time.until(get(kept.own, theirs as ChunkName)), bytesOf(CHUNK, 0));
  });

  it('does all of it by itself, in time', async () => {
    const kept = new Kept(PACE);
    const lacked = await kept.object('lacked', CHUNK * 3);
    const [damaged] = await kept.object('damaged', CHUNK);
    await kept.object('never', CHUNK, false);
    await kept.time.until(kept.own.remove(lacked));
    await kept.damage(damaged as ChunkName);
    kept.group.wallMs += DAY_MS + 1_000;
    for (let s = 0; s < 700; s++) {
      kept.keeper.tick();
      await kept.time.pass(1_000);
    }
    kept.keeper.stop();
    expect(kept.mended.map(([, mended]) => mended)).toEqual(Array(4).fill('mended'));
    expect(await kept.files()).toBe(4);
    expectSame(await kept.time.until(get(kept.own, damaged as ChunkName)), bytesOf(CHUNK, 0));
  });

  it('does nothing by itself where it is told not to', async () => {
    const kept = new Kept();
    const names = await kept.object('a', CHUNK);
    await kept.time.until(kept.own.remove(names));
    for (let s = 0; s < 60; s++) {
      kept.keeper.tick();
      await kept.time.pass(1_000);
    }
    expect(kept.mended).toEqual([]);
  });

  it('knows what its groups name, so that a discard cannot take it', async () => {
    const kept = new Kept();
    const [named] = await kept.object('named', CHUNK);
    const [never] = await kept.object('never', CHUNK, false);
    expect(kept.keeper.isKnown((named as ChunkName).data)).toBe(true);
    expect(kept.keeper.isKnown((never as ChunkName).data)).toBe(false);
  });
});
