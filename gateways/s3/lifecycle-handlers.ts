import {
  abortOf,
  decodeLifecycle,
  encodeLifecycle,
  expiryOf,
  LIFECYCLE,
  type LifecycleConfiguration,
} from '../../protocol/lifecycle.ts';
import type { Bucket } from '../../protocol/object-access.ts';
import type { ObjectHead } from '../../protocol/objects.ts';
import { randomHex } from '../../protocol/random.ts';
import { type Answer, emptyAnswer, type HeaderPair, xmlAnswer } from './answer.ts';
import { bodyOf, change } from './bucket-settings.ts';
import type { Call } from './call.ts';
import { s3Error } from './errors.ts';
import { lifecycleConfiguration } from './lifecycle.ts';
import { httpDate } from './versions.ts';

/** Rules of a bucket; actors/lifecycle carries them out. */

const ID_BYTES = 12;

export async function putBucketLifecycle(call: Call): Promise<Answer> {
  const { rules } = await bodyOf(call, lifecycleConfiguration);
  const { random } = call.edge.http;
  const named = rules.map((rule) => ({ ...rule, id: rule.id || randomHex(random, ID_BYTES) }));
  await change(call, { documents: { [LIFECYCLE]: encodeLifecycle({ rules: named }) } });
  return emptyAnswer(200);
}

export async function getBucketLifecycle(call: Call): Promise<Answer> {
  const rules = rulesOf(await call.bucket());
  if (rules === null) {
    throw s3Error('NoSuchLifecycleConfiguration', undefined, { BucketName: call.route.bucket });
  }
  return xmlAnswer(lifecycleConfiguration.write(rules));
}

export async function deleteBucketLifecycle(call: Call): Promise<Answer> {
  await change(call, { documents: { [LIFECYCLE]: null } });
  return emptyAnswer(204);
}

function rulesOf({ documents }: Bucket): LifecycleConfiguration | null {
  const text = documents[LIFECYCLE];
  return text === undefined ? null : decodeLifecycle(text);
}

/** What a current version is known by: `key` as in the engine, `lastModifiedMs` as Unix ms. */
export interface Current {
  readonly key: string;
  readonly size: number;
  readonly lastModifiedMs: number;
  readonly head: Pick<ObjectHead, 'tags'>;
}

/** `x-amz-expiration`: when a rule takes the current version away, if one does. */
export function expirationHeader(
  call: Call,
  bucket: Bucket,
  { key, size, lastModifiedMs, head }: Current,
): HeaderPair[] {
  const rules = rulesOf(bucket);
  if (rules === null) return [];
  const { lifecycleDayMs } = call.edge.config;
  const subject = { key, size, tags: head.tags };
  const expiry = expiryOf(rules, subject, lastModifiedMs, lifecycleDayMs);
  if (expiry === null) return [];
  const ruleId = encodeURIComponent(expiry.ruleId);
  return [['x-amz-expiration', `expiry-date="${httpDate(expiry.atMs)}", rule-id="${ruleId}"`]];
}

/** `x-amz-abort-date` and `x-amz-abort-rule-id`: when a rule aborts the upload that was begun at `atMs`, if one does. */
export function abortHeaders(
  call: Call,
  bucket: Bucket,
  { key, atMs }: { readonly key: string; readonly atMs: number },
): HeaderPair[] {
  const rules = rulesOf(bucket);
  const abort = rules === null ? null : abortOf(rules, key, atMs, call.edge.config.lifecycleDayMs);
  if (abort === null) return [];
  return [
    ['x-amz-abort-date', httpDate(abort.atMs)],
    ['x-amz-abort-rule-id', encodeURIComponent(abort.ruleId)],
  ];
}
