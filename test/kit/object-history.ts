import type { Applied } from '../../actors/apply/apply.ts';
import { nextExpiry } from '../../actors/apply/expire.ts';
import { nextBucketSweep } from '../../actors/apply/object-upload-list.ts';
import type { Command } from '../../protocol/commands.ts';
import { encodeConfig } from '../../protocol/membership.ts';
import {
  type BucketRule,
  type NewData,
  NO_CONDITION,
  type ObjectCondition,
  type ObjectOp,
} from '../../protocol/object-ops.ts';
import { NO_HEAD, type ObjectHead } from '../../protocol/objects.ts';
import type { ObjectTxnOp } from '../../protocol/txn.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { idOf, ObjectModel, uploadName } from '../check/object-model.ts';
import { AppliedGroup } from './applied-group.ts';
import { KEYS, type ObjectStep } from './object-steps.ts';
import { plainResult, transacted } from './object-txns.ts';

/** Operations on one bucket, each done to a group and to a model of S3. */

export const BUCKET = { tenant: 'default', space: 'bucket-1' };
export const VOTERS = ['n1:aa', 'n2:bb', 'n3:cc'] as ReplicaId[];
const DAY_MS = 24 * 3600 * 1000;

export function objectRef(key: string): KeyRef {
  return { ...BUCKET, key };
}

export const RULE: BucketRule = {
  tenant: BUCKET.tenant,
  name: BUCKET.space,
  ...{ id: 1, epoch: 1, versioning: 'off', objectLock: false, retention: null, state: 'live' },
};

/** A group and the model beside it. */
export class ObjectHistory {
  readonly group = new AppliedGroup();
  readonly model = new ObjectModel();
  /** Current versions by key after each entry: putAt and ETag. */
  readonly past: { revision: number; current: Map<string, string> }[] = [];
  #rule: BucketRule = RULE;
  #drawn = 0;
  #last: Uint8Array | null = null;

  constructor() {
    this.model.voters = VOTERS;
    this.log({ type: 'bucket', rule: RULE });
    this.model.bucket(RULE);
  }

  log(command: Command): Applied {
    return this.group.apply(command);
  }

  /** Does a step to both; gives both answers where it is an operation, and what was applied where anything was. */
  async take(step: ObjectStep): Promise<{ applied: Applied | null; wanted: unknown }> {
    const op = this.opOf(step);
    if (op !== null) return this.#perform(op);
    const none = { applied: null, wanted: null };
    switch (step.type) {
      case 'rule':
        this.#setRule(step);
        return none;
      case 'txn':
        return this.#transact(step);
      case 'expire':
        return { applied: await this.#expire(), wanted: null };
      case 'sweep':
        await this.#sweep();
        return none;
      case 'config':
        this.#configure();
        return none;
      case 'wait':
        this.group.wallMs += step.ms;
        return none;
      case 'compact': {
        const floor = this.past.at(-1 - step.back)?.revision ?? 1;
        this.group.compact(Math.min(floor, this.group.state.clock));
        return none;
      }
      default:
        return none;
    }
  }

  #perform(op: ObjectOp): { applied: Applied; wanted: unknown } {
    const revision = this.group.nextRevision();
    const { id } = this.#rule;
    const applied = this.log({
      ...{ type: 'object', revision, epoch: 1, bucket: id, founders: VOTERS, op },
      ...{ idempotency: null, traceparent: null },
    });
    const wanted = this.model.do(op, id, revision);
    this.#note();
    return { applied, wanted };
  }

