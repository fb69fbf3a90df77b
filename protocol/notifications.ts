import { keyRefCodec } from './keys.ts';
import { LIMITS } from './limits.ts';
import * as s from './schema.ts';

/** Notifications of buckets (ADR 0040): what is told of changes of objects, of which ones, and to whom. */

/** Events of S3 that happen here, without `s3:`. */
export const NOTIFIED_EVENTS = [
  ...(['ObjectCreated:Put', 'ObjectCreated:Post', 'ObjectCreated:Copy'] as const),
  'ObjectCreated:CompleteMultipartUpload',
  ...(['ObjectRemoved:Delete', 'ObjectRemoved:DeleteMarkerCreated'] as const),
  ...(['LifecycleExpiration:Delete', 'LifecycleExpiration:DeleteMarkerCreated'] as const),
  ...(['ObjectTagging:Put', 'ObjectTagging:Delete', 'ObjectAcl:Put'] as const),
] as const;
export type NotifiedEvent = (typeof NOTIFIED_EVENTS)[number];
export const notifiedEventCodec = s.oneOf(...NOTIFIED_EVENTS);

/** The document that buckets keep it in, by its sub-resource. */
export const NOTIFICATION = 'notification';

/**
 * Where notifications go: `webhook:` and a name that the nodes' configuration knows, or `nats:` and a subject. Printable
 * ASCII without spaces.
 */
export const notificationTargetCodec = s.str(LIMITS.notificationTargetBytesMax);

/** What one rule of a bucket asks for. Prefix and suffix are of the engine's key, latin1. */
export const notificationRuleCodec = s.record({
  /** As its owner calls it. */
  id: s.str(255),
  target: notificationTargetCodec,
  events: s.list(notifiedEventCodec, NOTIFIED_EVENTS.length),
  prefix: s.latin1Str(LIMITS.keyBytesMax),
  suffix: s.latin1Str(LIMITS.keyBytesMax),
  /** Canonical id of the bucket's owner; null: the account. */
  bucketOwner: s.later(s.str(64)),
});
export type NotificationRule = s.Of<typeof notificationRuleCodec>;

/** Who asked for a change, and for what where the operation does not say it. */
export const requesterCodec = s.record({
  via: s.oneOf('other', 'post', 'copy', 'untag'),
  /** As policies know it. */
  principal: s.str(128),
  /** Of the client; '' where nobody knows. */
  address: s.str(64),
  requestId: s.str(64),
});
export type Requester = s.Of<typeof requesterCodec>;

/** One event on its way to one target. */
export const notificationCodec = s.record({
  event: notifiedEventCodec,
  /** Of the change; of one key they only rise. */
  revision: s.count,
  ref: keyRefCodec,
  /** Null: it has none any more. */
  size: s.nullable(s.count),
  etag: s.nullable(s.str(128)),
  /** Null where the bucket never had versions. */
  versionId: s.nullable(s.str(16)),
  /** The rule's. */
  ruleId: s.str(255),
  /** Null: a rule, or the end of its time. */
  by: s.nullable(requesterCodec),
  /** As the rule says it. */
  bucketOwner: s.later(s.str(64)),
});
export type Notification = s.Of<typeof notificationCodec>;

/** Where a notification stands in its group: the log's entry, and which one of the entry it is. */
export interface OutboxPosition {
  readonly index: number;
  readonly ordinal: number;
}

export const outboxPositionFields = { index: s.count, ordinal: s.count };

/** Whether the rule is for this event of this key (latin1). */
export function isNotified(rule: NotificationRule, event: NotifiedEvent, key: string): boolean {
  const { events, prefix, suffix } = rule;
  return events.includes(event) && key.startsWith(prefix) && key.endsWith(suffix);
}
