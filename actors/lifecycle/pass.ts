import type { Telemetry } from '../../observability/port.ts';
import { AppError } from '../../protocol/errors.ts';
import {
  decodeLifecycle,
  LIFECYCLE,
  type LifecycleConfiguration,
} from '../../protocol/lifecycle.ts';
import type { Bucket, ObjectService } from '../../protocol/object-access.ts';
import type { ObjectOp } from '../../protocol/object-ops.ts';
import type { RequestContext } from '../../protocol/service.ts';
import type { GroupView } from '../apply/group-state.ts';
import { listUploads } from '../apply/object-upload-list.ts';
import { WALK_START, type WalkPosition, walkVersions } from '../apply/object-walk-page.ts';
import { isUploadDue, judgeVersion, type RuleTime } from './judge.ts';

/** What one step looks at, and what it takes away at once. */
const STEP_VERSIONS = 256;
const STEP_UPLOADS = 256;
const AT_ONCE = 16;
const STEP_BYTES_MAX = 1024 * 1024;
const DEADLINE_MS = 10_000;

export interface PassHost {
  readonly objects: Pick<ObjectService, 'apply' | 'buckets'>;
  readonly telemetry: Telemetry;
  view(): GroupView;
  time(): RuleTime;
}

type Wanted = { readonly why: string; readonly op: ObjectOp };

/**
 * One pass of rules over what a group has of some buckets. A step reads one page as the group has it applied and asks for
 * the removal of what is due, each under the condition that it is still what was read (O10): whoever leads by then.
 */
export class LifecyclePass {
  readonly #host: PassHost;
  readonly #buckets: Bucket[];
  #versions: WalkPosition | null = WALK_START;
  #uploads: { readonly key: string; readonly after: string } | null = { key: '', after: '' };

  constructor(host: PassHost, buckets: readonly Bucket[]) {
    this.#host = host;
    this.#buckets = [...buckets];
  }

  /** Whether there is more. */
  async step(): Promise<boolean> {
    const [first] = this.#buckets;
    if (first === undefined) return false;
    const { tenant, name } = first.rule;
    const bucket = await this.#host.objects.buckets.get(context(), tenant, name);
    const text = bucket?.rule.id === first.rule.id ? bucket.documents[LIFECYCLE] : undefined;
    if (bucket === null || text === undefined) return this.#nextBucket();
    const rules = decodeLifecycle(text);
    const wanted =
      this.#versions === null
        ? await this.#dueUploads(bucket, rules)
        : await this.#due(bucket, rules);
    await this.#remove(bucket, wanted);
    if (this.#versions === null && this.#uploads === null) return this.#nextBucket();
    return true;
  }

  #nextBucket(): boolean {
    this.#buckets.shift();
    this.#versions = WALK_START;
    this.#uploads = { key: '', after: '' };
    return this.#buckets.length > 0;
  }

  async #due({ rule }: Bucket, rules: LifecycleConfiguration): Promise<Wanted[]> {
    const { tenant, name: space } = rule;
    const from = this.#versions ?? WALK_START;
    const view = this.#host.view();
    try {
      const page = await walkVersions(view, { tenant, space }, from, STEP_VERSIONS);
      this.#versions = page.next;
      this.#host.telemetry.count('lifecycle_looked', page.versions.length);
      const time = this.#host.time();
      return page.versions.flatMap(({ key, ...seen }) => {
        const verdict = judgeVersion(rules, { ref: { tenant, space, key }, ...seen }, time);
        return verdict === null ? [] : [verdict];
      });
    } finally {
      await view.close();
    }
  }

  async #dueUploads({ rule }: Bucket, rules: LifecycleConfiguration): Promise<Wanted[]> {
    const { tenant, name: space, id } = rule;
    const { key: start, after } = this.#uploads ?? { key: '', after: '' };
    const view = this.#host.view();
    try {
      const asked = { tenant, space, prefix: '', delimiter: null, start, after };
      const bounds = { limit: STEP_UPLOADS, bytesMax: STEP_BYTES_MAX };
      const { entries, next } = await listUploads(view, id, { ...asked, ...bounds });
      this.#uploads = next;
      const time = this.#host.time();
      return entries.flatMap((one) => {
        if (one.type === 'prefix' || !isUploadDue(rules, one, time)) return [];
        const ref = { tenant, space, key: one.key };
        return [{ why: 'upload', op: { type: 'uploadAbort', ref, upload: one.upload } as const }];
      });
    } finally {
      await view.close();
    }
  }

  async #remove(bucket: Bucket, wanted: readonly Wanted[]): Promise<void> {
    let next = 0;
    const work = async (): Promise<void> => {
      for (let at = next++; at < wanted.length; at = next++) {
        await this.#removeOne(bucket, wanted[at] as Wanted);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  /** What cannot be done now is found again by the next pass. */
  async #removeOne(bucket: Bucket, { why, op }: Wanted): Promise<void> {
    const { objects, telemetry } = this.#host;
    try {
      const { result } = await objects.apply(context(), bucket, op);
      const isDone = result.type === 'deleted' || result.type === 'aborted';
      if (isDone) telemetry.count('lifecycle_removed', 1, { action: why });
      else telemetry.count('lifecycle_kept', 1, { reason: result.type });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      telemetry.count('lifecycle_kept', 1, { reason: error.code });
    }
  }
}

function context(): RequestContext {
  return { deadlineMs: DEADLINE_MS, traceparent: null, idempotency: null };
}
