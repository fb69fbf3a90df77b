import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';

const NOBODY = { by: 'nobody' } as const;

interface Statement {
  readonly Effect?: string;
  readonly Principal?: unknown;
  readonly Action?: unknown;
  readonly Resource?: unknown;
  readonly Condition?: unknown;
  readonly Sid?: string;
}

const PUBLIC = { Effect: 'Allow', Principal: '*' } as const;

function policyOf(...Statement: Statement[]): string {
  return JSON.stringify({ Version: '2012-10-17', Statement });
}

const bucketArn = (bucket: string): string => `arn:aws:s3:::${bucket}`;
const objectsArn = (bucket: string, pattern = '*'): string => `arn:aws:s3:::${bucket}/${pattern}`;

async function withPolicy(
  w: World,
  make: (bucket: string) => readonly Statement[],
): Promise<string> {
  const Bucket = await w.bucket();
  await w.put(Bucket, 'k', 'x');
  await w.sdk.putBucketPolicy({ Bucket, Policy: policyOf(...make(Bucket)) });
  return Bucket;
}

const getStatus = async (w: World, bucket: string, key: string, headers = {}): Promise<number> =>
  (await w.call('GET', bucket, key, { ...NOBODY, headers })).status;

const BAD_POLICIES: readonly (readonly [string, (bucket: string) => string])[] = [
  ['no JSON', () => 'allow all'],
  ['an empty document', () => '{}'],
  ['no principal', (b) => policyOf({ Effect: 'Allow', Action: 's3:*', Resource: objectsArn(b) })],
  [
    'an unknown effect',
    (b) =>
      policyOf({ ...PUBLIC, Effect: 'Perhaps', Action: 's3:GetObject', Resource: objectsArn(b) }),
  ],
  [
    'an unknown action',
    (b) => policyOf({ ...PUBLIC, Action: 's3:Dance', Resource: objectsArn(b) }),
  ],
  ['no resource', () => policyOf({ ...PUBLIC, Action: 's3:GetObject' })],
  [
    'another bucket',
    () => policyOf({ ...PUBLIC, Action: 's3:GetObject', Resource: objectsArn('other-bucket') }),
  ],
  [
    'an unknown condition',
    (b) =>
      policyOf({
        ...PUBLIC,
        Action: 's3:GetObject',
        Resource: objectsArn(b),
        Condition: { Sometimes: { 'aws:SourceIp': '1.2.3.4' } },
      }),
  ],
];

interface Conditioned {
  readonly what: string;
  readonly condition: unknown;
  readonly isAllowed: boolean;
  readonly headers?: Record<string, string>;
}

const CONDITIONS: readonly Conditioned[] = [
  {
    what: 'IpAddress that holds',
    condition: { IpAddress: { 'aws:SourceIp': ['0.0.0.0/0', '::/0'] } },
    isAllowed: true,
  },
  {
    what: 'IpAddress that does not',
    condition: { IpAddress: { 'aws:SourceIp': '203.0.113.0/24' } },
    isAllowed: false,
  },
  {
    what: 'NotIpAddress',
    condition: { NotIpAddress: { 'aws:SourceIp': '203.0.113.0/24' } },
    isAllowed: true,
  },
  {
    what: 'StringEquals on the referer',
    condition: { StringEquals: { 'aws:Referer': 'http://a.test/' } },
    isAllowed: true,
    headers: { referer: 'http://a.test/' },
  },
  {
    what: 'StringEquals on another referer',
    condition: { StringEquals: { 'aws:Referer': 'http://a.test/' } },
    isAllowed: false,
    headers: { referer: 'http://b.test/' },
  },
  {
    what: 'StringLike',
    condition: { StringLike: { 'aws:Referer': 'http://a.test/*' } },
    isAllowed: true,
    headers: { referer: 'http://a.test/page' },
  },
  {
    what: 'StringNotEquals',
    condition: { StringNotEquals: { 'aws:UserAgent': 'bad' } },
    isAllowed: false,
    headers: { 'user-agent': 'bad' },
  },
  {
    what: 'Bool on SecureTransport',
    condition: { Bool: { 'aws:SecureTransport': 'true' } },
    isAllowed: false,
  },
  {
    what: 'DateGreaterThan',
    condition: { DateGreaterThan: { 'aws:CurrentTime': '2020-01-01T00:00:00Z' } },
    isAllowed: true,
  },
  {
    what: 'DateLessThan',
    condition: { DateLessThan: { 'aws:CurrentTime': '2020-01-01T00:00:00Z' } },
    isAllowed: false,
  },
  {
    what: 'Null on a key that is not there',
    condition: { Null: { 'aws:Referer': 'true' } },
    isAllowed: true,
  },
  {
    what: 'an existing tag that matches',
    condition: { StringEquals: { 's3:ExistingObjectTag/open': 'yes' } },
    isAllowed: true,
  },
  {
    what: 'an existing tag that does not',
    condition: { StringEquals: { 's3:ExistingObjectTag/open': 'no' } },
    isAllowed: false,
  },
];

