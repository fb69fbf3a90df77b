import { LIMITS } from '../../protocol/limits.ts';
import type { Bucket, ObjectService } from '../../protocol/object-access.ts';
import { NO_CONDITION } from '../../protocol/object-ops.ts';
import type { RequestContext } from '../../protocol/service.ts';

/** Versions of one step, and how many of them go at once. */
const STEP_VERSIONS = 256;
const AT_ONCE = 16;
/** Steps of one turn. */
const STEPS_PER_TURN = 20;

export interface RemovedObjects {
  readonly buckets: number;
  readonly versions: number;
  /** Nothing was left. */
  readonly isAll: boolean;
  /** What a retention or a legal hold keeps is kept: that is what both are for. */
  readonly isLocked: boolean;
}

/** A piece of work on the buckets of a tenant that is being deleted; can be done again. */
export async function removeObjects(
  objects: ObjectService,
  tenant: string,
): Promise<RemovedObjects> {
  const found = await objects.buckets.list(context(), tenant, {
    ...{ prefix: '', after: '', limit: STEPS_PER_TURN, owner: null },
  });
  let [buckets, versions, isLocked] = [0, 0, false];
  for (const bucket of found) {
    const emptied = await empty(objects, tenant, bucket);
    versions += emptied.versions;
    isLocked ||= emptied.isLocked;
    if (!emptied.isAll) continue;
    const outcome = await objects.buckets.delete(context(), tenant, bucket.rule.name);
    if (outcome === 'deleted') buckets++;
  }
  return { buckets, versions, isAll: found.length === 0, isLocked };
}

async function empty(objects: ObjectService, tenant: string, bucket: Bucket) {
  const space = bucket.rule.name;
  let [versions, start, below, isLocked] = [0, '', 0, false];
  for (let step = 0; step < STEPS_PER_TURN; step++) {
    const { entries, next } = await objects.listVersions(context(), {
      ...{ tenant, space, prefix: '', delimiter: null, start, below, limit: STEP_VERSIONS },
    });
    const listed = entries.filter((entry) => entry.type === 'version');
    for (let at = 0; at < listed.length; at += AT_ONCE) {
      const results = await Promise.all(
        listed.slice(at, at + AT_ONCE).map(({ key, versionId }) =>
          objects.apply(context(), bucket, {
            ...{ type: 'delete', ref: { tenant, space, key }, versionId },
            ...{ condition: NO_CONDITION, bypass: true },
          }),
        ),
      );
      versions += results.filter(({ result }) => result.type === 'deleted').length;
      isLocked ||= results.some(({ result }) => result.type === 'object_locked');
    }
    if (next === null) return { versions, isAll: !isLocked, isLocked };
    ({ key: start, below } = next);
  }
  return { versions, isAll: false, isLocked };
}

function context(): RequestContext {
  return {
    ...{ deadlineMs: LIMITS.requestDeadlineMsDefault, traceparent: null, idempotency: null },
  };
}
