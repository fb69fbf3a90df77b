import type { LifecycleRule } from '@aws-sdk/client-s3';
import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, md5Base64, type World } from './world.ts';

const RULES: readonly (readonly [string, LifecycleRule])[] = [
  [
    'expiry after days',
    { ID: 'r', Status: 'Enabled', Filter: { Prefix: 'a/' }, Expiration: { Days: 1 } },
  ],
  [
    'expiry on a date',
    {
      ID: 'r',
      Status: 'Enabled',
      Filter: { Prefix: '' },
      Expiration: { Date: new Date('2070-09-27T00:00:00Z') },
    },
  ],
  [
    'a rule that is off',
    { ID: 'r', Status: 'Disabled', Filter: { Prefix: 'a/' }, Expiration: { Days: 1 } },
  ],
  [
    'lonely delete markers',
    {
      ID: 'r',
      Status: 'Enabled',
      Filter: { Prefix: 'a' },
      Expiration: { ExpiredObjectDeleteMarker: true },
    },
  ],
  [
    'noncurrent versions',
    {
      ID: 'r',
      Status: 'Enabled',
      Filter: { Prefix: 'a' },
      NoncurrentVersionExpiration: { NoncurrentDays: 2, NewerNoncurrentVersions: 3 },
    },
  ],
  [
    'uploads under way',
    {
      ID: 'r',
      Status: 'Enabled',
      Filter: { Prefix: 'a' },
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 },
    },
  ],
  [
    'a filter by tag',
    {
      ID: 'r',
      Status: 'Enabled',
      Filter: { Tag: { Key: 't', Value: '1' } },
      Expiration: { Days: 5 },
    },
  ],
  [
    'a filter by size',
    { ID: 'r', Status: 'Enabled', Filter: { ObjectSizeGreaterThan: 500 }, Expiration: { Days: 5 } },
  ],
  [
    'a filter by prefix, tags and sizes',
    {
      ID: 'r',
      Status: 'Enabled',
      Filter: {
        And: {
          Prefix: 'p',
          Tags: [
            { Key: 'a', Value: '1' },
            { Key: 'b', Value: '2' },
          ],
          ObjectSizeGreaterThan: 1,
          ObjectSizeLessThan: 9,
        },
      },
      Expiration: { Days: 5 },
    },
  ],
];

const rule = (inside: string): string => `<Rule>${inside}</Rule>`;
const EXPIRY = '<Expiration><Days>1</Days></Expiration>';
const ON = '<Status>Enabled</Status>';
const ALL = '<Filter><Prefix></Prefix></Filter>';

const BAD: readonly (readonly [string, string, string])[] = [
  ['no rules', '', 'MalformedXML'],
  ['a rule without a status', rule(ALL + EXPIRY), 'MalformedXML'],
  ['an unknown status', rule(`${ALL}<Status>enabled</Status>${EXPIRY}`), 'MalformedXML'],
  ['a rule without an action', rule(ALL + ON), 'InvalidRequest'],
  ['zero days', rule(`${ALL}${ON}<Expiration><Days>0</Days></Expiration>`), 'InvalidArgument'],
  ['negative days', rule(`${ALL}${ON}<Expiration><Days>-1</Days></Expiration>`), 'InvalidArgument'],
  [
    'days and a date',
    rule(`${ALL}${ON}<Expiration><Days>1</Days><Date>2070-01-01T00:00:00Z</Date></Expiration>`),
    'MalformedXML',
  ],
  [
    'a date that is no midnight',
    rule(`${ALL}${ON}<Expiration><Date>2070-01-01T10:00:00Z</Date></Expiration>`),
    'InvalidArgument',
  ],
  [
    'a date that is none',
    rule(`${ALL}${ON}<Expiration><Date>20200101</Date></Expiration>`),
    'MalformedXML',
  ],
  ['one id twice', rule(`<ID>a</ID>${ALL}${ON}${EXPIRY}`).repeat(2), 'InvalidArgument'],
  [
    'an id of 256 characters',
    rule(`<ID>${'a'.repeat(256)}</ID>${ALL}${ON}${EXPIRY}`),
    'InvalidArgument',
  ],
  ['a prefix and a filter', rule(`<Prefix>a</Prefix>${ALL}${ON}${EXPIRY}`), 'MalformedXML'],
];

async function put(w: World, bucket: string, ...Rules: LifecycleRule[]): Promise<void> {
  const LifecycleConfiguration = { Rules };
  await w.sdk.putBucketLifecycleConfiguration({ Bucket: bucket, LifecycleConfiguration });
}

