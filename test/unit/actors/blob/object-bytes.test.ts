import { describe, expect, it } from 'vitest';
import { AppError } from '../../../../protocol/errors.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { NewData } from '../../../../protocol/object-ops.ts';
import type { Piece } from '../../../../protocol/objects.ts';
import type { RequestContext } from '../../../../protocol/service.ts';
import { nodeOf } from '../../../../protocol/types.ts';
import { bytesOf, expectSame } from '../../../conformance/blob-store.ts';
import { MemoryCluster } from '../../../kit/memory-cluster.ts';

const CTX: RequestContext = { deadlineMs: 3_000, traceparent: null, idempotency: null };
const REF = { tenant: 'default', space: 'bucket', key: 'photo' };
const MIB = 1024 * 1024;
const SENT_BYTES = 100_000;
const THREE = 'n1 n2 n3';

/** Bytes as a socket gives them; `at` is called before each part, with where it begins. */
async function* stream(
  bytes: Uint8Array,
  at: (offset: number) => void | Promise<void> = () => {},
): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += SENT_BYTES) {
    await at(offset);
    yield bytes.subarray(offset, offset + SENT_BYTES);
  }
}

/** What a record says of data. */
function pieceOf({ id, bytes, chunkBytes }: NewData): Piece {
  return { number: 0, size: bytes, data: id, bytes, chunkBytes, checksum: null };
}

/** Clients of the data of a cluster. */
class DataCluster extends MemoryCluster {
  static async of(names: string): Promise<DataCluster> {
    const cluster = new DataCluster(names, { groupCount: 1 });
    await cluster.start();
    return cluster;
  }

  write(node: string, source: AsyncIterable<Uint8Array>): Promise<NewData | null> {
    return this.node(node).data.write(CTX, REF, source);
  }

  async written(node: string, bytes: Uint8Array): Promise<NewData> {
    const data = await this.time.until(this.write(node, stream(bytes)));
    if (data === null) throw new Error('there were no bytes');
    return data;
  }

  async read(
    node: string,
    data: NewData,
    range = { start: 0, end: data.bytes },
    each: (bytesSoFar: number) => void = () => {},
  ): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const part of this.node(node).data.read(CTX, REF, pieceOf(data), range)) {
      parts.push(part);
      bytes += part.length;
      each(bytes);
    }
    return Buffer.concat(parts);
  }

  /** Paths of chunks that the node has. */
  async chunks(node: string): Promise<string[]> {
    const disk = this.disk(node);
    const found: string[] = [];
    for (const coarse of await this.time.until(disk.list('blobs/chunks'))) {
      for (const fine of await this.time.until(disk.list(`blobs/chunks/${coarse}`))) {
        const folder = `blobs/chunks/${coarse}/${fine}`;
        const names = await this.time.until(disk.list(folder));
        found.push(...names.map((name) => `${folder}/${name}`));
      }
    }
    return found;
  }

  async loseChunks(node: string): Promise<void> {
    for (const path of await this.chunks(node)) await this.time.until(this.disk(node).remove(path));
  }

  async damageChunk(node: string, at: number): Promise<void> {
    const [path] = await this.chunks(node);
    const file = await this.time.until(this.disk(node).open(path as string));
    await this.time.until(file.write(at, Buffer.from('damage')));
    await this.time.until(file.close());
  }
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    return error instanceof AppError ? error.code : String(error);
  }
}

