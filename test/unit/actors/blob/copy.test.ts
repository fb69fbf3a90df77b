import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CopyFailed, LocalCopy } from '../../../../actors/blob/copy.ts';
import type { ReplicaId } from '../../../../protocol/types.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';
import type { BlobStore, BlobWriter } from '../../../../storage/ports.ts';
import { bytesOf, chunkOf, openStore } from '../../../conformance/blob-store.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';

const SELF = 'n1:aaaaaaaa' as ReplicaId;
const NAME = chunkOf(1_800_000_000_000, 1);
const BYTES = bytesOf(1_000, 1);

/** A store whose seals end when the test says so. */
function heldStore() {
  const time = new VirtualTime(1);
  const store: BlobStore = openStore(new MemoryDisk(time.process().clock));
  let end: (error: Error | null) => void = () => {};
  const gate = new Promise<void>((resolved, rejected) => {
    end = (error) => (error === null ? resolved() : rejected(error));
  });
  gate.catch(() => {}); // a seal that nobody began
  const create = async (): Promise<BlobWriter> => {
    const writer = await store.create(NAME);
    return {
      get bytes() {
        return writer.bytes;
      },
      write: (piece) => writer.write(piece),
      seal: (expected) => gate.then(() => writer.seal(expected)),
      abandon: () => writer.abandon(),
    };
  };
  return { time, store, create, end: (error: Error | null) => end(error) };
}

const sum = (store: BlobStore) => ({ bytes: BYTES.length, crc: store.checksum(0, BYTES) });

async function outcome(sealed: Promise<ReplicaId>): Promise<string> {
  try {
    return await sealed;
  } catch (error) {
    return error instanceof CopyFailed ? error.reason : String(error);
  }
}

describe('a copy on the own disk', () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  beforeEach(() => void process.on('unhandledRejection', note));
  afterEach(async () => {
    await new Promise((resolved) => setImmediate(resolved));
    process.off('unhandledRejection', note);
    expect(unhandled.splice(0)).toEqual([]);
  });

  it('that is given up while it is being sealed comes to its end, and rejects nowhere', async () => {
    for (const error of [null, new Error('the disk failed')]) {
      const { time, store, create, end } = heldStore();
      const copy = new LocalCopy({ create }, NAME, SELF);
      await time.until(copy.push(BYTES, sum(store)));
      await time.pass(50);
      copy.abandon();
      end(error);
      expect(await time.until(outcome(copy.sealed))).toBe(error === null ? SELF : 'failed');
    }
  });

  it('that is given up before leaves nothing', async () => {
    const { time, store, create, end } = heldStore();
    const copy = new LocalCopy({ create }, NAME, SELF);
    const pushed = copy.push(BYTES, sum(store));
    copy.abandon();
    end(null);
    await time.until(pushed);
    expect(await time.until(outcome(copy.sealed))).toBe('failed');
    expect(await time.until(store.list(null, 10))).toEqual([]);
  });

  it('says that a piece is taken when the disk has it, and never where it is given up before', async () => {
    for (const isGivenUp of [false, true]) {
      const { time, store } = heldStore();
      let write: () => void = () => {};
      const begun = new Promise<void>((resolved) => {
        write = resolved;
      });
      const create = async (): Promise<BlobWriter> => {
        await begun;
        return store.create(NAME);
      };
      const copy = new LocalCopy({ create }, NAME, SELF);
      let taken = 0;
      const pushed = copy.push(BYTES, null, () => taken++);
      await time.pass(50);
      expect(taken).toBe(0);
      if (isGivenUp) copy.abandon();
      write();
      await time.until(pushed);
      await time.pass(50);
      expect(taken).toBe(isGivenUp ? 0 : 1);
      copy.abandon();
      await time.pass(50);
    }
  });

  it('that cannot be begun says why, also when it is given up then', async () => {
    const error = Object.assign(new Error('no room'), { code: 'ENOSPC' });
    const copy = new LocalCopy({ create: () => Promise.reject(error) }, NAME, SELF);
    await expect(copy.push(BYTES, null)).rejects.toMatchObject({ reason: 'full' });
    copy.abandon();
    expect(await outcome(copy.sealed)).toBe('full');
  });
});
