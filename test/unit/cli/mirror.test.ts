import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as aws from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MirrorFlags, mirror } from '../../../cli/commands/mirror.ts';
import { sizeText } from '../../../cli/commands/size-text.ts';
import { CommandFailed, UsageError } from '../../../cli/failures.ts';
import { Frontier } from '../../../cli/mirror/frontier.ts';
import { MirrorRun } from '../../../cli/mirror/mirror-run.ts';
import { S3Client } from '../../../cli/mirror/s3-client.ts';
import { Progress } from '../../../cli/mirror/state.ts';
import { S3Store } from '../../../cli/mirror/store.ts';
import { bytesOf, keysIn, make, putParts, read, uploadsIn } from '../../kit/s3-content.ts';
import { type Fate, type S3FaultProxy, s3FaultProxy } from '../../kit/s3-fault-proxy.ts';
import { ACCESS_KEY, type S3Server, SECRET_KEY, startS3Server } from '../../kit/s3-start.ts';
import { type TestIo, testIo } from './fake-io.ts';

const MIB = 1024 * 1024;
const ENV = {
  MINIKV_FROM_ACCESS_KEY: ACCESS_KEY,
  MINIKV_FROM_SECRET_KEY: SECRET_KEY,
  MINIKV_S3_ACCESS_KEY: ACCESS_KEY,
  MINIKV_S3_SECRET_KEY: SECRET_KEY,
};

let source: S3Server;
let target: S3Server;
let folder: string;
let proxies: S3FaultProxy[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'minikv-mirror-'));
  proxies = [];
  source = await startS3Server({ allowUnsigned: false });
  target = await startS3Server({ allowUnsigned: false });
});

