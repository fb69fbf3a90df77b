import { describe, expect, it } from 'vitest';
import { FetchFailed } from '../../../../actors/blob/fetched.ts';
import { BlobKeeper } from '../../../../actors/blob/keeper.ts';
import { type Mended, Mender } from '../../../../actors/blob/mender.ts';
import type { ScrubPace } from '../../../../actors/blob/scrub-plan.ts';
import type { GroupSight } from '../../../../actors/blob/sweep.ts';
import {
  type ChunkName,
  chunkText,
  type DataId,
  dataIdBytes,
  makeDataId,
} from '../../../../protocol/blob.ts';
import type { CareProgress } from '../../../../protocol/chunk-care.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { NO_CONDITION, type ObjectOp } from '../../../../protocol/object-ops.ts';
import { NO_HEAD } from '../../../../protocol/objects.ts';
import { revisionAtWallMs } from '../../../../protocol/revision.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { HEADER_BYTES } from '../../../../storage/blob/format.ts';
import { pathOfChunk } from '../../../../storage/blob/paths.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';
import type { BlobStore } from '../../../../storage/ports.ts';
import { bytesOf, expectSame, get, openStore, put } from '../../../conformance/blob-store.ts';
import { AppliedGroup, GROUP } from '../../../kit/applied-group.ts';
import { objectRef, RULE, VOTERS } from '../../../kit/object-history.ts';
import { recordingTelemetry } from '../../../kit/recording-telemetry.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';

const CHUNK = 100_000;
const DAY_MS = LIMITS.objectDataAgeMsMax;
const PACE: ScrubPace = {
  ...{ periodMs: 60_000, bytesPerSecondMin: 1e6, bytesPerSecondMax: 1e9 },
};

/** A node with one group, and another node that may have what it lacks. */
class Kept {
  readonly time = new VirtualTime(1);
  readonly clock = this.time.process().clock;
  readonly disk = new MemoryDisk(this.clock);
  readonly own: BlobStore = openStore(this.disk);
  readonly other: BlobStore = openStore(new MemoryDisk(this.clock));
  readonly group = new AppliedGroup();
  readonly keeper: BlobKeeper;
  readonly mended: [string, Mended][] = [];
  isMember = true;
  /** Groups that have no replica here, and what they say; null: nothing. */
  readonly elsewhere = new Map<GroupId, GroupSight | null>();
  readonly asked: DataId[] = [];
  #drawn = 0;

  constructor(pace: ScrubPace | null = null) {
    this.group.apply({ type: 'bucket', rule: RULE });
    const mender = new Mender({
      blobs: this.own,
      reader: { fetch: (chunk, _, start, end) => this.#elsewhere(chunk, start, end) },
      onMended: (chunk, mended) => void this.mended.push([chunkText(chunk), mended]),
    });
    this.keeper = new BlobKeeper({
      ...{ ports: { clock: this.clock, telemetry: recordingTelemetry() }, blobs: this.own },
      ...{ mender, pace, others: () => ['n2' as NodeId] },
      dataGroups: () =>
        this.isMember ? [GROUP, ...this.elsewhere.keys()] : [...this.elsewhere.keys()],
      look: async (group, ids) => {
        this.asked.push(...ids);
        return this.elsewhere.get(group) ?? null;
      },
      groups: () => [
        {
          ...{ state: this.group.state, isMember: this.isMember, members: ['n2' as NodeId] },
          closed: revisionAtWallMs(this.group.wallMs),
        },
      ],
      close: async () => {},
    });
  }

  /** Data on both disks, named by an object. */
  async object(key: string, bytes: number, isNamed = true): Promise<ChunkName[]> {
    const random = new Uint8Array(10).fill(++this.#drawn);
    const id = makeDataId(this.group.wallMs, random);
    const names: ChunkName[] = [];
    for (let at = 0; at < bytes; at += CHUNK) {
      const name = { data: id, number: names.length };
      const chunk = bytesOf(Math.min(CHUNK, bytes - at), names.length);
      await this.time.until(put(this.own, name, chunk));
      await this.time.until(put(this.other, name, chunk));
      names.push(name);
    }
    if (isNamed) expect(this.#apply(this.#put(key, id, bytes))).toBe('put');
    return names;
  }

  remove(key: string): void {
    const ref = objectRef(key);
    const op: ObjectOp = {
      ...{ type: 'delete', ref, versionId: null, condition: NO_CONDITION, bypass: false },
    };
    expect(this.#apply(op)).toBe('deleted');
  }

  async damage(name: ChunkName): Promise<void> {
    const file = await this.time.until(this.disk.open(pathOfChunk(name)));
    await this.time.until(file.write(HEADER_BYTES + 10, Buffer.from('damage')));
  }

  async files(): Promise<number> {
    return (await this.time.until(this.own.list(null, 1_000))).length;
  }

  #put(key: string, id: DataId, bytes: number): ObjectOp {
    const data = {
      ...{ id: dataIdBytes(id), bytes, chunkBytes: CHUNK, holders: VOTERS, inline: null },
    };
    return {
      ...{ type: 'put', ref: objectRef(key), size: bytes, etag: key, checksum: null },
      ...{ head: NO_HEAD, data, ttlMs: null, condition: NO_CONDITION },
    };
  }

  #apply(op: ObjectOp): string | undefined {
    const applied = this.group.apply({
      ...{ type: 'object', revision: this.group.nextRevision(), epoch: 1, bucket: 1 },
      ...{ founders: VOTERS, op, idempotency: null, traceparent: null },
    });
    return applied.object?.type;
  }

  async *#elsewhere(chunk: ChunkName, start: number, end: number): AsyncGenerator<Uint8Array> {
    const reader = await this.other.open(chunk).catch(() => null);
    if (reader === null) throw new FetchFailed(chunk, []);
    yield await reader.read(start, end);
    await reader.close();
  }
}

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
