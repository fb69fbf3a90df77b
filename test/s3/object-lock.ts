import { area, assert, each, refused } from './suite.ts';
import type { Reply } from './wire.ts';
import { isRefused, isStatus, md5Base64, type World } from './world.ts';

const DAY_MS = 86_400_000;
const inDays = (days: number): Date => new Date(Date.now() + days * DAY_MS);

async function locked(w: World): Promise<string> {
  return w.bucket({ ObjectLockEnabledForBucket: true });
}

function putConfiguration(w: World, bucket: string, inside: string): Promise<Reply> {
  const body = `<ObjectLockConfiguration>${inside}</ObjectLockConfiguration>`;
  const headers = { 'content-md5': md5Base64(body) };
  return w.call('PUT', bucket, '', { query: { 'object-lock': '' }, body, headers });
}

function rule(inside: string): string {
  return (
    '<ObjectLockEnabled>Enabled</ObjectLockEnabled>' +
    `<Rule><DefaultRetention>${inside}</DefaultRetention></Rule>`
  );
}

const BAD_CONFIGURATIONS: readonly (readonly [string, string, string])[] = [
  ['days and years', rule('<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>'), 'MalformedXML'],
  ['no days', rule('<Mode>GOVERNANCE</Mode><Days>0</Days>'), 'InvalidRetentionPeriod'],
  ['years below one', rule('<Mode>GOVERNANCE</Mode><Years>-1</Years>'), 'InvalidRetentionPeriod'],
  ['an unknown mode', rule('<Mode>abc</Mode><Years>1</Years>'), 'MalformedXML'],
  ['a mode in lower case', rule('<Mode>governance</Mode><Years>1</Years>'), 'MalformedXML'],
  ['no mode', rule('<Years>1</Years>'), 'MalformedXML'],
  ['no period', rule('<Mode>GOVERNANCE</Mode>'), 'MalformedXML'],
  ['an unknown status', '<ObjectLockEnabled>Disabled</ObjectLockEnabled>', 'MalformedXML'],
];

const BAD_RETENTIONS: readonly (readonly [string, string])[] = [
  ['an unknown mode', '<Mode>abc</Mode><RetainUntilDate>2071-01-01T00:00:00Z</RetainUntilDate>'],
  [
    'a mode in lower case',
    '<Mode>governance</Mode><RetainUntilDate>2071-01-01T00:00:00Z</RetainUntilDate>',
  ],
  ['a date that is none', '<Mode>GOVERNANCE</Mode><RetainUntilDate>soon</RetainUntilDate>'],
  ['no date', '<Mode>GOVERNANCE</Mode>'],
];

/** Object lock of buckets, retention and legal hold of versions. */
const UNCHECKED: readonly (readonly [string, string, string])[] = [
  [
    'object-lock',
    '',
    '<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>',
  ],
  [
    'retention',
    'k',
    '<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2071-01-01T00:00:00Z</RetainUntilDate></Retention>',
  ],
  ['legal-hold', 'k', '<LegalHold><Status>ON</Status></LegalHold>'],
];

