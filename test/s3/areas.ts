import { acls } from './acls.ts';
import { anonymous } from './anonymous.ts';
import { attributes } from './attributes.ts';
import { bucketNames } from './bucket-names.ts';
import { buckets } from './buckets.ts';
import { checksums } from './checksums.ts';
import { conditionalReads } from './conditional-reads.ts';
import { conditionalWrites } from './conditional-writes.ts';
import { configurations } from './configurations.ts';
import { copies } from './copies.ts';
import { cors } from './cors.ts';
import { deleteObjects } from './delete-objects.ts';
import { encryption } from './encryption.ts';
import { keys } from './keys.ts';
import { lifecycle } from './lifecycle.ts';
import { listV1 } from './list-v1.ts';
import { listV2 } from './list-v2.ts';
import { lists } from './lists.ts';
import { metadata } from './metadata.ts';
import { multipart } from './multipart.ts';
import { multipartParts } from './multipart-parts.ts';
import { notifications } from './notifications.ts';
import { objectLock } from './object-lock.ts';
import { objects } from './objects.ts';
import { oddRequests } from './odd-requests.ts';
import { ownership } from './ownership.ts';
import { policies } from './policies.ts';
import { postForms } from './post-forms.ts';
import { presigned } from './presigned.ts';
import { ranges } from './ranges.ts';
import { rawRequests } from './raw-requests.ts';
import { signatures } from './signatures.ts';
import { streaming } from './streaming.ts';
import type { Area } from './suite.ts';
import { tagging } from './tagging.ts';
import { users } from './users.ts';
import { versionLists } from './version-lists.ts';
import { versioning } from './versioning.ts';

/** The whole suite, in the order of its report. */
export const AREAS: readonly Area[] = [
  ...[buckets, bucketNames, objects, keys, metadata, ranges],
  ...[conditionalReads, conditionalWrites, lists, listV1, listV2, deleteObjects, copies],
  ...[multipart, multipartParts, attributes, versioning, versionLists, objectLock, tagging],
  ...[
    acls,
    ownership,
    anonymous,
    policies,
    cors,
    lifecycle,
    notifications,
    configurations,
    encryption,
    checksums,
  ],
  ...[signatures, presigned, streaming, postForms, rawRequests, oddRequests, users],
];
