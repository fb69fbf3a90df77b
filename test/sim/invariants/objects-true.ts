import { isDeepStrictEqual } from 'node:util';
import type { ObjectCondition } from '../../../protocol/object-ops.ts';
import type { Input, Operation, Output, Precondition } from '../../check/history.ts';
import { checkLinearizability } from '../../check/linearizability.ts';
import type { ObjectSeen } from '../history.ts';
import { PLAIN, VERSIONED } from '../object-client.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

const NAME = 'objects are true';

/**
 * What clients were told of an operation on an object is what its entry came to, once; conditional puts are
 * linearizable, also beside transactions that delete; a key that such a transaction put is never seen with the object that it
 * deleted; versioning that was acknowledged holds.
 */
export const objectsTrue: FinalCheck = {
  name: NAME,
  source: 'docs/protocol/objects.md: O2, O3, O7; architecture 10',
  run: ({ history, model }) => {
    const { fates } = model.objects;
    for (const [name, { effects }] of fates) {
      if (effects.length < 2) continue;
      throw new SimViolation(
        NAME,
        `${name} was done ${effects.length} times: ${effects.join(', ')}`,
      );
    }
    for (const { name, space, result } of history.objects.told) {
      // That there is no bucket is said by the router, from the meta group's row.
      if (result.type === 'no_such_bucket' && space !== PLAIN && space !== VERSIONED) continue;
      const known = fates.get(name)?.results ?? [];
      if (known.some((one) => isDeepStrictEqual(one, result))) continue;
      const shown = known.map((one) => JSON.stringify(one)).join(' or ');
      throw new SimViolation(NAME, `${name} was told ${JSON.stringify(result)}, it was ${shown}`);
    }
    for (const { name, why } of history.objects.refused) {
      const effects = fates.get(name)?.effects ?? [];
      if (effects.length === 0) continue;
      throw new SimViolation(NAME, `${name} was refused (${why}), but done at ${effects[0]}`);
    }
    for (const { versioning, versionId } of history.objects.switched) {
      const isKept = versionId !== null && versionId !== 'null';
      if (isKept === (versioning === 'enabled')) continue;
      throw new SimViolation(NAME, `versioning is ${versioning}, and a put has ${versionId}`);
    }
    for (const { key, deleted, etag } of history.objects.pairs) {
      if (deleted === null || deleted !== etag) continue;
      throw new SimViolation(
        NAME,
        `${key} is there with the ETag ${etag}, which a transaction deleted`,
      );
    }
    const putAts = new Map([...fates].map(([name, { effects }]) => [name, effects[0] ?? -1]));
    const revisionOf = (etag: string | null) =>
      etag === null ? 0 : (putAts.get(`etag ${etag}`) ?? -1);
    const operations = history.objects.operations.map((seen) => operationOf(seen, revisionOf));
    const verdict = checkLinearizability(operations);
    if (verdict.result === 'ok') return;
    const what = `${verdict.result}, key ${verdict.key}: ${verdict.reason}`;
    throw new SimViolation('conditional writes of objects are linearizable', what);
  },
};

type RevisionOf = (etag: string | null) => number;

/** A register whose values are ETags, with the revisions of their puts. */
function operationOf(seen: ObjectSeen, revisionOf: RevisionOf): Operation {
  const { process, key, input, told, call, ret } = seen;
  return {
    ...{ process, key, call, ret },
    input: inputOf(input, revisionOf),
    output: told === null ? null : outputOf(told, revisionOf),
  };
}

function inputOf(input: ObjectSeen['input'], revisionOf: RevisionOf): Input {
  if (input.type === 'get') return input;
  const condition = preconditionOf(input.condition, revisionOf);
  if (input.type === 'delete') return { type: 'delete', condition };
  return { type: 'put', value: input.etag, condition, expires: false };
}

function preconditionOf(
  { match, noneMatch }: ObjectCondition,
  revisionOf: RevisionOf,
): Precondition | null {
  if (noneMatch !== null) return { type: 'absent' };
  const etag = match?.[0];
  if (etag === undefined) return null;
  return etag === '*' ? { type: 'exists' } : { type: 'revision', revision: revisionOf(etag) };
}

function outputOf(told: NonNullable<ObjectSeen['told']>, revisionOf: RevisionOf): Output {
  switch (told.type) {
    case 'read':
      return { type: 'got', value: told.etag, revision: revisionOf(told.etag) };
    case 'put':
      return { type: 'put', revision: told.revision };
    case 'deleted':
      return { type: 'deleted', deleted: told.revision !== 0, revision: told.revision };
    case 'precondition_failed':
      return { type: 'precondition_failed', revision: revisionOf(told.etag) };
    default:
      throw new SimViolation(NAME, `a register answers ${JSON.stringify(told)}`);
  }
}
