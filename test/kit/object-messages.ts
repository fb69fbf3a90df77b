import { dataIdOf } from '../../protocol/blob.ts';
import type { ReplyOf, RequestOf } from '../../protocol/messages/request.ts';
import type { BucketRule } from '../../protocol/object-ops.ts';
import type { ObjectHead, ObjectRecord } from '../../protocol/objects.ts';
import type { ReplicaId } from '../../protocol/types.ts';

/** One message of each kind that is about objects and buckets, with every field set to something. */

const ref = { tenant: 't', space: 'bucket', key: 'k' };
const r1 = 'n1:00000001' as ReplicaId;
const head: ObjectHead = {
  ...{ contentType: 'text/plain', headers: [{ name: 'cache-control', value: 'no-store' }] },
  ...{ metadata: [{ name: 'm', value: 'é' }], tags: [{ name: 't', value: 'v' }], acl: 'private' },
  ...{ encryption: Buffer.from('key'), retention: { mode: 'governance', untilMs: 9 } },
  ...{ legalHold: true, owner: 'a'.repeat(64) },
};
const checksum = { algorithm: 'crc32c', kind: 'full', value: Buffer.from('1234') } as const;
const piece = {
  ...{ number: 1, size: 3, data: Buffer.alloc(16, 5), bytes: 3, chunkBytes: 0 },
  checksum: Buffer.from('1234'),
};
const record: ObjectRecord = {
  ...{ putAt: 7, isNull: false, isMarker: false, size: 3, etag: 'e', checksum, head },
  ...{ pieces: [piece], upload: 'u' },
};
const rule: BucketRule = {
  ...{ tenant: 't', name: 'bucket', id: 1, epoch: 2, versioning: 'enabled', objectLock: true },
  ...{ retention: { mode: 'compliance', periodMs: 5 }, state: 'deleting' },
  notifications: [
    {
      ...{ id: 'i', target: 'webhook:a', prefix: 'p\xff', suffix: '' },
      events: ['ObjectCreated:Put', 'ObjectAcl:Put'],
      bucketOwner: 'b'.repeat(64),
    },
  ],
};
const listQuery = {
  ...{ tenant: 't', space: 'bucket', prefix: 'p', delimiter: '/', start: 'q', limit: 3 },
};
const inline = {
  ...{ id: Buffer.alloc(16, 5), bytes: 3, chunkBytes: 0, holders: [r1] },
  inline: Buffer.from('abc'),
};

const usage = {
  ...{ keys: 0, keyBytes: 0, objects: 1, objectBytes: 2, versions: 3, versionBytes: 4 },
  ...{ markers: 5, uploads: 6, parts: 7, partBytes: 8 },
};

type Requests =
  | ('ObjectWrite' | 'ObjectRead' | 'ObjectList' | 'VersionList' | 'UploadList' | 'PartList')
  | ('BucketSet' | 'BucketLook' | 'MetaCheck' | 'MetaList' | 'DataLook' | 'UsageLook')
  | ('QuotaLook' | 'QuotaOrder');

export const OBJECT_REQUESTS: { [T in Requests]: Omit<RequestOf<T>, 'type'> } = {
  ObjectWrite: {
    ...{ epoch: 1, bucket: 4, idempotency: { key: 'id', requestHash: Buffer.alloc(32) } },
    op: {
      ...{ type: 'put', ref, size: 3, etag: 'e', checksum, head, data: inline, ttlMs: 5 },
      condition: { match: ['a'], noneMatch: null },
    },
    by: { via: 'copy', principal: 'p', address: '10.0.0.1', requestId: 'r' },
  },
  ObjectRead: { epoch: 1, ref, versionId: 'null', revision: 8 },
  ObjectList: { ...listQuery, revision: 9 },
  VersionList: { ...listQuery, below: 3, revision: 9 },
  UploadList: { ...listQuery, bucket: 4, after: 'u' },
  PartList: { epoch: 1, bucket: 4, ref, upload: 'u', after: 2, limit: 3 },
  BucketSet: { rule },
  BucketLook: { tenant: 't', name: 'bucket' },
  MetaCheck: { rows: [{ name: 'a', revision: 3 }] },
  MetaList: { prefix: 'a', after: 'ab', limit: 3 },
  DataLook: { ids: [dataIdOf(Buffer.alloc(16, 5))] },
  UsageLook: { after: { tenant: 't', space: 'bucket' }, limit: 3 },
  QuotaLook: { scope: 'bucket:b' },
  QuotaOrder: { scope: 'tenant:t', round: 9, order: { type: 'raise', allowed: [1, null, 3] } },
};

type Replies =
  | ('ObjectDone' | 'ObjectFound' | 'ObjectPage' | 'UploadPage' | 'PartPage')
  | ('BucketState' | 'MetaChecked' | 'MetaListed' | 'DataSeen' | 'UsageFound')
  | 'QuotaFound';

export const OBJECT_REPLIES: { [T in Replies]: Omit<ReplyOf<T>, 'type'> } = {
  ObjectDone: {
    ...{ clock: 3, repeated: true },
    result: { type: 'put', revision: 2, versionId: null, etag: 'e', size: 3, expiresAtMs: null },
  },
  ObjectFound: {
    ...{ marker: null, clock: 3 },
    version: { record, revision: 9, expiresAtMs: 4, isLatest: true, inline: Buffer.from('abc') },
  },
  ObjectPage: {
    entries: [
      { type: 'prefix', prefix: 'p/' },
      {
        ...{ type: 'version', key: 'q\xff', versionId: 'null', isLatest: true, isMarker: false },
        ...{ putAt: 7, size: 3, etag: 'e', checksum, headers: head.headers },
        owner: head.owner ?? null,
      },
    ],
    ...{ next: { key: 'r', below: 5 }, clock: 9 },
  },
  UploadPage: {
    entries: [
      { type: 'prefix', prefix: 'p/' },
      { type: 'upload', key: 'q', upload: 'u', at: 7, head, checksum: null },
    ],
    ...{ next: null, clock: 9 },
  },
  PartPage: {
    upload: { at: 7, head, checksum: { algorithm: 'sha256', kind: 'composite' } },
    ...{ parts: [{ number: 1, at: 8, etag: 'e', piece }], more: true, clock: 9 },
  },
  BucketState: { epoch: 2, isEmpty: false, clock: 9 },
  MetaChecked: {
    ...{ changed: [{ name: 'a', json: '{}', revision: 4 }], unknown: ['b'], clock: 9 },
  },
  MetaListed: { rows: [{ name: 'a', json: '{}', revision: 4 }], more: true, clock: 9 },
  DataSeen: { named: [dataIdOf(Buffer.alloc(16, 5))], closed: 8, epoch: 1, clock: 9 },
  UsageFound: {
    ...{ whole: { ...usage, keys: 7 }, items: [{ tenant: 't', space: 'bucket', usage }] },
    ...{ more: true, clock: 9 },
  },
  QuotaFound: {
    share: { round: 9, allowed: [1, null, 3], used: [1, 2, 3], isCounted: true },
    clock: 9,
  },
};
