import { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { KEY_NAMES } from './key-names.ts';
import { REGION, type Store } from './store.ts';
import { bytesOf, expectEqual } from './tree.ts';

/** Clients in JavaScript, which need nothing installed. */

export function sdk(store: Store, i: number, extra: S3ClientConfig = {}): S3Client {
  return new S3Client({
    endpoint: store.endpoints[i % store.endpoints.length]!,
    region: REGION,
    forcePathStyle: true,
    credentials: { accessKeyId: store.accessKey, secretAccessKey: store.secretKey },
    ...extra,
  });
}

/** A stream of unknown length, uploaded in parts and read back at every node. */
export async function checkLibStorage(store: Store): Promise<void> {
  const bytes = bytesOf('lib-storage', 23 * 1024 * 1024 + 5);
  const client = sdk(store, 0);
  await client.send(new CreateBucketCommand({ Bucket: 'libstorage' }));
  const Body = Readable.from(pieces(bytes, 300_000));
  const params = { Bucket: 'libstorage', Key: 'stream', Body };
  await new Upload({ client, params, partSize: 5 * 1024 * 1024 }).done();
  for (let i = 0; i < store.endpoints.length; i++) {
    const got = await sdk(store, i).send(
      new GetObjectCommand({ Bucket: 'libstorage', Key: 'stream', ChecksumMode: 'ENABLED' }),
    );
    const back = Buffer.from(await got.Body!.transformToByteArray());
    expectEqual(back.equals(bytes), true, `node ${i} gives the same bytes`);
  }
}

function* pieces(bytes: Buffer, size: number): Generator<Buffer> {
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
}

/** XML 1.0 has no way to write it: such a key is deleted by a request of its own. */
const NOT_IN_XML = 'control\u0001character';

/** Each name is put, read and listed as it is; the listing gives it percent-encoded where XML cannot hold it. */
export async function checkKeyNames(store: Store): Promise<void> {
  const Bucket = 'key-names';
  const client = sdk(store, 0);
  await client.send(new CreateBucketCommand({ Bucket }));
  const names = [...KEY_NAMES, NOT_IN_XML, 'white\tspace\r\n', '.', '..', '/', '//'];
  for (const Key of names) {
    await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
    const got = await sdk(store, 1).send(new GetObjectCommand({ Bucket, Key }));
    expectEqual(await got.Body!.transformToString(), Key, 'what a key holds');
    const CopySource = `${Bucket}/${encodeURIComponent(Key)}`;
    await client.send(new CopyObjectCommand({ Bucket, Key: 'copied', CopySource }));
    const copied = await client.send(new HeadObjectCommand({ Bucket, Key: 'copied' }));
    expectEqual(copied.ContentLength, Buffer.byteLength(Key), `the length of a copy of ${Key}`);
  }
  const page = await sdk(store, 2).send(new ListObjectsV2Command({ Bucket, EncodingType: 'url' }));
  const listed = (page.Contents ?? []).map(({ Key }) =>
    decodeURIComponent(Key!.replaceAll('+', ' ')),
  );
  const wanted = [...names, 'copied'].sort((a, b) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  expectEqual(JSON.stringify(listed), JSON.stringify(wanted), 'listed keys');
  const inXml = wanted.filter((Key) => Key !== NOT_IN_XML);
  const Objects = inXml.map((Key) => ({ Key }));
  const { Deleted } = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  expectEqual(Deleted?.length, inXml.length, 'deleted keys');
  await client.send(new DeleteObjectCommand({ Bucket, Key: NOT_IN_XML }));
  await client.send(new DeleteBucketCommand({ Bucket }));
}

const RACERS = 20;
const ROUNDS = 25;

/** As Terraform and OpenTofu lock: whoever makes the lock's object has it, until it is deleted. */
export async function checkTerraformLock(store: Store): Promise<void> {
  const clients = Array.from({ length: RACERS }, (_, i) => sdk(store, i, { maxAttempts: 1 }));
  await clients[0]!.send(new CreateBucketCommand({ Bucket: 'tflock' }));
  for (let round = 0; round < ROUNDS; round++) {
    const Key = `state-${round % 3}.tflock`;
    const outcomes = await Promise.all(
      clients.map(async (client, i) => {
        const lock = { Bucket: 'tflock', Key, IfNoneMatch: '*', Body: `racer ${i}` };
        try {
          await client.send(new PutObjectCommand({ ...lock, ChecksumAlgorithm: 'SHA256' }));
          return 'won';
        } catch (error) {
          const status = error instanceof S3ServiceException && error.$metadata.httpStatusCode;
          if (status === 412 || status === 409) return 'lost';
          throw error;
        }
      }),
    );
    expectEqual(outcomes.filter((outcome) => outcome === 'won').length, 1, 'winners of a lock');
    const held = await clients[1]!.send(new GetObjectCommand({ Bucket: 'tflock', Key }));
    const holder = await held.Body!.transformToString();
    expectEqual(holder, `racer ${outcomes.indexOf('won')}`, 'who holds the lock');
    await clients[2]!.send(new DeleteObjectCommand({ Bucket: 'tflock', Key }));
  }
}
