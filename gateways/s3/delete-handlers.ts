import { isDenial } from '../../protocol/audit.ts';
import type { Bucket } from '../../protocol/object-access.ts';
import type { ObjectCondition, ObjectResult } from '../../protocol/object-ops.ts';
import { NO_CONDITION } from '../../protocol/object-ops.ts';
import { type Answer, emptyAnswer, type HeaderPair, xmlAnswer } from './answer.ts';
import type { Call } from './call.ts';
import {
  DELETE_BODY_BYTES_MAX,
  type DeletedObject,
  type DeleteFailure,
  type ObjectIdentifier,
  readDelete,
  renderDeleteResult,
} from './delete-objects.ts';
import { s3ErrorOf } from './errors.ts';
import { checkObjectKey } from './object-key.ts';
import { bypassesGovernance } from './object-lock-headers.ts';
import { checkMayDo } from './permissions.ts';
import { ACTIONS } from './policy-actions.ts';
import { refusalOf } from './result-errors.ts';
import { checkVersionId, versionHeader } from './versions.ts';
import { apply, conditionOf } from './write-object.ts';

export async function deleteObject(call: Call): Promise<Answer> {
  const { key, versionId } = call.route;
  const condition = conditionOf(call);
  checkVersionId(versionId);
  const bucket = await call.bucket();
  const bypass = bypassesGovernance(call.headers);
  const deleted = await remove(call, bucket, { key, versionId, condition, bypass });
  const headers: HeaderPair[] = [...versionHeader(bucket, deleted.versionId)];
  if (deleted.marker) headers.push(['x-amz-delete-marker', 'true']);
  return emptyAnswer(204, headers);
}

interface Removal {
  readonly key: string;
  readonly versionId: string | null;
  readonly condition: ObjectCondition;
  readonly bypass: boolean;
}

/** What is not there is deleted already. */
async function remove(
  call: Call,
  bucket: Bucket,
  { key, versionId, condition, bypass }: Removal,
): Promise<{ readonly versionId: string | null; readonly marker: boolean }> {
  const ref = call.refOf(call.route.bucket, key);
  const result: ObjectResult = await apply(call, bucket, {
    ...{ type: 'delete', ref, versionId, condition, bypass },
  });
  switch (result.type) {
    case 'deleted':
      return { versionId: result.versionId ?? versionId, marker: result.marker };
    case 'no_such_key':
    case 'no_such_version':
      return { versionId, marker: false };
    case 'precondition_failed':
      // S3 answers so whatever the condition was.
      if (result.etag === null) return { versionId, marker: false };
      throw refusalOf(result, condition.match !== null);
    default:
      throw refusalOf(result, condition.match !== null);
  }
}

const DELETION = ACTIONS.DeleteObjects;

/** Requests to the store that one DeleteObjects has under way. */
const AT_ONCE = 16;

/** Each key by itself: one that fails is told in the answer and does not hold up the others. */
export async function deleteObjects(call: Call): Promise<Answer> {
  const body = await call.body.checkedDocument(DELETE_BODY_BYTES_MAX);
  const { objects, quiet } = readDelete(body);
  const bucket = await call.bucket();
  const results: (DeletedObject | DeleteFailure)[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < objects.length) {
      const at = next++;
      const object = objects[at] as ObjectIdentifier;
      results[at] = await deleteOne(call, bucket, object);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, objects.length) }, work));
  const deleted = results.filter((result): result is DeletedObject => !('error' in result));
  const failures = results.filter((result): result is DeleteFailure => 'error' in result);
  const denied = failures.filter(({ error }) => isDenial(error.status));
  const answer = xmlAnswer(renderDeleteResult({ deleted, failures }, quiet));
  return { ...answer, deniedKeys: denied.map(({ key }) => key) };
}

async function deleteOne(
  call: Call,
  bucket: Bucket,
  { key, versionId, eTag }: ObjectIdentifier,
): Promise<DeletedObject | DeleteFailure> {
  try {
    checkObjectKey(key);
    checkVersionId(versionId);
    await checkMayDo(call, DELETION, { bucket, key, versionId });
    const condition = eTag === null ? NO_CONDITION : { match: [eTag], noneMatch: null };
    const bypass = bypassesGovernance(call.headers);
    const done = await remove(call, bucket, { key, versionId, condition, bypass });
    const deleteMarkerVersionId = done.marker ? done.versionId : null;
    return { key, versionId, deleteMarker: done.marker, deleteMarkerVersionId };
  } catch (error) {
    return { key, versionId, error: s3ErrorOf(error) };
  }
}