describe('writing the bytes of an object', () => {
  it('few are inline, none are nothing', async () => {
    const cluster = await DataCluster.of('n1');
    expect(await cluster.time.until(cluster.write('n1', stream(new Uint8Array(0))))).toBe(null);
    const bytes = bytesOf(LIMITS.objectInlineBytesMax, 1);
    const data = await cluster.written('n1', bytes);
    expect([data.chunkBytes, data.holders]).toEqual([0, []]);
    expectSame(data.inline as Uint8Array, bytes);
    expect(await cluster.chunks('n1')).toEqual([]);
  });

  it('more are chunks on every disk of the group, and every node reads any range of them', async () => {
    const cluster = await DataCluster.of(THREE);
    const bytes = bytesOf(2 * LIMITS.blobChunkBytes + 12_345, 2);
    const data = await cluster.written('n2', bytes);
    await cluster.time.pass(1_000);
    expect([data.bytes, data.inline]).toEqual([bytes.length, null]);
    expect(data.holders.length).toBeGreaterThanOrEqual(2);
    for (const node of ['n1', 'n2', 'n3']) {
      expect((await cluster.chunks(node)).length).toBe(3);
      expectSame(await cluster.time.until(cluster.read(node, data)), bytes);
      const edge = LIMITS.blobChunkBytes;
      for (const [start, end] of [
        [0, 1],
        [edge - 5, edge + 5],
        [edge * 2 + 1, bytes.length],
        [bytes.length - 1, bytes.length],
      ] as const) {
        const got = await cluster.time.until(cluster.read(node, data, { start, end }));
        expectSame(got, bytes.subarray(start, end));
      }
    }
  });

  it('a chunk or a piece that is exactly full has no empty one behind it', async () => {
    const cluster = await DataCluster.of(THREE);
    for (const size of [LIMITS.blobPieceBytes, LIMITS.blobChunkBytes, LIMITS.blobChunkBytes * 2]) {
      const bytes = bytesOf(size, 3);
      const data = await cluster.written('n1', bytes);
      expectSame(await cluster.time.until(cluster.read('n3', data)), bytes);
      await cluster.time.pass(500);
      const count = Math.ceil(size / LIMITS.blobChunkBytes);
      expect((await cluster.chunks('n2')).length).toBe(count);
      for (const node of ['n1', 'n2', 'n3']) await cluster.loseChunks(node);
    }
  });

  it('uploads side by side and one after another, in buffers that are used again, share no byte', async () => {
    const cluster = await DataCluster.of(THREE);
    for (let round = 0; round < 3; round++) {
      const all = [0, 1, 2, 3].map((n) => bytesOf(3 * MIB + n * 300_000, round * 10 + n));
      const written = await cluster.time.until(
        Promise.all(all.map((bytes, n) => cluster.write(`n${1 + (n % 3)}`, stream(bytes)))),
      );
      for (const [n, bytes] of all.entries()) {
        for (const node of THREE.split(' ')) {
          expectSame(await cluster.read(node, written[n] as NewData), bytes);
        }
      }
    }
  });

  it('F01 a node that is killed in the middle is no holder, and the write is done without it', async () => {
    const cluster = await DataCluster.of(THREE);
    const bytes = bytesOf(LIMITS.blobChunkBytes * 2, 4);
    const source = stream(bytes, (offset) => {
      if (offset === SENT_BYTES * 60) cluster.kill('n3');
    });
    const data = await cluster.time.until(cluster.write('n1', source));
    expect(data?.holders.map(nodeOf)).toEqual(['n1', 'n2']);
    expectSame(await cluster.time.until(cluster.read('n2', data as NewData)), bytes);
  });

  it('F04 a node that is cut off in the middle is left out after a while', async () => {
    const cluster = await DataCluster.of(THREE);
    const bytes = bytesOf(LIMITS.blobChunkBytes * 2, 5);
    const source = stream(bytes, (offset) => {
      if (offset === SENT_BYTES * 20) cluster.cut('n2', true);
    });
    const data = await cluster.time.until(cluster.write('n1', source));
    expect(data?.holders.map(nodeOf)).toEqual(['n1', 'n3']);
  });

  it('without a quorum it is refused, definitely, and nothing is left on the own disk', async () => {
    const cluster = await DataCluster.of(THREE);
    const source = stream(bytesOf(LIMITS.blobChunkBytes * 2, 6), (offset) => {
      if (offset === SENT_BYTES * 20) cluster.cut('n1', true);
    });
    expect(await cluster.time.until(codeOf(cluster.write('n1', source)))).toBe('unavailable');
    await cluster.time.pass(30_000);
    for (const node of ['n1', 'n2', 'n3']) expect(await cluster.chunks(node)).toEqual([]);
  });

  it('a source that fails leaves nothing anywhere', async () => {
    const cluster = await DataCluster.of(THREE);
    const source = stream(bytesOf(LIMITS.blobChunkBytes * 3, 7), (offset) => {
      if (offset > LIMITS.blobChunkBytes * 2) throw new Error('the client is gone');
    });
    const outcome = await cluster.time.until(codeOf(cluster.write('n1', source)));
    expect(outcome).toContain('the client is gone');
    await cluster.time.pass(5_000);
    for (const node of ['n1', 'n2', 'n3']) expect(await cluster.chunks(node)).toEqual([]);
  });

  it('a source that fails while chunks are being sealed does no harm to anybody else', async () => {
    for (const extra of [0, 1, 5, 40]) {
      const cluster = await DataCluster.of(THREE);
      const { clock } = cluster.time.process();
      const source = stream(bytesOf(LIMITS.blobChunkBytes * 2, 7), async (offset) => {
        if (offset <= LIMITS.blobChunkBytes + extra * SENT_BYTES) return;
        await new Promise<void>((resolve) => clock.after(extra / 10, resolve));
        throw new Error('the client is gone');
      });
      const outcome = await cluster.time.until(codeOf(cluster.write('n1', source)));
      expect(outcome).toContain('the client is gone');
      await cluster.time.pass(5_000);
      expect(await cluster.chunks('n1')).toEqual([]);
    }
  });

  it('what is discarded goes from all disks', async () => {
    const cluster = await DataCluster.of(THREE);
    const data = await cluster.written('n1', bytesOf(LIMITS.blobChunkBytes + 1, 8));
    await cluster.time.pass(500);
    cluster.node('n1').data.discard(data);
    await cluster.time.pass(500);
    for (const node of ['n1', 'n2', 'n3']) expect(await cluster.chunks(node)).toEqual([]);
  });

  it('U3 the source is asked for no more than the disks take', async () => {
    const cluster = await DataCluster.of(THREE);
    let asked = 0;
    const source = stream(bytesOf(LIMITS.blobChunkBytes * 3, 9), (offset) => {
      asked = offset;
      // From here on nothing answers.
      if (offset === 0) for (const node of ['n2', 'n3']) cluster.cut(node, true);
    });
    const outcome = codeOf(cluster.write('n1', source));
    await cluster.time.pass(2_000);
    expect(asked).toBeLessThanOrEqual(LIMITS.blobWindowBytes + 2 * LIMITS.blobPieceBytes);
    expect(await cluster.time.until(outcome)).toBe('unavailable');
  });

  it('copies that voters of now have not got are made', async () => {
    const cluster = await DataCluster.of(THREE);
    const bytes = bytesOf(LIMITS.blobChunkBytes + 77, 10);
    const data = await cluster.written('n1', bytes);
    await cluster.time.pass(500);
    await cluster.loseChunks('n3');
    const voters = ['n1', 'n2', 'n3'].map((node) => cluster.node(node).replicaId);
    const holders = data.holders.filter((holder) => nodeOf(holder) !== 'n3');
    const work = cluster.node('n2').data.replicate(CTX, REF, { ...data, holders }, voters);
    const copied = await cluster.time.until(work);
    expect(copied.holders.map(nodeOf).sort()).toEqual(['n1', 'n2', 'n3']);
    expect((await cluster.chunks('n3')).length).toBe(2);
  });

  it('that cannot be copied stays where it is: a late copy of the command may yet name it', async () => {
    const cluster = await DataCluster.of(THREE);
    const bytes = bytesOf(LIMITS.blobChunkBytes + 100, 10);
    const data = await cluster.written('n1', bytes);
    await cluster.time.pass(1_000);
    const voters = ['n1', 'n2', 'n3'].map((node) => cluster.node(node).replicaId);
    const holders = voters.slice(0, 1);
    for (const node of ['n2', 'n3']) cluster.kill(node);
    const work = cluster.node('n1').data.replicate(CTX, REF, { ...data, holders }, voters);
    expect(await cluster.time.until(codeOf(work))).toBe('unavailable');
    await cluster.time.pass(1_000);
    expect((await cluster.chunks('n1')).length).toBe(2);
    expectSame(await cluster.time.until(cluster.read('n1', data)), bytes);
  });
});

