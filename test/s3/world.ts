import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type CreateBucketCommandInput, type PutObjectCommandInput, S3 } from '@aws-sdk/client-s3';
import {
  type Credentials,
  type HeaderFields,
  pathOf,
  presign,
  queryText,
  type Signable,
  type Signer,
  sha256Hex,
  signHeader,
} from './sign.ts';
import { type Reply, Wire } from './wire.ts';
import { textOf } from './xml.ts';

/** An S3 endpoint and who may use it. */
export interface Target {
  readonly endpoint: string;
  readonly credentials: Credentials;
  /** Of another user; neither of the two is an administrator. Only the area `users` needs it. */
  readonly second?: Credentials;
  readonly region: string;
}

export type Query = Readonly<Record<string, string>>;

export interface RawOptions {
  readonly query?: Query;
  readonly headers?: HeaderFields;
  readonly body?: string | Uint8Array;
  /** How it is signed; `header` unless said. */
  readonly by?: 'header' | 'query' | 'nobody';
  /** Said in x-amz-content-sha256 instead of the body's hash. */
  readonly payload?: string;
  readonly expires?: number | string;
  readonly signer?: Partial<Signer>;
  /** Changes what is sent after it was signed. */
  readonly tamper?: (sent: Sendable) => Sendable;
  /** Without Content-Length. */
  readonly isChunked?: boolean;
}

export interface Sendable {
  readonly target: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

/** Connections to a target, shared by all cases. */
export class Connections {
  readonly target: Target;
  readonly sdk: S3;
  /** The second user's; null: there is none. */
  readonly other: S3 | null;
  readonly wire: Wire;
  readonly #names = { run: runName(), count: 0 };

  constructor(target: Target) {
    this.target = target;
    this.wire = new Wire(target.endpoint);
    const as = (credentials: Credentials): S3 =>
      new S3({
        endpoint: target.endpoint,
        region: target.region,
        credentials: { ...credentials },
        forcePathStyle: true,
        maxAttempts: 1,
      });
    this.sdk = as(target.credentials);
    this.other = target.second === undefined ? null : as(target.second);
  }

  /** What every bucket of this run is called at first. */
  get prefix(): string {
    return `conf-${this.#names.run}-`;
  }

  newName(): string {
    this.#names.count += 1;
    return `${this.prefix}${this.#names.count}`;
  }

  close(): void {
    this.sdk.destroy();
    this.other?.destroy();
    this.wire.close();
  }
}

function runName(): string {
  return Math.random().toString(36).slice(2, 8).padEnd(6, '0');
}

/** What a case has: connections, and buckets that are taken away after it. */
export class World {
  readonly sdk: S3;
  readonly target: Target;
  readonly #connections: Connections;
  readonly #buckets: string[] = [];

  constructor(connections: Connections) {
    this.#connections = connections;
    this.sdk = connections.sdk;
    this.target = connections.target;
  }

  /** The same by the second user. */
  get other(): S3 {
    const { other } = this.#connections;
    assert.ok(other !== null, 'the keys of a second user are needed');
    return other;
  }

  /** Buckets that it may have made, oldest first. */
  get buckets(): readonly string[] {
    return this.#buckets;
  }

  get wire(): Wire {
    return this.#connections.wire;
  }

  /** A bucket's name that is not in use. */
  name(): string {
    const name = this.#connections.newName();
    this.#buckets.push(name);
    return name;
  }

  async bucket(options: Omit<CreateBucketCommandInput, 'Bucket'> = {}): Promise<string> {
    const Bucket = this.name();
    await this.sdk.createBucket({ Bucket, ...options });
    return Bucket;
  }

  async versioned(): Promise<string> {
    const bucket = await this.bucket();
    await this.versioning(bucket, 'Enabled');
    return bucket;
  }

  async versioning(Bucket: string, Status: 'Enabled' | 'Suspended'): Promise<void> {
    await this.sdk.putBucketVersioning({ Bucket, VersioningConfiguration: { Status } });
  }