afterEach(async () => {
  for (const proxy of proxies) await proxy.stop();
  await source.stop();
  await target.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Summary {
  readonly listed: number;
  readonly copied: number;
  readonly copiedBytes: number;
  readonly skipped: number;
  readonly gone: number;
  readonly failed: number;
  readonly unproven: number;
  readonly isStopped: boolean;
  readonly failures: readonly { readonly key: string; readonly code: string }[];
}

interface Ran {
  readonly summary: Summary;
  readonly failure: unknown;
  readonly io: TestIo;
}

async function run(
  buckets: readonly string[],
  flags: Partial<MirrorFlags> = {},
  io: TestIo = testIo({ env: ENV }),
): Promise<Ran> {
  let failure: unknown = null;
  await mirror(io, buckets, {
    ...{ from: source.url, to: target.url, fromRegion: 'us-east-1', toRegion: 'us-east-1' },
    ...{ parallel: '8', wholeMax: '1024', partSize: '16', json: true },
    ...flags,
  }).catch((error: unknown) => {
    failure = error;
  });
  const said = io.written.out + io.written.err + String(failure);
  expect(said).not.toContain(SECRET_KEY);
  const summary = io.written.out === '' ? {} : JSON.parse(io.written.out);
  return { summary: summary as Summary, failure, io };
}

async function proxied(
  server: S3Server,
  fateOf: (method: string, path: string) => Fate,
): Promise<S3FaultProxy> {
  const proxy = await s3FaultProxy(server.url, fateOf);
  proxies.push(proxy);
  return proxy;
}

const ODD_KEYS = ['a b+c', 'ü/ñ/%41', 'x/../y', "it's (1)!*~", 'slash//double', 'q?a=b&c#d', '雪'];

describe('minikv mirror', () => {
  it('copies bytes, headers, metadata, tags and ETags, also of parts; a second run copies nothing', async () => {
    const from = await make(source, 'photos');
    for (const Key of ODD_KEYS) {
      await from.send(new aws.PutObjectCommand({ Bucket: 'photos', Key, Body: bytesOf(Key, 9) }));
    }
    for (const size of [0, 1, 70_000, 9 * MIB]) {
      const put = { Bucket: 'photos', Key: `of/${size}`, Body: bytesOf('of', size) };
      await from.send(
        new aws.PutObjectCommand({
          ...{ ...put, ContentType: 'image/x-test', CacheControl: 'max-age=9' },
          ...{ ContentEncoding: 'zip', ContentDisposition: 'attachment; filename="a.b"' },
          ...{ Metadata: { color: 'blue', place: 'two  words' }, Tagging: 'a=1%2F2&b=x%20y' },
        }),
      );
    }
    await putParts(from, 'photos', 'parts/even', [5 * MIB, 5 * MIB, 77]);
    await putParts(from, 'photos', 'parts/one', [3_000]);
    await make(source, 'empty');
    const { summary, failure } = await run([]);
    expect(failure).toBeNull();
    expect(summary).toMatchObject({ listed: 13, copied: 13, skipped: 0, failed: 0, unproven: 0 });
    const to = target.client();
    const { Buckets = [] } = await to.send(new aws.ListBucketsCommand({}));
    expect(Buckets.map(({ Name }) => Name)).toEqual(['empty', 'photos']);
    const keys = await keysIn(from, 'photos');
    expect(await keysIn(to, 'photos')).toEqual(keys);
    for (const key of keys) {
      expect(await read(to, 'photos', key), key).toEqual(await read(from, 'photos', key));
    }
    const tagging = { Bucket: 'photos', Key: 'of/1' };
    const { TagSet } = await to.send(new aws.GetObjectTaggingCommand(tagging));
    expect(TagSet).toEqual([
      { Key: 'a', Value: '1/2' },
      { Key: 'b', Value: 'x y' },
    ]);
    const again = await run([]);
    expect(again.summary).toMatchObject({ listed: 13, copied: 0, copiedBytes: 0, skipped: 13 });
    await from.send(new aws.PutObjectCommand({ Bucket: 'photos', Key: 'of/1', Body: 'B' }));
    expect((await run(['photos'])).summary).toMatchObject({ copied: 1, skipped: 12 });
  });

  it('what has parts of different lengths, or is too large for one put, is known again by its origin', async () => {
    const from = await make(source, 'odd');
    await putParts(from, 'odd', 'uneven', [6 * MIB, 5 * MIB, 7]);
    const put = { Bucket: 'odd', Key: 'large', Body: bytesOf('large', 12 * MIB + 5) };
    await from.send(new aws.PutObjectCommand(put));
    const flags = { wholeMax: '6', partSize: '5' };
    const first = await run(['odd'], flags);
    expect(first.failure).toBeNull();
    expect(first.summary).toMatchObject({ copied: 2, unproven: 2, failed: 0 });
    const to = target.client();
    for (const key of ['uneven', 'large']) {
      const [was, is] = [await read(from, 'odd', key), await read(to, 'odd', key)];
      expect([is.md5, is.size]).toEqual([was.md5, was.size]);
    }
    expect((await run(['odd'], flags)).summary).toMatchObject({ copied: 0, skipped: 2 });
    expect(await uploadsIn(to, 'odd')).toBe(0);
  });

  it('a prefix, another name, and keys of a file', async () => {
    const from = await make(source, 'wide');
    for (const Key of ['a/1', 'a/2', 'b/1']) {
      await from.send(new aws.PutObjectCommand({ Bucket: 'wide', Key, Body: Key }));
    }
    const keys = join(folder, 'keys.json');
    writeFileSync(keys, JSON.stringify({ accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY }));
    const io = { ...testIo(), readFile: (path: string) => readFileSync(path, 'utf8') };
    const flags = { prefix: 'a/', into: 'narrow', fromKeys: keys, toKeys: keys };
    expect((await run(['wide'], flags, io)).summary).toMatchObject({ listed: 2, copied: 2 });
    expect(await keysIn(target.client(), 'narrow')).toEqual(['a/1', 'a/2']);
  });

  it('versions and delete markers in their order; those of another history are left alone', async () => {
    const from = await make(source, 'kept');
    const Status = 'Enabled' as const;
    const VersioningConfiguration = { Status };
    await from.send(
      new aws.PutBucketVersioningCommand({ Bucket: 'kept', VersioningConfiguration }),
    );
    const put = (Key: string, Body: string) =>
      from.send(new aws.PutObjectCommand({ Bucket: 'kept', Key, Body }));
    const remove = (Key: string) => from.send(new aws.DeleteObjectCommand({ Bucket: 'kept', Key }));
    for (const body of ['one', 'two', 'three']) await put('a', body);
    await put('ab', 'x');
    await remove('ab');
    await put('ab', 'y');
    await remove('b');
    const first = await run(['kept'], { versions: true });
    expect(first.failure).toBeNull();
    expect(first.summary).toMatchObject({ listed: 7, copied: 7, failed: 0 });
    const history = async (s3: aws.S3Client) => {
      const got = await s3.send(new aws.ListObjectVersionsCommand({ Bucket: 'kept' }));
      const versions = (got.Versions ?? []).map(({ Key, ETag, IsLatest }) => ({
        Key,
        ETag,
        IsLatest,
      }));
      const markers = (got.DeleteMarkers ?? []).map(({ Key, IsLatest }) => ({ Key, IsLatest }));
      return { versions, markers };
    };
    const to = target.client();
    expect(await history(to)).toEqual(await history(from));
    await put('ab', 'z');
    const second = await run(['kept'], { versions: true });
    expect(second.summary).toMatchObject({ listed: 8, copied: 1, skipped: 7 });
    await to.send(new aws.PutObjectCommand({ Bucket: 'kept', Key: 'a', Body: 'of the target' }));
    await put('a', 'four');
    const third = await run(['kept'], { versions: true });
    expect(third.summary).toMatchObject({ failed: 1, copied: 0 });
    expect(third.summary.failures).toMatchObject([{ key: 'a', code: 'diverged' }]);
  });

  it('goes on through refusals, cut answers and flipped bits, and every byte is right', async () => {
    const from = await make(source, 'rough');
    for (let i = 0; i < 20; i++) {
      const put = {
        Bucket: 'rough',
        Key: `k${i}`,
        Body: bytesOf(`k${i}`, i % 5 === 0 ? 80_000 : 700),
      };
      await from.send(new aws.PutObjectCommand(put));
    }
    await putParts(from, 'rough', 'parts', [5 * MIB, 5 * MIB, 900]);
    const fates: Fate[] = ['pass', { status: 503 }, 'pass', 'cut', 'pass', 'flip', { status: 500 }];
    // Each path has its own turn and meets each fate at most once, whatever the others do meanwhile.
    const turns = new Map<string, number>();
    const rough = (method: string, path: string): Fate => {
      const isObject = method === 'GET' && /^\/rough\/[^?]/.test(path);
      const turn = turns.get(path) ?? turns.size % fates.length;
      turns.set(path, turn + 1);
      const fate = fates[turn] ?? 'pass';
      return isObject || typeof fate === 'object' ? fate : 'pass';
    };
    const near = await proxied(source, rough);
    const { summary, failure } = await run(['rough'], { from: near.url });
    expect(failure).toBeNull();
    expect(summary).toMatchObject({ listed: 21, copied: 21, failed: 0, unproven: 0 });
    const to = target.client();
    for (const key of await keysIn(from, 'rough')) {
      expect(await read(to, 'rough', key), key).toEqual(await read(from, 'rough', key));
    }
  }, 60_000);

  it('one object that cannot be read is told and no obstacle; the next run looks at it again', async () => {
    const from = await make(source, 'some');
    for (let i = 0; i < 9; i++) {
      await from.send(new aws.PutObjectCommand({ Bucket: 'some', Key: `k${i}`, Body: `${i}` }));
    }
    const near = await proxied(source, (method, path) =>
      method === 'GET' && path.startsWith('/some/k4') ? { status: 403 } : 'pass',
    );
    const state = join(folder, 'state.json');
    const flags = { from: near.url, state };
    const first = await run(['some'], flags);
    expect(first.failure).toBeInstanceOf(CommandFailed);
    expect(first.summary).toMatchObject({ listed: 9, copied: 8, failed: 1 });
    expect(first.summary.failures).toMatchObject([{ key: 'k4', code: 'AccessDenied' }]);
    expect(JSON.parse(readFileSync(state, 'utf8')).after).toEqual({ some: 'k3' });
    expect(readFileSync(state, 'utf8')).not.toContain(SECRET_KEY);
    const second = await run(['some'], flags);
    expect(second.summary).toMatchObject({ listed: 5, copied: 0, skipped: 4, failed: 1 });
  });

  it('Ctrl-C leaves a state from which the same command goes on, with the parts that are there', async () => {
    const from = await make(source, 'long');
    for (let i = 0; i < 60; i++) {
      const Key = `k${String(i).padStart(2, '0')}`;
      await from.send(new aws.PutObjectCommand({ Bucket: 'long', Key, Body: Key }));
    }
    await putParts(
      from,
      'long',
      'parts',
      Array.from({ length: 8 }, () => 5 * MIB),
    );
    const io = testIo({ env: ENV });
    // The third part that arrives is the last one that comes through.
    let puts = 0;
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const near = await proxied(target, (method, path) => {
      if (method !== 'PUT' || !path.includes('uploadId')) return 'pass';
      puts++;
      if (puts === 7) io.interrupt(); // four at once, all held
      return puts > 3 ? held : 'pass';
    });
    const state = join(folder, 'state.json');
    const flags = { to: near.url, state, parallel: '2' };
    const first = await run(['long'], flags, io);
    release();
    expect(first.failure).toBeInstanceOf(CommandFailed);
    expect(first.summary).toMatchObject({ isStopped: true, failed: 0 });
    const kept = JSON.parse(readFileSync(state, 'utf8'));
    expect(kept.after.long).toBe('k59');
    expect(Object.keys(kept.uploads)).toEqual(['long/parts']);
    const direct = await proxied(target, () => 'pass');
    // Another way to the same target is another job.
    expect((await run(['long'], { to: direct.url, state })).failure).toBeInstanceOf(CommandFailed);
    puts = -1_000;
    near.seen.length = 0;
    const second = await run(['long'], flags);
    expect(second.failure).toBeNull();
    expect(second.summary).toMatchObject({ listed: 1, copied: 1, failed: 0, unproven: 0 });
    const sent = near.seen.filter((line) => /^PUT .*partNumber/.test(line));
    expect(sent.length).toBeLessThanOrEqual(5);
    expect(existsSync(state)).toBe(false); // done: the next run looks at everything
    const to = target.client();
    expect(await read(to, 'long', 'parts')).toEqual(await read(from, 'long', 'parts'));
    expect(await uploadsIn(to, 'long')).toBe(0);
  }, 30_000);

  it('without a state file nothing is left of an upload that was not finished', async () => {
    const from = await make(source, 'left');
    await putParts(from, 'left', 'parts', [5 * MIB, 5 * MIB, 5 * MIB]);
    const near = await proxied(source, (method, path) =>
      method === 'GET' && path.startsWith('/left/parts') ? { status: 403 } : 'pass',
    );
    const { summary } = await run(['left'], { from: near.url });
    expect(summary).toMatchObject({ failed: 1 });
    expect(await uploadsIn(target.client(), 'left')).toBe(0);
    expect(existsSync(join(folder, 'state.json'))).toBe(false);
  });

  it('more than a page, and a target that has other keys between', async () => {
    const from = await make(source, 'many');
    const to = await make(target, 'many');
    const name = (i: number) => `k${String(i).padStart(2, '0')}`;
    for (let i = 0; i < 45; i++) {
      const put = { Bucket: 'many', Key: name(i), Body: name(i) };
      await from.send(new aws.PutObjectCommand(put));
      const other = i % 2 === 0 ? put : { ...put, Key: `${name(i)}-other` };
      await to.send(new aws.PutObjectCommand(other));
    }
    const io = testIo();
    const keys = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY, sessionToken: null };
    const clients = [source, target].map(
      ({ url }) => new S3Client(io, { endpoints: [url], region: 'us-east-1', keys }),
    );
    const [near, far] = clients.map((client) => new S3Store(client, 10)) as [S3Store, S3Store];
    const run = new MirrorRun({
      ...{ io, from: near, to: far, progress: Progress.open(null, 'test', () => 0) },
      ...{ versions: false, parallel: 3, wholeBytesMax: MIB, partBytes: MIB },
      ...{ settings: false, locks: false },
    });
    await run.bucket({ bucket: 'many', target: 'many', prefix: '' });
    expect(run.counts).toMatchObject({ listed: 45, copied: 22, skipped: 23, failed: 0 });
    expect((await keysIn(to, 'many')).length).toBe(67);
    const again = new MirrorRun({
      ...{ io, from: near, to: far, progress: Progress.open(null, 'test', () => 0) },
      ...{ versions: true, parallel: 3, wholeBytesMax: MIB, partBytes: MIB },
      ...{ settings: false, locks: false },
    });
    await again.bucket({ bucket: 'many', target: 'many', prefix: '' });
    expect(again.counts).toMatchObject({ listed: 45, copied: 0, skipped: 45 });
    for (const client of clients) client.close();
  });

  it('refuses what is no endpoint, keys in a URL, and half a pair', async () => {
    for (const from of ['', 'ftp://a', 'http://id:secret@127.0.0.1:9000']) {
      const { failure } = await run([], { from });
      expect(failure, from).toBeInstanceOf(UsageError);
      expect(String(failure)).not.toContain('id:secret');
    }
    const half = testIo({ env: { MINIKV_FROM_ACCESS_KEY: 'x' } });
    expect((await run([], {}, half)).failure).toBeInstanceOf(UsageError);
    expect((await run(['a', 'b'], { into: 'c' })).failure).toBeInstanceOf(UsageError);
    expect((await run(['nowhere'])).failure).toBeInstanceOf(CommandFailed);
  });
});

describe('the frontier', () => {
  it('passes no key before all in front of it are done', () => {
    const moves: string[] = [];
    const frontier = new Frontier((key) => moves.push(key));
    const [a, b, c] = ['a', 'b', 'c'].map((key) => frontier.begin(key));
    b?.();
    expect(moves).toEqual([]);
    a?.();
    expect(moves).toEqual(['b']);
    c?.();
    expect(moves).toEqual(['b', 'c']);
  });
});

it('sizes are told in units', () => {
  expect([0, 1023, 1536, 3 * MIB].map(sizeText)).toEqual(['0 B', '1023 B', '1.5 KiB', '3.0 MiB']);
});
