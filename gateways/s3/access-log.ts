import { createHash } from 'node:crypto';
import type { Telemetry } from '../../observability/port.ts';
import { dataIdBytes, makeDataId } from '../../protocol/blob.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Bucket, ObjectService } from '../../protocol/object-access.ts';
import { type NewData, NO_CONDITION } from '../../protocol/object-ops.ts';
import type { ObjectHead } from '../../protocol/objects.ts';
import { type Random, randomHex } from '../../protocol/random.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { NamedKeys } from '../encryption/named-keys.ts';
import { sealed } from '../encryption/segments.ts';
import { refOf } from './call.ts';
import type { LoggingEnabled } from './logging.ts';
import { defaultSealing, type Sealing, sealedHead } from './object-encryption.ts';
import { answerOf } from './policy-decision.ts';
import { storedAcl } from './stored-acl.ts';
import type { StoredPolicies } from './stored-policy.ts';

export interface AccessLogOptions {
  readonly objects: ObjectService;
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly region: string;
  readonly policies: StoredPolicies;
  /** Null: this node has none, and delivers into no bucket that encrypts by default. */
  readonly keys: NamedKeys | null;
}

/** A bucket whose requests are logged. */
export interface LogSource {
  readonly tenant: string;
  readonly bucket: string;
  /** Canonical id. */
  readonly owner: string;
}

/** Lines of one bucket on their way into one object of another. */
interface Batch {
  readonly source: LogSource;
  readonly to: LoggingEnabled;
  readonly lines: Buffer[];
  bytes: number;
  /** Drawn once: an attempt that is repeated writes the same object again. */
  key: string | null;
  attempts: number;
}

const ATTEMPTS_MAX = 10;
/** As policies name the service that delivers logs. */
const DELIVERY = 'Service:logging.s3.amazonaws.com';

/**
 * Delivers access logs, best effort as in S3: lines are gathered in memory, and become an object of the target bucket
 * after accessLogDelayMs, or once they are many. What a crash takes with it is lost; what finds no room is counted.
 */
export class AccessLog {
  readonly #options: AccessLogOptions;
  /** By source and target. */
  #open = new Map<string, Batch>();
  #waiting: Batch[] = [];
  #bytes = 0;
  #cancel: (() => void) | null = null;
  #delivery: Promise<void> = Promise.resolve();

  constructor(options: AccessLogOptions) {
    this.#options = options;
  }