export const objectLock = area('object lock', {
  ...each(
    UNCHECKED,
    ([name]) => `?${name} without Content-MD5 or a checksum is InvalidRequest`,
    async (w, [name, key, body]) => {
      const bucket = await locked(w);
      await w.put(bucket, 'k');
      const reply = await w.call('PUT', bucket, key, { query: { [name]: '' }, body });
      isRefused(reply, 400, 'InvalidRequest');
    },
  ),
  'a bucket with lock has versions and its configuration': async (w) => {
    const Bucket = await locked(w);
    assert.equal((await w.sdk.getBucketVersioning({ Bucket })).Status, 'Enabled');
    const { ObjectLockConfiguration } = await w.sdk.getObjectLockConfiguration({ Bucket });
    assert.deepEqual(ObjectLockConfiguration, { ObjectLockEnabled: 'Enabled' });
  },
  'a bucket without lock has no configuration': async (w) => {
    const call = w.sdk.getObjectLockConfiguration({ Bucket: await w.bucket() });
    await refused(call, 404, 'ObjectLockConfigurationNotFoundError');
  },
  'a default retention comes back': async (w) => {
    const Bucket = await locked(w);
    const ObjectLockConfiguration = {
      ObjectLockEnabled: 'Enabled' as const,
      Rule: { DefaultRetention: { Mode: 'COMPLIANCE' as const, Years: 1 } },
    };
    await w.sdk.putObjectLockConfiguration({ Bucket, ObjectLockConfiguration });
    const seen = await w.sdk.getObjectLockConfiguration({ Bucket });
    assert.deepEqual(seen.ObjectLockConfiguration, ObjectLockConfiguration);
  },
  ...each(
    BAD_CONFIGURATIONS,
    ([what, , code]) => `a configuration with ${what} is ${code}`,
    async (w, [, inside, code]) =>
      isRefused(await putConfiguration(w, await locked(w), inside), 400, code),
  ),
  'a configuration for a bucket without versions is InvalidBucketState': async (w) => {
    const inside = rule('<Mode>GOVERNANCE</Mode><Days>1</Days>');
    isRefused(await putConfiguration(w, await w.bucket(), inside), 409, 'InvalidBucketState');
  },
  'lock can be enabled on a bucket with versions': async (w) => {
    const Bucket = await w.versioned();
    const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled' as const };
    await w.sdk.putObjectLockConfiguration({ Bucket, ObjectLockConfiguration });
    const seen = await w.sdk.getObjectLockConfiguration({ Bucket });
    assert.equal(seen.ObjectLockConfiguration?.ObjectLockEnabled, 'Enabled');
  },
  'versioning of a bucket with lock cannot be suspended': async (w) => {
    await refused(w.versioning(await locked(w), 'Suspended'), 409, 'InvalidBucketState');
  },
  'a retention comes back': async (w) => {
    const Bucket = await locked(w);
    await w.put(Bucket, 'k');
    const RetainUntilDate = new Date('2070-01-01T00:00:00Z');
    const Retention = { Mode: 'GOVERNANCE' as const, RetainUntilDate };
    await w.sdk.putObjectRetention({ Bucket, Key: 'k', Retention });
    const seen = await w.sdk.getObjectRetention({ Bucket, Key: 'k' });
    assert.deepEqual(seen.Retention, Retention);
    const head = await w.sdk.headObject({ Bucket, Key: 'k' });
    assert.equal(head.ObjectLockMode, 'GOVERNANCE');
    assert.deepEqual(head.ObjectLockRetainUntilDate, RetainUntilDate);
  },
  ...each(
    BAD_RETENTIONS,
    ([what]) => `a retention with ${what} is MalformedXML`,
    async (w, [, inside]) => {
      const bucket = await locked(w);
      await w.put(bucket, 'k');
      const body = `<Retention>${inside}</Retention>`;
      const headers = { 'content-md5': md5Base64(body) };
      const reply = await w.call('PUT', bucket, 'k', { query: { retention: '' }, body, headers });
      isRefused(reply, 400, 'MalformedXML');
    },
  ),
  'a retention into the past is InvalidArgument': async (w) => {
    const Bucket = await locked(w);
    await w.put(Bucket, 'k');
    const Retention = { Mode: 'GOVERNANCE' as const, RetainUntilDate: inDays(-1) };
    const call = w.sdk.putObjectRetention({ Bucket, Key: 'k', Retention });
    await refused(call, 400, 'InvalidArgument');
  },
  'a retention in a bucket without lock is InvalidRequest': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    const Retention = { Mode: 'GOVERNANCE' as const, RetainUntilDate: inDays(1) };
    const put = w.sdk.putObjectRetention({ Bucket, Key: 'k', Retention });
    await refused(put, 400, 'InvalidRequest');
    await refused(w.sdk.getObjectRetention({ Bucket, Key: 'k' }), 400, 'InvalidRequest');
  },
  'an object without retention is NoSuchObjectLockConfiguration': async (w) => {
    const Bucket = await locked(w);
    await w.put(Bucket, 'k');
    const call = w.sdk.getObjectRetention({ Bucket, Key: 'k' });
    await refused(call, 404, 'NoSuchObjectLockConfiguration');
  },
  'governance keeps a version, unless it is bypassed': async (w) => {
    const Bucket = await locked(w);
    const VersionId = await w.putVersion(Bucket, 'k', 'x');
    const Retention = { Mode: 'GOVERNANCE' as const, RetainUntilDate: inDays(1) };
    await w.sdk.putObjectRetention({ Bucket, Key: 'k', Retention });
    const version = { Bucket, Key: 'k', VersionId };
    await refused(w.sdk.deleteObject(version), 403, 'AccessDenied');
    assert.equal(await w.text(Bucket, 'k'), 'x');
    await w.sdk.deleteObject({ ...version, BypassGovernanceRetention: true });
    await refused(w.sdk.getObject(version), 404, 'NoSuchVersion');
  },
  'governance can be longer, and shorter only with bypass': async (w) => {
    const Bucket = await locked(w);
    await w.put(Bucket, 'k');
    const put = (days: number, more = {}) => {
      const Retention = { Mode: 'GOVERNANCE' as const, RetainUntilDate: inDays(days) };
      return w.sdk.putObjectRetention({ Bucket, Key: 'k', Retention, ...more });
    };
    await put(2);
    await put(4);
    await refused(put(1), 403, 'AccessDenied');
    await put(1, { BypassGovernanceRetention: true });
  },
  'a version of which no hold was ever said has none': async (w) => {
    const Bucket = await locked(w);
    await w.put(Bucket, 'k');
    const get = () => w.sdk.getObjectLegalHold({ Bucket, Key: 'k' });
    await refused(get(), 404, 'NoSuchObjectLockConfiguration');
    const head = await w.sdk.headObject({ Bucket, Key: 'k' });
    assert.equal(head.ObjectLockLegalHoldStatus, undefined);
    await w.sdk.putObjectLegalHold({ Bucket, Key: 'k', LegalHold: { Status: 'OFF' } });
    assert.equal((await get()).LegalHold?.Status, 'OFF');
    const off = await w.sdk.headObject({ Bucket, Key: 'k' });
    assert.equal(off.ObjectLockLegalHoldStatus, 'OFF');
  },
  'a put with a hold that is off says so': async (w) => {
    const Bucket = await locked(w);
    await w.put(Bucket, 'k', 'x', { ObjectLockLegalHoldStatus: 'OFF' });
    const { LegalHold } = await w.sdk.getObjectLegalHold({ Bucket, Key: 'k' });
    assert.equal(LegalHold?.Status, 'OFF');
    const put = w.put(await w.bucket(), 'k', 'x', { ObjectLockLegalHoldStatus: 'OFF' });
    await refused(put, 400, 'InvalidRequest');
  },
  'governance can become compliance with bypass only': async (w) => {
    const Bucket = await locked(w);
    const VersionId = await w.putVersion(Bucket, 'k', 'x');
    const until = Date.now() + 3000;
    const put = (Mode: 'GOVERNANCE' | 'COMPLIANCE', more = {}) => {
      const Retention = { Mode, RetainUntilDate: new Date(until) };
      return w.sdk.putObjectRetention({ Bucket, Key: 'k', Retention, ...more });
    };
    await put('GOVERNANCE');
    await refused(put('COMPLIANCE'), 403, 'AccessDenied');
    await put('COMPLIANCE', { BypassGovernanceRetention: true });
    const bypass = { Bucket, Key: 'k', VersionId, BypassGovernanceRetention: true };
    await refused(w.sdk.deleteObject(bypass), 403, 'AccessDenied');
    await new Promise((resolve) => setTimeout(resolve, 3600));
    await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId });
  },
  'compliance cannot be shorter, nor governance, even with bypass': async (w) => {
    const Bucket = await locked(w);
    await w.put(Bucket, 'k');
    const until = Date.now() + 2500;
    const put = (Mode: 'GOVERNANCE' | 'COMPLIANCE', at: number) => {
      const Retention = { Mode, RetainUntilDate: new Date(at) };
      const bypass = { BypassGovernanceRetention: true };
      return w.sdk.putObjectRetention({ Bucket, Key: 'k', Retention, ...bypass });
    };
    await put('COMPLIANCE', until);
    await refused(put('COMPLIANCE', until - 1000), 403, 'AccessDenied');
    await refused(put('GOVERNANCE', until), 403, 'AccessDenied');
    await new Promise((resolve) => setTimeout(resolve, 3000));
  },
  'a default retention is given to new versions': async (w) => {
    const Bucket = await locked(w);
    const DefaultRetention = { Mode: 'GOVERNANCE' as const, Days: 1 };
    const Rule = { DefaultRetention };
    const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled' as const, Rule };
    await w.sdk.putObjectLockConfiguration({ Bucket, ObjectLockConfiguration });
    const VersionId = await w.putVersion(Bucket, 'k', 'x');
    const head = await w.sdk.headObject({ Bucket, Key: 'k' });
    assert.equal(head.ObjectLockMode, 'GOVERNANCE');
    const until = head.ObjectLockRetainUntilDate?.getTime() ?? 0;
    assert.ok(Math.abs(until - inDays(1).getTime()) < 60_000);
    const call = w.sdk.deleteObject({ Bucket, Key: 'k', VersionId });
    await refused(call, 403, 'AccessDenied');
  },
  'a locked version does not keep a marker away': async (w) => {
    const Bucket = await locked(w);
    const VersionId = await w.putVersion(Bucket, 'k', 'x');
    const Retention = { Mode: 'GOVERNANCE' as const, RetainUntilDate: inDays(1) };
    await w.sdk.putObjectRetention({ Bucket, Key: 'k', VersionId, Retention });
    const marker = await w.sdk.deleteObject({ Bucket, Key: 'k' });
    assert.equal(marker.DeleteMarker, true);
    await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId: marker.VersionId });
    assert.equal(await w.text(Bucket, 'k'), 'x');
  },
  'a locked version does not keep a new one away': async (w) => {
    const Bucket = await locked(w);
    const Retention = { Mode: 'GOVERNANCE' as const, RetainUntilDate: inDays(1) };
    await w.put(Bucket, 'k', '1');
    await w.sdk.putObjectRetention({ Bucket, Key: 'k', Retention });
    await w.put(Bucket, 'k', '2');
    assert.equal(await w.text(Bucket, 'k'), '2');
  },
  'retention by headers of the put': async (w) => {
    const Bucket = await locked(w);
    const ObjectLockRetainUntilDate = new Date('2070-01-01T00:00:00Z');
    await w.put(Bucket, 'k', 'x', {
      ObjectLockMode: 'GOVERNANCE',
      ObjectLockRetainUntilDate,
      ObjectLockLegalHoldStatus: 'ON',
    });
    const head = await w.sdk.headObject({ Bucket, Key: 'k' });
    assert.equal(head.ObjectLockLegalHoldStatus, 'ON');
    assert.deepEqual(head.ObjectLockRetainUntilDate, ObjectLockRetainUntilDate);
  },
  'a mode in the headers without a date is InvalidArgument': async (w) => {
    const call = w.sdk.putObject({
      Bucket: await locked(w),
      Key: 'k',
      Body: 'x',
      ObjectLockMode: 'GOVERNANCE',
    });
    await refused(call, 400, 'InvalidArgument');
  },
  'retention in the headers, into a bucket without lock, is InvalidRequest': async (w) => {
    const lock = { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: inDays(1) } as const;
    const Bucket = await w.bucket();
    const call = w.sdk.putObject({ Bucket, Key: 'k', Body: 'x', ...lock });
    await refused(call, 400, 'InvalidRequest');
  },
  'a legal hold keeps a version, even with bypass': async (w) => {
    const Bucket = await locked(w);
    const VersionId = await w.putVersion(Bucket, 'k', 'x');
    const version = { Bucket, Key: 'k', VersionId };
    const hold = (Status: 'ON' | 'OFF') =>
      w.sdk.putObjectLegalHold({ Bucket, Key: 'k', LegalHold: { Status } });
    await hold('ON');
    assert.equal((await w.sdk.getObjectLegalHold(version)).LegalHold?.Status, 'ON');
    const call = w.sdk.deleteObject({ ...version, BypassGovernanceRetention: true });
    await refused(call, 403, 'AccessDenied');
    await hold('OFF');
    await w.sdk.deleteObject(version);
  },
  'an unknown status of a legal hold is MalformedXML': async (w) => {
    const bucket = await locked(w);
    await w.put(bucket, 'k');
    const body = '<LegalHold><Status>abc</Status></LegalHold>';
    const headers = { 'content-md5': md5Base64(body) };
    const reply = await w.call('PUT', bucket, 'k', { query: { 'legal-hold': '' }, body, headers });
    isRefused(reply, 400, 'MalformedXML');
  },
  'a legal hold in a bucket without lock is InvalidRequest': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    const LegalHold = { Status: 'ON' as const };
    const put = w.sdk.putObjectLegalHold({ Bucket, Key: 'k', LegalHold });
    await refused(put, 400, 'InvalidRequest');
    await refused(w.sdk.getObjectLegalHold({ Bucket, Key: 'k' }), 400, 'InvalidRequest');
  },
  'a retention of a version by its id': async (w) => {
    const Bucket = await locked(w);
    const VersionId = await w.putVersion(Bucket, 'k', '1');
    await w.putVersion(Bucket, 'k', '2');
    const Retention = { Mode: 'GOVERNANCE' as const, RetainUntilDate: inDays(1) };
    await w.sdk.putObjectRetention({ Bucket, Key: 'k', VersionId, Retention });
    const old = await w.sdk.headObject({ Bucket, Key: 'k', VersionId });
    assert.equal(old.ObjectLockMode, 'GOVERNANCE');
    assert.equal((await w.sdk.headObject({ Bucket, Key: 'k' })).ObjectLockMode, undefined);
  },
  'a retention without a checksum of its body is InvalidRequest': async (w) => {
    const bucket = await locked(w);
    await w.put(bucket, 'k');
    const body =
      '<Retention><Mode>GOVERNANCE</Mode>' +
      '<RetainUntilDate>2071-01-01T00:00:00Z</RetainUntilDate></Retention>';
    const reply = await w.call('PUT', bucket, 'k', { query: { retention: '' }, body });
    isRefused(reply, 400, 'InvalidRequest');
  },
  'an upload in parts is locked as it was begun': async (w) => {
    const Bucket = await locked(w);
    const lock = { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: inDays(1) } as const;
    const { UploadId } = await w.sdk.createMultipartUpload({ Bucket, Key: 'k', ...lock });
    const upload = { Bucket, Key: 'k', UploadId };
    const { ETag } = await w.sdk.uploadPart({ ...upload, PartNumber: 1, Body: 'x' });
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    const { VersionId } = await w.sdk.completeMultipartUpload({ ...upload, MultipartUpload });
    const call = w.sdk.deleteObject({ Bucket, Key: 'k', VersionId });
    await refused(call, 403, 'AccessDenied');
    isStatus(await w.call('HEAD', Bucket, 'k'), 200);
  },
});