/** Lifecycle documents, and what answers say of them. */
export const lifecycle = area('lifecycle', {
  ...each(
    RULES,
    ([what]) => `${what} comes back`,
    async (w, [, wanted]) => {
      const Bucket = await w.bucket();
      await put(w, Bucket, wanted);
      const { Rules } = await w.sdk.getBucketLifecycleConfiguration({ Bucket });
      assert.deepEqual(Rules, [wanted]);
    },
  ),
  ...each(
    BAD,
    ([what, , code]) => `${what} is ${code}`,
    async (w, [, inside, code]) => {
      const body = `<LifecycleConfiguration>${inside}</LifecycleConfiguration>`;
      const headers = { 'content-md5': md5Base64(body) };
      const query = { lifecycle: '' };
      isRefused(await w.call('PUT', await w.bucket(), '', { query, body, headers }), 400, code);
    },
  ),
  'none is NoSuchLifecycleConfiguration': async (w) => {
    const call = w.sdk.getBucketLifecycleConfiguration({ Bucket: await w.bucket() });
    await refused(call, 404, 'NoSuchLifecycleConfiguration');
  },
  'a delete is 204, also of none': async (w) => {
    const Bucket = await w.bucket();
    await put(w, Bucket, RULES[0]?.[1] as LifecycleRule);
    for (let i = 0; i < 2; i++) {
      const { $metadata } = await w.sdk.deleteBucketLifecycle({ Bucket });
      assert.equal($metadata.httpStatusCode, 204);
    }
    const call = w.sdk.getBucketLifecycleConfiguration({ Bucket });
    await refused(call, 404, 'NoSuchLifecycleConfiguration');
  },
  'a put replaces all rules': async (w) => {
    const Bucket = await w.bucket();
    const first = RULES[0]?.[1] as LifecycleRule;
    await put(w, Bucket, { ...first, ID: 'a' }, { ...first, ID: 'b', Filter: { Prefix: 'b/' } });
    await put(w, Bucket, { ...first, ID: 'c' });
    const { Rules = [] } = await w.sdk.getBucketLifecycleConfiguration({ Bucket });
    assert.deepEqual(
      Rules.map(({ ID }) => ID),
      ['c'],
    );
  },
  'a rule without an id gets one': async (w) => {
    const bucket = await w.bucket();
    const body = `<LifecycleConfiguration>${rule(ALL + ON + EXPIRY)}</LifecycleConfiguration>`;
    const headers = { 'content-md5': md5Base64(body) };
    isStatus(await w.call('PUT', bucket, '', { query: { lifecycle: '' }, body, headers }), 200);
    const { Rules = [] } = await w.sdk.getBucketLifecycleConfiguration({ Bucket: bucket });
    assert.ok((Rules[0]?.ID ?? '') !== '');
  },
  'a rule of the old form has its prefix outside': async (w) => {
    const bucket = await w.bucket();
    const inside = rule(`<ID>o</ID><Prefix>a/</Prefix>${ON}${EXPIRY}`);
    const body = `<LifecycleConfiguration>${inside}</LifecycleConfiguration>`;
    const headers = { 'content-md5': md5Base64(body) };
    isStatus(await w.call('PUT', bucket, '', { query: { lifecycle: '' }, body, headers }), 200);
    const { Rules = [] } = await w.sdk.getBucketLifecycleConfiguration({ Bucket: bucket });
    assert.deepEqual(
      Rules.map(({ ID, Prefix, Filter }) => Prefix ?? Filter?.Prefix ?? ID),
      ['a/'],
    );
  },
  'an object under a rule says when it ends': async (w) => {
    const Bucket = await w.bucket();
    const filter = { Filter: { Prefix: 'days1/' }, Expiration: { Days: 1 } };
    await put(w, Bucket, { ID: 'rule1', Status: 'Enabled', ...filter });
    const { Expiration } = await w.sdk.putObject({ Bucket, Key: 'days1/foo', Body: 'x' });
    const said = /^expiry-date="([^"]+)", rule-id="rule1"$/.exec(Expiration ?? '');
    const days = (Date.parse(said?.[1] ?? '') - Date.now()) / 86_400_000;
    assert.ok(days > 0.9 && days <= 2, `in ${days} days`);
    const head = await w.sdk.headObject({ Bucket, Key: 'days1/foo' });
    assert.equal(head.Expiration, Expiration);
    await w.put(Bucket, 'other');
    assert.equal((await w.sdk.headObject({ Bucket, Key: 'other' })).Expiration, undefined);
  },
  'an upload under a rule says when it is aborted, and by which': async (w) => {
    const Bucket = await w.bucket();
    const abort = { AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } };
    await put(w, Bucket, { ID: 'a b', Status: 'Enabled', Filter: { Prefix: 'up/' }, ...abort });
    const begun = await w.sdk.createMultipartUpload({ Bucket, Key: 'up/1' });
    const days = ((begun.AbortDate?.getTime() ?? 0) - Date.now()) / 86_400_000;
    assert.ok(days > 0.9 && days <= 2, `in ${days} days`);
    assert.equal(begun.AbortRuleId, 'a%20b');
    const parts = await w.sdk.listParts({ Bucket, Key: 'up/1', UploadId: begun.UploadId });
    assert.deepEqual(parts.AbortDate, begun.AbortDate);
    assert.equal(parts.AbortRuleId, begun.AbortRuleId);
    const other = await w.sdk.createMultipartUpload({ Bucket, Key: 'other' });
    assert.equal(other.AbortDate, undefined);
    assert.equal(other.AbortRuleId, undefined);
  },
});