  /** The operation in a transaction of one entry, or of two with others that try to come between them. */
  #transact(step: Extract<ObjectStep, { type: 'txn' }>): { applied: Applied; wanted: unknown } {
    const ref = objectRef(KEYS[step.key] as string);
    const versionId = this.#version(ref.key, step.version);
    const { id: bucket, state } = this.#rule;
    const tags = [{ name: 'x', value: String(this.#drawn) }];
    const op: ObjectTxnOp =
      step.what === 'delete'
        ? { type: 'deleteObject', ref, bucket, versionId }
        : { type: 'tagObject', ref, bucket, versionId, tags };
    const { applied, result, revision, at } = transacted(this.group, this.#rule, op, step);
    const told = result.type === 'objectRefused' ? result.result : plainResult(result, revision);
    if (revision === 0 && result.type !== 'objectRefused') return { applied, wanted: null };
    const rest = { ref, versionId, condition: NO_CONDITION, bypass: false };
    const own: ObjectOp =
      step.what === 'delete'
        ? { type: 'delete', ...rest }
        : { type: 'amend', ...rest, change: { type: 'tags', tags } };
    const wanted =
      state === 'live' ? this.model.do(own, bucket, revision || at) : { type: 'no_such_bucket' };
    this.#note();
    return { applied: { ...applied, object: told }, wanted };
  }

  #note(): void {
    const revision = this.group.state.clock;
    const current = new Map<string, string>();
    for (const one of KEYS) {
      const found = this.model.current(one, revision);
      if (found !== null) current.set(one, `${found.putAt} ${found.etag}`);
    }
    this.past.push({ revision, current });
  }

  #setRule(step: Extract<ObjectStep, { type: 'rule' }>): void {
    const { id, epoch, state } = this.#rule;
    const isOver = state === 'gone';
    const isEmpty = [...this.model.keys.values()].every((all) => all.length === 0);
    const versioning = step.lock !== false ? 'enabled' : step.versioning;
    const period = { mode: 'governance' as const, periodMs: 50_000 };
    this.#rule = {
      ...RULE,
      versioning,
      // Only what is empty ends, and whoever has a lock keeps it.
      state: step.state === 'gone' && !isEmpty ? 'live' : step.state,
      id: isOver ? id + 1 : id,
      epoch: epoch + 1,
      objectLock: step.lock !== false,
      retention: step.lock === 'default' ? period : null,
    };
    this.log({ type: 'bucket', rule: this.#rule });
    this.model.bucket(this.#rule);
  }

  async #expire(): Promise<Applied | null> {
    const { group } = this;
    const view = group.state.view();
    const { keys } = await nextExpiry(view, 100, group.wallMs);
    await view.close();
    if (keys.length === 0) return null;
    const applied = this.log({ type: 'expire', revision: group.nextRevision(), keys });
    for (const { ref } of keys) this.model.expire(ref.key);
    this.#note();
    return applied;
  }

  async #sweep(): Promise<void> {
    const { group, model } = this;
    const view = group.state.view();
    const found = await nextBucketSweep(view);
    await view.close();
    if (found === null) return;
    this.log({ type: 'bucketSweep', revision: group.nextRevision(), ...found });
    for (const { key: at, upload: one } of found.uploads) {
      model.uploads.delete(uploadName({ ref: objectRef(at), upload: one }));
    }
  }

  #configure(): void {
    const voters = ['n1:aa', 'n2:bb', 'n4:dd'] as ReplicaId[];
    const bytes = encodeConfig({ voters, votersOld: null, learners: [] });
    this.group.configure(bytes);
    this.model.voters = voters;
  }

  /** The operation of a step as it stands now; null: the step is none. */
  opOf(step: ObjectStep): ObjectOp | null {
    const at = 'key' in step ? (KEYS[step.key] as string) : '';
    const ref = objectRef(at);
    switch (step.type) {
      case 'put': {
        const etag = `e${this.#drawn % 4}`;
        const data = this.#data(step.data);
        const size = data?.bytes ?? 0;
        const condition = this.#condition(at, step.condition);
        const head = this.#head(step.lock);
        const { ttlMs } = step;
        return { type: 'put', ref, size, etag, checksum: null, head, data, ttlMs, condition };
      }
      case 'delete': {
        const condition = this.#condition(at, step.condition);
        const versionId = this.#version(at, step.version);
        return { type: 'delete', ref, versionId, condition, bypass: step.bypass };
      }
      case 'amend': {
        const versionId = this.#version(at, step.version);
        const change = this.#change(step);
        const condition = NO_CONDITION;
        return { type: 'amend', ref, versionId, change, condition, bypass: step.bypass };
      }
      case 'create': {
        const head = this.#head(step.lock);
        return {
          type: 'uploadCreate',
          ref: this.#uploadRef(step),
          upload: this.#name(step),
          head,
          checksum: null,
        };
      }
      case 'part': {
        const { number, size } = step;
        const etag = `p${this.#drawn % 3}`;
        const data = this.#data(step.data);
        const known = { ref: this.#uploadRef(step), upload: this.#name(step) };
        return { type: 'uploadPart', ...known, number, size, etag, checksum: null, data };
      }
      case 'complete':
        return this.#complete(step);
      case 'lifecycle': {
        const versionId = this.#version(at, step.version) ?? 'null';
        const all = this.model.versions(at);
        const index = all.findIndex((one) => idOf(one) === versionId);
        const seen = (all[index]?.seen ?? 1) - (step.stale === 'seen' ? 1 : 0);
        const newer = (all[index - 1]?.putAt ?? 0) + (step.stale === 'newer' ? 1 : 0);
        const newerNoncurrent = Math.max(0, index - 1) + step.more;
        const dueMs = this.group.wallMs + step.aheadMs;
        return { type: 'expire', ref, versionId, seen, newer, newerNoncurrent, dueMs };
      }
      case 'abort':
        return { type: 'uploadAbort', ref: this.#uploadRef(step), upload: this.#name(step) };
      default:
        return null;
    }
  }

  /** An id is one bucket's: whoever draws it anew gets another. */
  #name(step: { upload: string }): string {
    return `${step.upload}-${this.#rule.id}`;
  }

  /** Mostly the upload's own key. */
  #uploadRef(step: { key: number; upload: string }): KeyRef {
    const name = this.#name(step);
    const known = [...this.model.uploads.values()].find(({ upload: one }) => one === name);
    return objectRef(
      known === undefined || step.key === 0 ? (KEYS[step.key] as string) : known.key,
    );
  }

