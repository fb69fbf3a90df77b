import { LIMITS } from '../../protocol/limits.ts';
import type { Bucket, ObjectService } from '../../protocol/object-access.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT, type KeyRef } from '../../protocol/vshard.ts';
import type { S3Identity } from '../identity/s3-user.ts';
import type { Answer } from './answer.ts';
import type { Mount, S3Edge } from './edge.ts';
import { s3Error } from './errors.ts';
import { type Headers, headerOf } from './headers.ts';
import type { Sender } from './identity.ts';
import { engineKeyOf } from './object-key.ts';
import type { RequestBody } from './request-body.ts';
import { hasOwnRole, mayOfBucket } from './role-answers.ts';
import type { Route } from './route.ts';

/** Answers one operation. Throws S3Error or AppError. */
export type Handler = (call: Call) => Promise<Answer>;

/** One request on its way through its handler. */
export class Call {
  readonly edge: S3Edge;
  readonly mount: Mount;
  readonly route: Route;
  readonly sender: Sender;
  readonly body: RequestBody;
  /** As the client sent and signed them; also those of a presigned URL's query. */
  readonly headers: Headers;
  readonly nowMs: number;
  readonly requestId: string;
  /** Of the client; '' where it is gone. */
  readonly remoteAddress: () => string;
  #bucket: Promise<Bucket | null> | null = null;
  #author: S3Identity | null = null;

  constructor(parts: {
    readonly edge: S3Edge;
    readonly mount: Mount;
    readonly route: Route;
    readonly sender: Sender;
    readonly body: RequestBody;
    readonly remoteAddress: () => string;
    readonly requestId: string;
  }) {
    this.edge = parts.edge;
    this.mount = parts.mount;
    this.route = parts.route;
    this.sender = parts.sender;
    this.body = parts.body;
    this.remoteAddress = parts.remoteAddress;
    this.requestId = parts.requestId;
    this.headers = Object.fromEntries(parts.sender.headers);
    this.nowMs = parts.edge.http.clock.wallMs();
  }

  get objects(): ObjectService {
    return this.edge.objects;
  }

  /** Whose key signed the request, or the form in it; the account where nobody has to sign. Null: nobody's. */
  get who(): S3Identity | null {
    return this.#author ?? this.sender.who;
  }

  /** A form says inside who sends it. */
  isSentBy(author: S3Identity): void {
    const before = this.tenant;
    this.#author = author;
    // What was found under its name before may be another tenant's.
    if (this.tenant !== before) this.#bucket = null;
  }

  /** The same. Throws AccessDenied where nobody did, and somebody has to. */
  get signer(): S3Identity {
    const { who } = this;
    if (who === null) throw s3Error('AccessDenied');
    return who;
  }

  /** For one question to the store. */
  context(): RequestContext {
    return { deadlineMs: LIMITS.requestDeadlineMsDefault, traceparent: null, idempotency: null };
  }

  /** For data, which takes as long as the client and the disks do. */
  longContext(): RequestContext {
    return { deadlineMs: LIMITS.requestDeadlineMsMax, traceparent: null, idempotency: null };
  }

  header(name: string): string | null {
    return headerOf(this.headers, name);
  }

  /** Where the client believes itself to be, e.g. `https://localhost:9000`. */
  origin(): string {
    return `${this.sender.isSecure ? 'https' : 'http'}://${this.header('host') ?? ''}`;
  }

  /** Whose buckets there are for this request: those of the tenant of whoever signed it; else of the one that the path names, or of the cluster's own. */
  get tenant(): string {
    return this.who?.access.tenant ?? this.route.tenant ?? DEFAULT_TENANT;
  }

  /** The engine's name of the object that the request is about. */
  get ref(): KeyRef {
    return this.refOf(this.route.bucket, this.route.key);
  }

  /** Of an object of the same tenant. */
  refOf(bucket: string, key: string): KeyRef {
    return refOf(this.tenant, bucket, key);
  }

  /** Asked for once. */
  findBucket(): Promise<Bucket | null> {
    this.#bucket ??= this.edge.objects.buckets.get(this.context(), this.tenant, this.route.bucket);
    return this.#bucket;
  }

  /** What the request has asked for already; null: it has not. */
  get askedBucket(): Promise<Bucket | null> | null {
    return this.#bucket;
  }

  /** The same of another object of the bucket; `headers` in place of the client's. */
  about(key: string, headers?: Headers): Call {
    const { edge, mount, body, route, remoteAddress, requestId } = this;
    const said = headers === undefined ? this.sender.headers : new Map(Object.entries(headers));
    const sender = { ...this.sender, headers: said as Sender['headers'] };
    const rest = { sender, body, remoteAddress, requestId };
    const call = new Call({ edge, mount, route: { ...route, key }, ...rest });
    call.#bucket = this.#bucket;
    call.#author = this.#author;
    return call;
  }

  /** Throws NoSuchBucket. */
  async bucket(): Promise<Bucket> {
    const bucket = await this.findBucket();
    if (bucket === null) throw noSuchBucket(this.route.bucket);
    this.#checkOwner(bucket, 'x-amz-expected-bucket-owner');
    return bucket;
  }

  /** Of the source of a copy. Throws NoSuchBucket. */
  async sourceBucket(name: string): Promise<Bucket> {
    const isSame = name === this.route.bucket;
    const bucket = isSame
      ? await this.findBucket()
      : await this.edge.objects.buckets.get(this.context(), this.tenant, name);
    if (bucket === null) throw noSuchBucket(name);
    this.#checkOwner(bucket, 'x-amz-source-expected-bucket-owner');
    return bucket;
  }

  /** Throws AccessDenied where the client believes it to be another's. */
  #checkOwner({ owner }: Bucket, name: string): void {
    const expected = this.header(name);
    if (expected !== null && expected !== owner) throw s3Error('AccessDenied');
  }

  /** The bucket of a put, made where the mount makes them. */
  async bucketForPut(): Promise<Bucket> {
    const bucket = await this.findBucket();
    const { who } = this;
    if (bucket !== null || !this.mount.makesBuckets || who === null) return this.bucket();
    const { bucket: name } = this.route;
    if (hasOwnRole(who) && !mayOfBucket(who, 'bucket:write', name)) return this.bucket();
    const made = await this.edge.objects.buckets.create(this.context(), {
      ...{ tenant: this.tenant, name: this.route.bucket, owner: who.id },
      ...{ objectLock: false, documents: {} },
    });
    this.#bucket = Promise.resolve(made.bucket);
    return made.bucket;
  }
}

export function refOf(tenant: string, bucket: string, key: string): KeyRef {
  return { tenant, space: bucket, key: engineKeyOf(key) };
}

export function noSuchBucket(name: string) {
  return s3Error('NoSuchBucket', undefined, { BucketName: name });
}