/** Bucket policies, public access blocks, ownership. */
export const policies = area('policies', {
  'a policy comes back as it was': async (w) => {
    const Bucket = await w.bucket();
    const Policy = policyOf({ ...PUBLIC, Action: 's3:ListBucket', Resource: bucketArn(Bucket) });
    const { $metadata } = await w.sdk.putBucketPolicy({ Bucket, Policy });
    assert.equal($metadata.httpStatusCode, 204);
    const seen = await w.sdk.getBucketPolicy({ Bucket });
    assert.deepEqual(JSON.parse(seen.Policy ?? ''), JSON.parse(Policy));
    const raw = await w.call('GET', Bucket, '', { query: { policy: '' } });
    assert.match(raw.headers['content-type'] ?? '', /json/);
  },
  'none is NoSuchBucketPolicy': async (w) => {
    const Bucket = await w.bucket();
    await refused(w.sdk.getBucketPolicy({ Bucket }), 404, 'NoSuchBucketPolicy');
    await refused(w.sdk.getBucketPolicyStatus({ Bucket }), 404, 'NoSuchBucketPolicy');
  },
  'a delete is 204, also of none': async (w) => {
    const Bucket = await withPolicy(w, (b) => [
      { ...PUBLIC, Action: 's3:GetObject', Resource: objectsArn(b) },
    ]);
    for (let i = 0; i < 2; i++) {
      assert.equal((await w.sdk.deleteBucketPolicy({ Bucket })).$metadata.httpStatusCode, 204);
    }
    await refused(w.sdk.getBucketPolicy({ Bucket }), 404, 'NoSuchBucketPolicy');
    assert.equal(await getStatus(w, Bucket, 'k'), 403);
  },
  ...each(
    BAD_POLICIES,
    ([what]) => `a policy with ${what} is MalformedPolicy`,
    async (w, [, make]) => {
      const Bucket = await w.bucket();
      const call = w.sdk.putBucketPolicy({ Bucket, Policy: make(Bucket) });
      await refused(call, 400, 'MalformedPolicy');
    },
  ),
  ...each(
    CONDITIONS,
    ({ what, isAllowed }) => `${what}: ${isAllowed ? 'allowed' : 'refused'}`,
    async (w, { condition, isAllowed, headers }) => {
      const Bucket = await withPolicy(w, (b) => [
        { ...PUBLIC, Action: 's3:GetObject', Resource: objectsArn(b), Condition: condition },
      ]);
      const TagSet = [{ Key: 'open', Value: 'yes' }];
      await w.sdk.putObjectTagging({ Bucket, Key: 'k', Tagging: { TagSet } });
      assert.equal(await getStatus(w, Bucket, 'k', headers), isAllowed ? 200 : 403);
    },
  ),
  'all may list, and no more': async (w) => {
    const bucket = await withPolicy(w, (b) => [
      { ...PUBLIC, Action: 's3:ListBucket', Resource: bucketArn(b) },
    ]);
    isStatus(await w.call('GET', bucket, '', NOBODY), 200);
    isStatus(await w.call('GET', bucket, '', { ...NOBODY, query: { 'list-type': '2' } }), 200);
    assert.equal(await getStatus(w, bucket, 'k'), 403);
  },
  'a prefix of the resource': async (w) => {
    const bucket = await withPolicy(w, (b) => [
      { ...PUBLIC, Action: ['s3:GetObject'], Resource: [objectsArn(b, 'open/*')] },
    ]);
    await w.putAll(bucket, ['open/a', 'open/b/c', 'shut/a']);
    assert.equal(await getStatus(w, bucket, 'open/a'), 200);
    assert.equal(await getStatus(w, bucket, 'open/b/c'), 200);
    assert.equal(await getStatus(w, bucket, 'shut/a'), 403);
  },
  'question mark and star in the resource': async (w) => {
    const bucket = await withPolicy(w, (b) => [
      { ...PUBLIC, Action: 's3:Get*', Resource: objectsArn(b, 'a?c*.txt') },
    ]);
    await w.putAll(bucket, ['abc.txt', 'abcd.txt', 'ac.txt']);
    assert.equal(await getStatus(w, bucket, 'abc.txt'), 200);
    assert.equal(await getStatus(w, bucket, 'abcd.txt'), 200);
    assert.equal(await getStatus(w, bucket, 'ac.txt'), 403);
  },
  'a deny wins over an allow': async (w) => {
    const bucket = await withPolicy(w, (b) => [
      { ...PUBLIC, Action: 's3:GetObject', Resource: objectsArn(b) },
      { ...PUBLIC, Effect: 'Deny', Action: 's3:GetObject', Resource: objectsArn(b, 'shut*') },
    ]);
    await w.put(bucket, 'shut');
    assert.equal(await getStatus(w, bucket, 'k'), 200);
    assert.equal(await getStatus(w, bucket, 'shut'), 403);
  },
  'a deny holds for a principal that is an AWS star': async (w) => {
    const bucket = await withPolicy(w, (b) => [
      { Effect: 'Allow', Principal: { AWS: '*' }, Action: 's3:GetObject', Resource: objectsArn(b) },
    ]);
    assert.equal(await getStatus(w, bucket, 'k'), 200);
  },
  'all may put, and the owner reads it': async (w) => {
    const bucket = await withPolicy(w, (b) => [
      { ...PUBLIC, Action: 's3:PutObject', Resource: objectsArn(b) },
    ]);
    isStatus(await w.call('PUT', bucket, 'new', { ...NOBODY, body: 'y' }), 200);
    assert.equal(await w.text(bucket, 'new'), 'y');
    isRefused(await w.call('DELETE', bucket, 'new', NOBODY), 403, 'AccessDenied');
  },
  'a put that must be encrypted': async (w) => {
    const bucket = await withPolicy(w, (b) => [
      {
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:PutObject',
        Resource: objectsArn(b),
        Condition: { StringNotEquals: { 's3:x-amz-server-side-encryption': 'AES256' } },
      },
    ]);
    isRefused(await w.call('PUT', bucket, 'n', { body: 'x' }), 403, 'AccessDenied');
    const headers = { 'x-amz-server-side-encryption': 'AES256' };
    isStatus(await w.call('PUT', bucket, 'n', { body: 'x', headers }), 200);
  },
  'a listing by prefix only': async (w) => {
    const bucket = await withPolicy(w, (b) => [
      {
        ...PUBLIC,
        Action: 's3:ListBucket',
        Resource: bucketArn(b),
        Condition: { StringEquals: { 's3:prefix': 'open/' } },
      },
    ]);
    const list = (query: Record<string, string>) => w.call('GET', bucket, '', { ...NOBODY, query });
    isStatus(await list({ prefix: 'open/' }), 200);
    isRefused(await list({}), 403, 'AccessDenied');
  },
  'the status of a policy for all is public': async (w) => {
    const Bucket = await withPolicy(w, (b) => [
      { ...PUBLIC, Action: 's3:GetObject', Resource: objectsArn(b) },
    ]);
    const { PolicyStatus } = await w.sdk.getBucketPolicyStatus({ Bucket });
    assert.equal(PolicyStatus?.IsPublic, true);
  },
  'the status of a policy for some addresses is not public': async (w) => {
    const Condition = { IpAddress: { 'aws:SourceIp': '10.0.0.0/32' } };
    const Bucket = await withPolicy(w, (b) => [
      { ...PUBLIC, Action: 's3:GetObject', Resource: objectsArn(b), Condition },
    ]);
    const { PolicyStatus } = await w.sdk.getBucketPolicyStatus({ Bucket });
    assert.equal(PolicyStatus?.IsPublic, false);
  },
  'a public access block comes back': async (w) => {
    const Bucket = await w.bucket();
    const PublicAccessBlockConfiguration = {
      BlockPublicAcls: true,
      IgnorePublicAcls: false,
      BlockPublicPolicy: true,
      RestrictPublicBuckets: false,
    };
    await w.sdk.putPublicAccessBlock({ Bucket, PublicAccessBlockConfiguration });
    const seen = await w.sdk.getPublicAccessBlock({ Bucket });
    assert.deepEqual(seen.PublicAccessBlockConfiguration, PublicAccessBlockConfiguration);
    const { $metadata } = await w.sdk.deletePublicAccessBlock({ Bucket });
    assert.equal($metadata.httpStatusCode, 204);
    const get = w.sdk.getPublicAccessBlock({ Bucket });
    await refused(get, 404, 'NoSuchPublicAccessBlockConfiguration');
  },
  'BlockPublicAcls refuses ACLs for all': async (w) => {
    const Bucket = await w.bucket({ ObjectOwnership: 'ObjectWriter' });
    const PublicAccessBlockConfiguration = { BlockPublicAcls: true };
    await w.sdk.putPublicAccessBlock({ Bucket, PublicAccessBlockConfiguration });
    for (const ACL of ['public-read', 'public-read-write', 'authenticated-read'] as const) {
      await refused(w.sdk.putBucketAcl({ Bucket, ACL }), 403, 'AccessDenied');
      const put = w.sdk.putObject({ Bucket, Key: 'k', Body: 'x', ACL });
      await refused(put, 403, 'AccessDenied');
    }
    await w.put(Bucket, 'k', 'x', { ACL: 'private' });
  },
  'IgnorePublicAcls passes over ACLs for all': async (w) => {
    const Bucket = await w.bucket({ ObjectOwnership: 'ObjectWriter', ACL: 'public-read' });
    await w.put(Bucket, 'k', 'x', { ACL: 'public-read' });
    assert.equal(await getStatus(w, Bucket, 'k'), 200);
    const PublicAccessBlockConfiguration = { IgnorePublicAcls: true };
    await w.sdk.putPublicAccessBlock({ Bucket, PublicAccessBlockConfiguration });
    assert.equal(await getStatus(w, Bucket, 'k'), 403);
    isRefused(await w.call('GET', Bucket, '', NOBODY), 403, 'AccessDenied');
  },
  'BlockPublicPolicy refuses a policy for all': async (w) => {
    const Bucket = await w.bucket();
    const PublicAccessBlockConfiguration = { BlockPublicPolicy: true };
    await w.sdk.putPublicAccessBlock({ Bucket, PublicAccessBlockConfiguration });
    const Policy = policyOf({ ...PUBLIC, Action: 's3:GetObject', Resource: objectsArn(Bucket) });
    await refused(w.sdk.putBucketPolicy({ Bucket, Policy }), 403, 'AccessDenied');
  },
  'RestrictPublicBuckets leaves a policy for all to the account': async (w) => {
    const Bucket = await withPolicy(w, (b) => [
      { ...PUBLIC, Action: 's3:GetObject', Resource: objectsArn(b) },
    ]);
    const PublicAccessBlockConfiguration = { RestrictPublicBuckets: true };
    await w.sdk.putPublicAccessBlock({ Bucket, PublicAccessBlockConfiguration });
    assert.equal(await getStatus(w, Bucket, 'k'), 403);
    assert.equal(await w.text(Bucket, 'k'), 'x');
  },
  ...each(
    ['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'] as const,
    (ownership) => `ownership ${ownership} comes back`,
    async (w, ObjectOwnership) => {
      const Bucket = await w.bucket();
      const OwnershipControls = { Rules: [{ ObjectOwnership }] };
      await w.sdk.putBucketOwnershipControls({ Bucket, OwnershipControls });
      const seen = await w.sdk.getBucketOwnershipControls({ Bucket });
      assert.deepEqual(seen.OwnershipControls, OwnershipControls);
    },
  ),
  'ownership that is deleted is OwnershipControlsNotFoundError': async (w) => {
    const Bucket = await w.bucket({ ObjectOwnership: 'ObjectWriter' });
    await w.sdk.deleteBucketOwnershipControls({ Bucket });
    const call = w.sdk.getBucketOwnershipControls({ Bucket });
    await refused(call, 404, 'OwnershipControlsNotFoundError');
  },
  'an unknown ownership is MalformedXML': async (w) => {
    const body =
      '<OwnershipControls><Rule><ObjectOwnership>Me</ObjectOwnership></Rule></OwnershipControls>';
    const query = { ownershipControls: '' };
    isRefused(await w.call('PUT', await w.bucket(), '', { query, body }), 400, 'MalformedXML');
  },
});