  #complete(step: Extract<ObjectStep, { type: 'complete' }>): ObjectOp {
    const ref = this.#uploadRef(step);
    const known = this.model.uploads.get(uploadName({ ref, upload: this.#name(step) }));
    const all = [...(known?.parts ?? [])].sort(([a], [b]) => a - b);
    let parts = all.map(([number, { etag }]) => ({ number, etag, checksum: null }));
    if (step.how === 'last') parts = parts.slice(-1);
    if (step.how === 'none') parts = [];
    if (step.how === 'reverse') parts.reverse();
    if (step.how === 'wrong') parts = parts.map((part) => ({ ...part, etag: 'other' }));
    const condition = this.#condition(ref.key, step.condition);
    const etag = `m-${parts.length}`;
    const { ttlMs } = step;
    const named = { upload: this.#name(step), parts, etag, checksum: null };
    return { type: 'uploadComplete', ref, ...named, ttlMs, condition };
  }

  #condition(at: string, what: string): ObjectCondition {
    const etag = this.model.current(at, this.group.nextRevision())?.etag ?? 'e0';
    switch (what) {
      case 'absent':
        return { match: null, noneMatch: ['*'] };
      case 'exists':
        return { match: ['*'], noneMatch: null };
      case 'same':
        return { match: ['x', etag], noneMatch: null };
      case 'other':
        return { match: null, noneMatch: [etag] };
      default:
        return NO_CONDITION;
    }
  }

  #version(at: string, what: string | number): string | null {
    if (what === 'none') return null;
    if (what === 'null') return 'null';
    const found = typeof what === 'number' ? this.model.versions(at)[what] : undefined;
    return found === undefined ? '00000000000g0' : idOf(found);
  }

  #head(lock: string): ObjectHead {
    const retention = this.#retention(lock);
    const tags = [{ name: 'n', value: String(this.#drawn) }];
    return {
      ...NO_HEAD,
      contentType: 'text/plain',
      tags,
      retention,
      legalHold: lock === 'hold' ? true : null,
    };
  }

  #retention(lock: string): ObjectHead['retention'] {
    const untilMs =
      this.group.wallMs + (lock === 'past' ? -1 : 40_000 + (this.#drawn % 3) * 20_000);
    if (lock === 'past' || lock === 'governance') return { mode: 'governance', untilMs };
    return lock === 'compliance' ? { mode: 'compliance', untilMs } : null;
  }

  #change(step: Extract<ObjectStep, { type: 'amend' }>) {
    switch (step.what) {
      case 'tags':
        return { type: 'tags' as const, tags: [{ name: 't', value: String(this.#drawn) }] };
      case 'acl':
        return { type: 'acl' as const, acl: 'public-read' };
      case 'retention':
        return { type: 'retention' as const, retention: this.#retention(step.lock) };
      case 'free':
        return { type: 'retention' as const, retention: null };
      case 'hold':
      case 'unhold':
        return { type: 'legalHold' as const, legalHold: step.what === 'hold' };
      default: {
        const metadata = [{ name: 'm', value: String(this.#drawn) }];
        return { type: 'metadata' as const, contentType: null, headers: [], metadata };
      }
    }
  }

  #data(what: string): NewData | null {
    const drawn = ++this.#drawn;
    if (what === 'none') return null;
    const id = Buffer.alloc(16, 7);
    id.writeUIntBE(this.group.wallMs - (what === 'old' ? DAY_MS : 0), 0, 6);
    id.writeUInt32BE(drawn, 12);
    const again = what === 'again' ? this.#last : null;
    this.#last = id;
    if (what === 'chunks' || what === 'few') {
      const holders = VOTERS.slice(0, what === 'few' ? 1 : 2);
      return { id, bytes: 100_000 + drawn, chunkBytes: 65_536, holders, inline: null };
    }
    const inline = Buffer.from(`bytes ${drawn}`);
    return { id: again ?? id, bytes: inline.length, chunkBytes: 0, holders: [], inline };
  }
}
