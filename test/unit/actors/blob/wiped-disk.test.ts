import { describe, expect, it } from 'vitest';
import { makeDataId } from '../../../../protocol/blob.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { Bucket } from '../../../../protocol/object-access.ts';
import { NO_CONDITION } from '../../../../protocol/object-ops.ts';
import { NO_HEAD } from '../../../../protocol/objects.ts';
import type { RequestContext } from '../../../../protocol/service.ts';
import { bytesOf, expectSame, openStore, put } from '../../../conformance/blob-store.ts';
import { MemoryCluster } from '../../../kit/memory-cluster.ts';

const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const LATEST = { versionId: null, revision: null };

async function* whole(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Objects in chunks, through the whole of a node but its HTTP. */
class ObjectCluster extends MemoryCluster {
  async make(): Promise<Bucket> {
    const wanted = { tenant: 'default', name: 'photos', owner: 'me', objectLock: false };
    const { objects } = this.node('n1');
    const made = objects.buckets.create(CTX, { ...wanted, documents: {} });
    return (await this.time.until(made)).bucket;
  }

  async put(node: string, bucket: Bucket, key: string, bytes: Uint8Array): Promise<void> {
    const ref = { tenant: 'default', space: 'photos', key };
    const { objects } = this.node(node);
    const data = await this.time.until(objects.data.write(CTX, ref, whole(bytes)));
    const done = objects.apply(CTX, bucket, {
      ...{ type: 'put', ref, size: bytes.length, etag: key, checksum: null, head: NO_HEAD },
      ...{ data, ttlMs: null, condition: NO_CONDITION },
    });
    expect((await this.time.until(done)).result).toMatchObject({ type: 'put' });
  }

  async get(node: string, key: string): Promise<Uint8Array> {
    const ref = { tenant: 'default', space: 'photos', key };
    const { objects } = this.node(node);
    const read = await this.time.until(objects.read(CTX, ref, LATEST));
    if (read.type !== 'found') throw new Error(`there is no ${key}`);
    const parts: Uint8Array[] = [];
    for (const piece of read.version.record.pieces) {
      const range = { start: 0, end: piece.bytes };
      const all = async () => {
        for await (const part of objects.data.read(CTX, ref, piece, range)) parts.push(part);
      };
      await this.time.until(all());
    }
    return Buffer.concat(parts);
  }

  async restored(node: string): Promise<void> {
    for (let waitedMs = 0; waitedMs < 120_000; waitedMs += 1_000) {
      const { chunks, missing } = await this.time.until(this.node(node).chunks.verify());
      if (chunks > 0 && missing === 0) return;
      await this.time.pass(1_000);
    }
    throw new Error(`${node} still lacks chunks`);
  }
}

describe('the chunks of a node', () => {
  it('F13 come back by themselves to a disk that was emptied, and what is written meanwhile with them', async () => {
    const cluster = new ObjectCluster('n1 n2 n3', { groupCount: 2, scrubPeriodMs: 3_600_000 });
    await cluster.start();
    const bucket = await cluster.make();
    const objects = new Map<string, Uint8Array>();
    for (let i = 0; i < 6; i++) {
      const bytes = bytesOf(
        LIMITS.blobPieceBytes * (i + 1) + (i === 5 ? LIMITS.blobChunkBytes : 0),
        i,
      );
      objects.set(`photo-${i}`, bytes);
      await cluster.put('n1', bucket, `photo-${i}`, bytes);
    }
    cluster.kill('n3');
    cluster.wipe('n3');
    const late = bytesOf(LIMITS.blobPieceBytes * 3, 99);
    objects.set('late', late);
    await cluster.put('n2', bucket, 'late', late);
    await cluster.time.until(cluster.startNode('n3'));
    await cluster.restored('n3');
    const { chunks, verified, damaged } = await cluster.time.until(
      cluster.node('n3').chunks.verify(),
    );
    expect([chunks, verified, damaged]).toEqual([8, 8, 0]);
    cluster.kill('n1');
    for (const [key, bytes] of objects) expectSame(await cluster.get('n3', key), bytes);
  });

  it('F04 a node that was cut off gets within seconds what was written without it', async () => {
    const cluster = new ObjectCluster('n1 n2 n3', { groupCount: 1, scrubPeriodMs: 3_600_000 });
    await cluster.start();
    const bucket = await cluster.make();
    await cluster.time.pass(20_000);
    cluster.cut('n2', true);
    await cluster.put('n3', bucket, 'photo', bytesOf(LIMITS.blobChunkBytes + 5, 1));
    cluster.cut('n2', false);
    await cluster.time.pass(25_000);
    expect(await cluster.time.until(cluster.node('n2').chunks.verify())).toMatchObject({
      ...{ chunks: 2, missing: 0, verified: 2 },
    });
  });

  it('go when nothing names them, also where not every group has a replica', async () => {
    const cluster = new ObjectCluster('n1 n2 n3', { groupCount: 4 });
    await cluster.start();
    await cluster.time.until(cluster.joinNode('n4'));
    await cluster.time.pass(5_000);
    const bucket = await cluster.make();
    const bytes = bytesOf(LIMITS.blobPieceBytes * 2, 1);
    for (let i = 0; i < 8; i++) await cluster.put('n1', bucket, `photo-${i}`, bytes);
    const twoDaysAgo = cluster.time.process().clock.wallMs() - 2 * LIMITS.objectDataAgeMsMax;
    const stray = { data: makeDataId(twoDaysAgo, Buffer.alloc(10, 1)), number: 0 };
    for (const node of ['n1', 'n4']) {
      await cluster.time.until(put(openStore(cluster.disk(node)), stray, bytes));
      const swept = await cluster.time.until(cluster.node(node).chunks.sweep());
      expect([node, swept.removed, swept.unseen]).toEqual([node, 1, 0]);
    }
    for (let i = 0; i < 8; i++) expectSame(await cluster.get('n4', `photo-${i}`), bytes);
  });
});