describe('reading the bytes of an object', () => {
  it('goes on with another node when one is killed in the middle', async () => {
    const cluster = await DataCluster.of(THREE);
    const bytes = bytesOf(LIMITS.blobChunkBytes * 2, 11);
    const data = await cluster.written('n1', bytes);
    await cluster.time.pass(1_000);
    await cluster.loseChunks('n1');
    for (const victim of ['n2', 'n3']) {
      let killed = '';
      const seen = cluster.read('n1', data, undefined, (bytesSoFar) => {
        if (bytesSoFar < 3 * MIB || killed !== '') return;
        killed = victim;
        cluster.kill(victim);
      });
      expectSame(await cluster.time.until(seen), bytes);
      expect(killed).toBe(victim);
      await cluster.startNode(victim);
      await cluster.ready();
      await cluster.time.pass(3_000);
    }
  });

  it('goes on with another node where the own copy is damaged', async () => {
    const cluster = await DataCluster.of(THREE);
    const bytes = bytesOf(LIMITS.blobChunkBytes, 12);
    const data = await cluster.written('n1', bytes);
    await cluster.time.pass(1_000);
    await cluster.damageChunk('n1', 3 * MIB);
    expectSame(await cluster.time.until(cluster.read('n1', data)), bytes);
  });

  it('is unavailable where no node has it, after what could be had', async () => {
    const cluster = await DataCluster.of(THREE);
    const data = await cluster.written('n1', bytesOf(LIMITS.blobChunkBytes, 13));
    await cluster.time.pass(1_000);
    for (const node of ['n1', 'n2', 'n3']) await cluster.loseChunks(node);
    expect(await cluster.time.until(codeOf(cluster.read('n1', data)))).toBe('unavailable');
  });

  it('a reader that stops leaves nothing open', async () => {
    const cluster = await DataCluster.of(THREE);
    const data = await cluster.written('n1', bytesOf(LIMITS.blobChunkBytes, 14));
    await cluster.time.pass(1_000);
    await cluster.loseChunks('n1');
    const range = { start: 0, end: data.bytes };
    const source = cluster.node('n1').data.read(CTX, REF, pieceOf(data), range);
    const iterator = source[Symbol.asyncIterator]();
    const first = await cluster.time.until(iterator.next());
    expect(first.done).toBe(false);
    await cluster.time.until(Promise.resolve(iterator.return?.(undefined)));
    await cluster.time.pass(1_000);
    for (const node of ['n1', 'n2', 'n3']) {
      expect(cluster.node(node).transfers()).toEqual({ receiving: 0, serving: 0, own: 0 });
    }
  });
});