  record(source: LogSource, to: LoggingEnabled, line: string): void {
    const bytes = Buffer.from(line);
    if (this.#bytes + bytes.length > LIMITS.accessLogBytesMax) return this.#lost(1);
    const name = `${source.tenant}\n${source.bucket}\n${JSON.stringify(to)}`;
    const batch = this.#open.get(name) ?? {
      source,
      to,
      lines: [],
      bytes: 0,
      key: null,
      attempts: 0,
    };
    this.#open.set(name, batch);
    batch.lines.push(bytes);
    batch.bytes += bytes.length;
    this.#bytes += bytes.length;
    if (batch.bytes >= LIMITS.accessLogObjectBytes) {
      this.#open.delete(name);
      this.#waiting.push(batch);
      void this.deliver();
    }
    this.#cancel ??= this.#options.clock.after(LIMITS.accessLogDelayMs, () => {
      this.#cancel = null;
      this.#endOpen();
      void this.deliver();
    });
  }

  /** All that was recorded, now; one after another. Never rejects. */
  flush(): Promise<void> {
    this.#endOpen();
    return this.deliver();
  }

  /** What cannot be delivered now is lost. */
  async close(): Promise<void> {
    await this.flush();
    this.#cancel?.();
    this.#cancel = null;
    for (const batch of this.#waiting.splice(0)) this.#drop(batch, 'the node stops');
  }

  #endOpen(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#waiting.push(...this.#open.values());
    this.#open = new Map();
  }

  deliver(): Promise<void> {
    this.#delivery = this.#delivery.then(() => this.#deliverWaiting());
    return this.#delivery;
  }

  async #deliverWaiting(): Promise<void> {
    const batches = this.#waiting;
    this.#waiting = [];
    for (const batch of batches) {
      const isDone = await this.#deliverOne(batch);
      if (isDone) this.#bytes -= batch.bytes;
      else this.#waiting.push(batch);
    }
    if (this.#waiting.length === 0) return;
    this.#cancel ??= this.#options.clock.after(LIMITS.accessLogDelayMs, () => {
      this.#cancel = null;
      void this.flush();
    });
  }

  /** False: it is to be tried again. */
  async #deliverOne(batch: Batch): Promise<boolean> {
    try {
      const why = await this.#put(batch);
      if (why === null) return true;
      this.#drop(batch, why);
      return true;
    } catch (error) {
      const isOver = ++batch.attempts >= ATTEMPTS_MAX || !(error instanceof AppError);
      if (isOver) this.#drop(batch, String(error));
      return isOver;
    }
  }

  /** Null: it is there. Else why it never will be. */
  async #put(batch: Batch): Promise<string | null> {
    const { objects } = this.#options;
    const { targetBucket } = batch.to;
    const bucket = await objects.buckets.get(context(), batch.source.tenant, targetBucket);
    if (bucket === null) return 'the target bucket is gone';
    batch.key ??= this.#keyOf(batch);
    if (this.#isDenied(bucket, batch)) return 'the policy of the target bucket denies it';
    const ref = refOf(batch.source.tenant, targetBucket, batch.key);
    const sealing = await defaultSealing({ ...this.#options, context }, bucket, ref);
    const lines = Buffer.concat(batch.lines);
    const { data, etag } = await this.#written(ref, lines, sealing);
    const head = sealedHead(headOf(batch.to, bucket.owner), sealing);
    let isNamed = true;
    try {
      const { result } = await objects.apply(context(), bucket, {
        ...{ type: 'put', ref, size: batch.bytes, etag, checksum: null, data },
        ...{ head, ttlMs: null, condition: NO_CONDITION },
      });
      isNamed = result.type === 'put' || result.type === 'data_taken';
      return isNamed ? null : `it was answered ${result.type}`;
    } catch (error) {
      // What nobody foresaw says nothing of what was written.
      isNamed = !(error instanceof AppError && error.definite);
      throw error;
    } finally {
      if (!isNamed && data !== null) objects.data.discard(data);
    }
  }

  async #written(
    ref: KeyRef,
    lines: Buffer,
    sealing: Sealing | null,
  ): Promise<{ readonly data: NewData | null; readonly etag: string }> {
    const { objects, clock, random } = this.#options;
    const etag = createHash('md5').update(lines).digest('hex');
    if (sealing === null) {
      return { data: await objects.data.write(context(), ref, streamOf(lines)), etag };
    }
    const id = makeDataId(clock.wallMs(), random.bytes(10));
    const sealer = sealing.key.sealer(dataIdBytes(id), 0);
    const data = await objects.data.write(context(), ref, sealed(streamOf(lines), sealer), id);
    const own = sealer.digest().toString('hex', 0, 16);
    return { data, etag: sealing.hasOwnETag ? own : etag };
  }

  #isDenied(bucket: Bucket, { source, key }: Batch): boolean {
    const policy = this.#options.policies.of(bucket);
    if (policy === null) return false;
    const facts: Readonly<Record<string, string>> = {
      'aws:sourceaccount': source.owner,
      'aws:sourcearn': `arn:aws:s3:::${source.bucket}`,
      'aws:principalisawsservice': 'true',
      'aws:securetransport': 'true',
    };
    const question = {
      ...{ action: 's3:putobject', resource: `${bucket.rule.name}/${key}` },
      principals: [DELIVERY],
    };
    const answer = answerOf(policy, question, (name) => {
      const fact = facts[name];
      return fact === undefined ? null : [fact];
    });
    return answer === 'deny';
  }

  /** `prefix2026-11-23-06-09-05-0123456789ABCDEF`, or the same under account, region, bucket and day. */
  #keyOf({ source, to }: Batch): string {
    const { region, clock, random } = this.#options;
    const at = new Date(clock.wallMs()).toISOString();
    const name = `${at.slice(0, 19).replace(/[T:]/g, '-')}-${randomHex(random, 8).toUpperCase()}`;
    if (to.targetObjectKeyFormat?.partitionedPrefix == null) return to.targetPrefix + name;
    const day = at.slice(0, 10).replaceAll('-', '/');
    return `${to.targetPrefix}${source.owner}/${region}/${source.bucket}/${day}/${name}`;
  }

  #drop({ lines, source, to }: Batch, why: string): void {
    this.#lost(lines.length);
    const { targetBucket } = to;
    this.#options.telemetry.log('warn', 'an access log was not delivered', {
      ...{ source: source.bucket, targetBucket, lines: lines.length, why },
    });
  }

  #lost(lines: number): void {
    this.#options.telemetry.count('s3_access_log_lines_lost', lines);
  }
}

function context() {
  return { deadlineMs: LIMITS.requestDeadlineMsDefault, traceparent: null, idempotency: null };
}

async function* streamOf(lines: Buffer): AsyncGenerator<Uint8Array> {
  yield lines;
}

function headOf({ targetGrants }: LoggingEnabled, owner: string): ObjectHead {
  const full = {
    ...{
      grantee: { type: 'CanonicalUser', id: owner, displayName: null } as const,
      permission: 'FULL_CONTROL' as const,
    },
  };
  const grants = [full, ...targetGrants];
  return {
    ...{ contentType: 'text/plain', headers: [], metadata: [], tags: [], encryption: null },
    ...{ retention: null, legalHold: null },
    acl: targetGrants.length === 0 ? null : storedAcl({ type: 'grants', grants }),
  };
}
