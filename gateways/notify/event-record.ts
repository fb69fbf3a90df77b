import type { Notification } from '../../protocol/notifications.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';

/** S3's event message structure (user guide, "Event message structure"), as JSON. */

export interface RecordFacts {
  readonly region: string;
  /** The id of the account: what rules of an older program mean, and who acts by REST. */
  readonly ownerId: string;
}

/** Events that S3 added to its structure later say so. */
const LATER = /^(LifecycleExpiration|ObjectTagging|ObjectAcl):/;
/** Who acts where nobody asked: a rule, or the end of an object's time. */
const SERVICE = 's3.amazonaws.com';

/** One document with one record. */
export function eventMessage(notification: Notification, facts: RecordFacts): string {
  return JSON.stringify({ Records: [eventRecord(notification, facts)] });
}

function eventRecord(notification: Notification, { region, ownerId }: RecordFacts) {
  const { event, revision, ref, size, etag, versionId, ruleId, by, bucketOwner } = notification;
  const isOurs = event.startsWith('LifecycleExpiration:');
  return {
    eventVersion: LATER.test(event) ? '2.3' : '2.1',
    eventSource: 'aws:s3',
    awsRegion: region,
    eventTime: new Date(wallMsOfRevision(revision)).toISOString(),
    eventName: event,
    userIdentity: { principalId: by?.principal ?? (isOurs ? SERVICE : ownerId) },
    requestParameters: { sourceIPAddress: by?.address ?? (isOurs ? SERVICE : '') },
    responseElements:
      by === null ? {} : { 'x-amz-request-id': by.requestId, 'x-amz-id-2': by.requestId },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: ruleId,
      bucket: {
        name: ref.space,
        ownerIdentity: { principalId: bucketOwner ?? ownerId },
        arn: `arn:aws:s3:::${ref.space}`,
      },
      object: {
        key: keyInEvent(ref.key),
        ...(size === null ? {} : { size }),
        ...(etag === null ? {} : { eTag: etag }),
        ...(versionId === null ? {} : { versionId }),
        sequencer: sequencerOf(revision),
      },
    },
  };
}

/** Of one key, later ones are greater as text. */
export function sequencerOf(revision: number): string {
  return revision.toString(16).toUpperCase().padStart(16, '0');
}

/** As in the query of a URL: UTF-8, a space as `+`; slashes stay. `key` is latin1. */
export function keyInEvent(key: string): string {
  const text = Buffer.from(key, 'latin1').toString('utf8');
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', '/')
    .replaceAll('%20', '+');
}
