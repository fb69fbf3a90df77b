import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { BodyDigests } from '../../../../gateways/s3/body-digests.ts';
import { HashThread, type ThreadedHashes } from '../../../../gateways/s3/hash-thread.ts';

const KIB = 1024;
const NAMES = ['md5', 'sha256'];

function bytesOf(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + seed * 17 + (i >> 8)) & 0xff;
  return bytes;
}

/** In pieces of this size, each overwritten once it was given. */
async function feed(body: ThreadedHashes, bytes: Buffer, pieceBytes: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = Buffer.from(bytes.subarray(at, at + pieceBytes));
    const behind = body.update(piece);
    piece.fill(0);
    if (behind !== null) await behind;
  }
}

function hex(digests: readonly Uint8Array[]): string[] {
  return digests.map((digest) => Buffer.from(digest).toString('hex'));
}

describe('hashes in a thread of their own', () => {
  let thread = new HashThread();
  afterEach(async () => {
    await thread.stop();
    thread = new HashThread();
  });

  it('are those of each body, of any length, many at once', async () => {
    const lengths = [
      0,
      1,
      255 * KIB,
      256 * KIB,
      256 * KIB + 1,
      700 * KIB,
      2_048 * KIB,
      2_049 * KIB,
    ];
    await Promise.all(
      lengths.map(async (length, i) => {
        const bytes = bytesOf(length, i);
        const body = thread.begin(NAMES);
        await feed(body, bytes, 1 + 13_007 * (i + 1));
        const wanted = NAMES.map((name) => createHash(name).update(bytes).digest('hex'));
        expect(hex(await body.finish())).toEqual(wanted);
        body.close();
      }),
    );
  });

  it('a body that breaks off leaves the others alone', async () => {
    const broken = thread.begin(NAMES);
    await feed(broken, bytesOf(600 * KIB, 1), 64 * KIB);
    broken.close();
    const bytes = bytesOf(900 * KIB, 2);
    const body = thread.begin(['md5']);
    await feed(body, bytes, 64 * KIB);
    expect(hex(await body.finish())).toEqual([createHash('md5').update(bytes).digest('hex')]);
  });

  it('a reader that is ahead waits', async () => {
    const body = thread.begin(['md5']);
    expect(body.update(bytesOf(256 * KIB, 1))).toBeNull();
    const behind = body.update(bytesOf(256 * KIB, 2));
    expect(behind).not.toBeNull();
    await behind;
    await body.finish();
  });

  it('when the thread ends its bodies fail, and the next one has another', async () => {
    const body = thread.begin(['md5']);
    await feed(body, bytesOf(300 * KIB, 1), 64 * KIB);
    const failed = expect(body.finish()).rejects.toThrow('hashing ended');
    await thread.stop();
    await failed;
    const next = thread.begin(['md5']);
    next.update(Buffer.from('abc'));
    expect(hex(await next.finish())).toEqual(['900150983cd24fb0d6963f7d28e17f72']);
  });

  it('facts of a body are the same as without', async () => {
    const bytes = bytesOf(1_100 * KIB, 3);
    const sha256 = createHash('sha256').update(bytes).digest();
    const md5 = createHash('md5').update(bytes).digest();
    for (const wrong of [false, true]) {
      const contentMd5 = wrong ? Buffer.alloc(16) : md5;
      const digests = new BodyDigests(
        {
          ...{ payload: { kind: 'hashed', sha256 }, contentMd5, checksum: null },
          ...{ defaultChecksum: 'CRC32', hasETag: true },
        },
        thread,
      );
      await digests.update(bytes);
      await digests.settle();
      if (wrong) expect(() => digests.finish(new Map())).toThrow();
      else {
        const facts = digests.finish(new Map());
        expect(facts.md5).toEqual(md5);
        expect(facts.bytes).toBe(bytes.length);
        expect(facts.checksum?.algorithm).toBe('CRC32');
      }
      digests.close();
    }
  });
});