  /** Its ETag. */
  async put(
    Bucket: string,
    Key: string,
    Body: string | Uint8Array = Key,
    options: Partial<PutObjectCommandInput> = {},
  ): Promise<string> {
    const done = await this.sdk.putObject({ Bucket, Key, Body, ...options });
    assert.match(done.ETag ?? '', /^"[^"]+"$/);
    return done.ETag as string;
  }

  async putAll(bucket: string, keys: readonly string[]): Promise<void> {
    await Promise.all(keys.map((key) => this.put(bucket, key)));
  }

  /** Puts a new version and gives its id. */
  async putVersion(Bucket: string, Key: string, Body: string | Uint8Array): Promise<string> {
    const { VersionId } = await this.sdk.putObject({ Bucket, Key, Body });
    assert.ok(VersionId !== undefined, 'a put into a versioned bucket gives a version id');
    return VersionId;
  }

  /** An object's text. */
  async text(Bucket: string, Key: string, VersionId?: string): Promise<string> {
    const wanted = VersionId === undefined ? { Bucket, Key } : { Bucket, Key, VersionId };
    const { Body } = await this.sdk.getObject(wanted);
    return (await Body?.transformToString()) ?? '';
  }

  /** A request that is signed here, not by the SDK. `path` is encoded, without the endpoint's own prefix. */
  raw(method: string, path: string, options: RawOptions = {}): Promise<Reply> {
    const { body: given = '', isChunked = false, tamper = (sent) => sent } = options;
    const body = typeof given === 'string' ? Buffer.from(given) : given;
    const { target, headers } = this.#signed(method, path, options, body);
    const sent = tamper({ target, headers, body });
    return this.wire.send({ method, isChunked, ...sent });
  }

  /** The same for a bucket or an object in path style. */
  call(method: string, bucket: string, key: string, options: RawOptions = {}): Promise<Reply> {
    return this.raw(method, pathOf(bucket, key), options);
  }

  signer(over: Partial<Signer> = {}): Signer {
    const { credentials, region } = this.target;
    return { credentials, region, service: 's3', at: new Date(), ...over };
  }

  #signed(
    method: string,
    path: string,
    { query = {}, headers = {}, by = 'header', ...options }: RawOptions,
    body: Uint8Array,
  ): { target: string; headers: Record<string, string> } {
    const request: Signable = {
      method,
      path: this.wire.prefix + path,
      query: Object.entries(query),
      headers: { host: this.wire.host, ...headers },
    };
    const signer = this.signer(options.signer);
    const targetOf = (fields: ReadonlyArray<readonly [string, string]>): string =>
      fields.length === 0 ? request.path : `${request.path}?${queryText(fields)}`;
    if (by === 'query') {
      const fields = presign(request, signer, options.expires ?? 300);
      return { target: targetOf(fields), headers: { ...request.headers } };
    }
    const target = targetOf(request.query);
    if (by === 'nobody') return { target, headers: { ...request.headers } };
    const payload = options.payload ?? sha256Hex(body);
    return { target, headers: signHeader(request, signer, payload).headers };
  }
}

/** Refused with exactly this status and code, in an S3 error document. */
export function isRefused(reply: Reply, status: number, code: string): void {
  const seen = textOf(reply.text, 'Code') ?? `(no code) ${reply.text.slice(0, 200)}`;
  assert.equal(`${reply.status} ${seen}`, `${status} ${code}`, textOf(reply.text, 'Message') ?? '');
  assert.match(reply.headers['content-type'] ?? '', /^application\/xml/);
}

/** Answered with this status; the text says why not. */
export function isStatus(reply: Reply, status: number): Reply {
  assert.equal(reply.status, status, reply.text.slice(0, 300));
  return reply;
}

export function md5Base64(bytes: string | Uint8Array): string {
  return createHash('md5').update(bytes).digest('base64');
}

export function md5Hex(bytes: string | Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}
