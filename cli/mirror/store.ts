import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import {
  bucketsOf,
  completionOf,
  etagOf,
  type ListedPart,
  type ObjectPage,
  objectPageOf,
  partPageOf,
  tagHeaderOf,
  textIn,
  type VersionPage,
  versionPageOf,
} from './answers.ts';
import {
  type S3Client,
  S3Failure,
  type S3Request,
  type StreamBody,
  type StreamedAnswer,
} from './s3-client.ts';

/** One object, or one version of it. */
export interface ObjectRef {
  readonly bucket: string;
  readonly key: string;
  /** Null: the current one. */
  readonly versionId: string | null;
}

export interface Upload extends ObjectRef {
  readonly uploadId: string;
}

const PAGE_KEYS = 1000;

/** An S3 endpoint in the operations that a mirror needs. Every method throws S3Failure. */
export class S3Store {
  readonly #client: S3Client;
  /** Of listings. */
  readonly #page: string;

  constructor(client: S3Client, pageKeys = PAGE_KEYS) {
    this.#client = client;
    this.#page = String(pageKeys);
  }

  async buckets(): Promise<string[]> {
    return bucketsOf((await this.#client.send({ method: 'GET' })).body);
  }

  async hasBucket(bucket: string): Promise<boolean> {
    return (await orNull(this.#client.send({ method: 'HEAD', bucket }))) !== null;
  }

  async createBucket(bucket: string, hasLock = false): Promise<void> {
    const headers: Record<string, string> = hasLock
      ? { 'x-amz-bucket-object-lock-enabled': 'true' }
      : {};
    await this.#client.send({ method: 'PUT', bucket, headers }).catch((error: unknown) => {
      // Its answer was lost, or somebody else made it meanwhile.
      if (!(error instanceof S3Failure) || error.code !== 'BucketAlreadyOwnedByYou') throw error;
    });
  }

  /** `Enabled`, `Suspended` or null. */
  async versioning(bucket: string): Promise<string | null> {
    const { body } = await this.#client.send({ method: 'GET', bucket, query: { versioning: '' } });
    return textIn(body, 'Status');
  }

  async setVersioning(bucket: string, status: 'Enabled' | 'Suspended'): Promise<void> {
    const body = Buffer.from(
      `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>${status}</Status></VersioningConfiguration>`,
    );
    await this.#client.send({ method: 'PUT', bucket, query: { versioning: '' }, body });
  }

  /** Whether its objects can be locked; false also where the other side does not know of locks. */
  async hasLock(bucket: string): Promise<boolean> {
    const body = await this.setting(bucket, 'object-lock').catch((error: unknown) => {
      if (error instanceof S3Failure && (error.status === 501 || error.status === 405)) return null;
      throw error;
    });
    return body !== null && textIn(body, 'ObjectLockEnabled') === 'Enabled';
  }

  /** The document of a bucket's sub-resource; null: it has none. */
  async setting(bucket: string, name: string): Promise<Buffer | null> {
    const sent = this.#client.send({ method: 'GET', bucket, query: { [name]: '' } });
    return (await orNull(sent))?.body ?? null;
  }

  async putSetting(bucket: string, name: string, body: Uint8Array): Promise<void> {
    const md5 = createHash('md5').update(body).digest('base64');
    const headers = { 'content-md5': md5, 'content-type': 'application/octet-stream' };
    await this.#client.send({ method: 'PUT', bucket, query: { [name]: '' }, headers, body });
  }

  /** Pages of keys behind `after`, in the order of their bytes. */
  async *list(bucket: string, prefix: string, after: string | null): AsyncGenerator<ObjectPage> {
    let token: string | null = null;
    do {
      const query: Record<string, string | undefined> = {
        ...{ 'list-type': '2', 'encoding-type': 'url', 'max-keys': this.#page },
        ...{ prefix: prefix === '' ? undefined : prefix },
        ...{ 'continuation-token': token ?? undefined },
        'start-after': token === null ? (after ?? undefined) : undefined,
      };
      const page: ObjectPage = objectPageOf(
        (await this.#client.send({ method: 'GET', bucket, query })).body,
      );
      yield page;
      token = page.token;
    } while (token !== null);
  }

  /** Pages of versions of keys behind `after`. */
  async *listVersions(
    bucket: string,
    prefix: string,
    after: string | null,
  ): AsyncGenerator<VersionPage> {
    let from: { key: string; versionId: string } | null =
      after === null ? null : { key: after, versionId: '' };
    do {
      const query: Record<string, string | undefined> = {
        ...{ versions: '', 'encoding-type': 'url', 'max-keys': this.#page },
        ...{ prefix: prefix === '' ? undefined : prefix },
        ...{ 'key-marker': from?.key },
        'version-id-marker': from === null || from.versionId === '' ? undefined : from.versionId,
      };
      const page: VersionPage = versionPageOf(
        (await this.#client.send({ method: 'GET', bucket, query })).body,
      );
      yield page;
      from = page.next;
    } while (from !== null);
  }

  /** Null: there is no such object. `part`: of that part only, with the number of parts among the headers. */
  async head(ref: ObjectRef, part: number | null = null): Promise<IncomingHttpHeaders | null> {
    const query = { ...versionOf(ref), partNumber: part === null ? undefined : String(part) };
    const answer = await orNull(this.#client.send({ ...place(ref), method: 'HEAD', query }));
    return answer?.headers ?? null;
  }

  /** Sent once. The stream has to be read to its end, or destroyed. */
  async get(ref: ObjectRef, headers: Readonly<Record<string, string>>): Promise<StreamedAnswer> {
    return this.#client.open({ ...place(ref), method: 'GET', query: versionOf(ref), headers });
  }

  /** As the header `x-amz-tagging` has them. */
  async tags(ref: ObjectRef): Promise<string> {
    const query = { ...versionOf(ref), tagging: '' };
    return tagHeaderOf((await this.#client.send({ ...place(ref), method: 'GET', query })).body);
  }

  /** Sent once; gives the ETag. */
  async put(
    ref: ObjectRef,
    headers: Readonly<Record<string, string>>,
    body: StreamBody,
  ): Promise<string> {
    return etagOf(
      (await this.#client.send({ ...place(ref), method: 'PUT', headers, body })).headers,
    );
  }

  /** Without a version: leaves a delete marker where the bucket has versions. */
  async remove(ref: ObjectRef): Promise<void> {
    await this.#client.send({ ...place(ref), method: 'DELETE', query: versionOf(ref) });
  }

  async beginUpload(ref: ObjectRef, headers: Readonly<Record<string, string>>): Promise<Upload> {
    const query = { uploads: '' };
    const { body } = await this.#client.send({ ...place(ref), method: 'POST', query, headers });
    return { ...ref, uploadId: textIn(body, 'UploadId') ?? '' };
  }

  /** Sent once; gives the part's ETag. */
  async putPart(upload: Upload, number: number, body: StreamBody): Promise<string> {
    const query = { partNumber: String(number), uploadId: upload.uploadId };
    return etagOf(
      (await this.#client.send({ ...place(upload), method: 'PUT', query, body })).headers,
    );
  }

  /** Null: there is no such upload. */
  async parts(upload: Upload): Promise<ListedPart[] | null> {
    const found: ListedPart[] = [];
    for (let marker: string | null = ''; marker !== null; ) {
      const query: Record<string, string | undefined> = {
        ...{ uploadId: upload.uploadId, 'max-parts': this.#page },
        'part-number-marker': marker === '' ? undefined : marker,
      };
      const request: S3Request = { ...place(upload), method: 'GET', query };
      const answer = await orNull(this.#client.send(request));
      if (answer === null) return null;
      const { parts, next } = partPageOf(answer.body);
      found.push(...parts);
      marker = next;
    }
    return found;
  }

  /** `etags` of the parts from 1 on; gives that of the object. */
  async completeUpload(upload: Upload, etags: readonly string[]): Promise<string> {
    const parts = etags.map(
      (etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>"${etag}"</ETag></Part>`,
    );
    const xmlns = 'http://s3.amazonaws.com/doc/2006-03-01/';
    const text = `<CompleteMultipartUpload xmlns="${xmlns}">${parts.join('')}</CompleteMultipartUpload>`;
    const query = { uploadId: upload.uploadId };
    const { body } = await this.#client.send({
      ...{ ...place(upload), method: 'POST' as const, query },
      ...{ headers: { 'content-type': 'application/xml' }, body: Buffer.from(text) },
    });
    const done = completionOf(body);
    if ('etag' in done) return done.etag;
    throw new S3Failure(`${upload.key} was not completed [${done.error}]`, done.error, 500);
  }

  async abortUpload(upload: Upload): Promise<void> {
    const query = { uploadId: upload.uploadId };
    await orNull(this.#client.send({ ...place(upload), method: 'DELETE', query }));
  }
}

function place({ bucket, key }: ObjectRef): { bucket: string; key: string } {
  return { bucket, key };
}

function versionOf({ versionId }: ObjectRef): { versionId: string | undefined } {
  return { versionId: versionId ?? undefined };
}

async function orNull<T>(sent: Promise<T>): Promise<T | null> {
  try {
    return await sent;
  } catch (error) {
    if (error instanceof S3Failure && error.status === 404) return null;
    throw error;
  }
}
