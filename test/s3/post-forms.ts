import { createHmac } from 'node:crypto';
import { scopeOf, sha256Hex, timestampOf } from './sign.ts';
import { area, assert, each } from './suite.ts';
import type { Reply } from './wire.ts';
import { isRefused, isStatus, md5Base64, type World } from './world.ts';
import { textOf } from './xml.ts';

type Fields = [string, string][];

const BOUNDARY = '----conformance7MA4YWxk';

function formOf(fields: Fields, file: { name: string; bytes: string } | null): string {
  const part = (head: string, body: string): string =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; ${head}\r\n\r\n${body}\r\n`;
  const parts = fields.map(([name, value]) => part(`name="${name}"`, value));
  if (file !== null) parts.push(part(`name="file"; filename="${file.name}"`, file.bytes));
  return `${parts.join('')}--${BOUNDARY}--\r\n`;
}

function post(
  w: World,
  bucket: string,
  fields: Fields,
  file: { name: string; bytes: string } | null = { name: 'up.txt', bytes: 'bar' },
): Promise<Reply> {
  const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
  return w.call('POST', bucket, '', { by: 'nobody', headers, body: formOf(fields, file) });
}

interface Signed {
  readonly bucket: string;
  readonly key?: string;
  readonly expiration?: string;
  /** Of the policy, besides those on bucket, key and the fields of SigV4. */
  readonly conditions?: readonly unknown[];
  readonly fields?: Fields;
  /** Fields that are left out of the form. */
  readonly without?: readonly string[];
  readonly change?: (policy: Record<string, unknown>) => Record<string, unknown>;
  readonly bytes?: string;
  readonly secret?: string;
  readonly accessKeyId?: string;
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

const inHours = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString();

/** A form as a page would have it, signed with SigV4. */
function signedPost(w: World, options: Signed): Promise<Reply> {
  const {
    bucket,
    key = 'foo.txt',
    fields = [],
    without = [],
    change = (policy) => policy,
  } = options;
  const signer = w.signer();
  const scope = scopeOf(signer);
  const accessKeyId = options.accessKeyId ?? signer.credentials.accessKeyId;
  const signing: Fields = [
    ['x-amz-algorithm', 'AWS4-HMAC-SHA256'],
    ['x-amz-credential', `${accessKeyId}/${scope}`],
    ['x-amz-date', timestampOf(signer.at)],
  ];
  const policy = change({
    expiration: options.expiration ?? inHours(1),
    conditions: [
      { bucket },
      ['starts-with', '$key', 'foo'],
      ...signing.map(([name, value]) => ({ [name]: value })),
      ...(options.conditions ?? []),
    ],
  });
  const encoded = Buffer.from(JSON.stringify(policy)).toString('base64');
  const secret = options.secret ?? signer.credentials.secretAccessKey;
  const signingKey = scope.split('/').reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`));
  const all: Fields = [
    ['key', key],
    ...signing,
    ['policy', encoded],
    ['x-amz-signature', hmac(signingKey, encoded).toString('hex')],
    ...fields,
  ];
  const sent = all.filter(([name]) => !without.includes(name));
  return post(w, bucket, sent, { name: 'up.txt', bytes: options.bytes ?? 'bar' });
}

interface Row {
  readonly what: string;
  readonly options: (w: World) => Omit<Signed, 'bucket'>;
  readonly status: number;
  readonly code: string;
}

const REFUSED: readonly Row[] = [
  {
    what: 'a policy that has expired',
    options: () => ({ expiration: inHours(-1) }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'an expiration that is no date',
    options: () => ({ expiration: 'tomorrow' }),
    status: 400,
    code: 'InvalidPolicyDocument',
  },
  {
    what: 'a policy without an expiration',
    options: () => ({ change: ({ conditions }) => ({ conditions }) }),
    status: 400,
    code: 'InvalidPolicyDocument',
  },
  {
    what: 'a policy without conditions',
    options: () => ({ change: ({ expiration }) => ({ expiration }) }),
    status: 400,
    code: 'InvalidPolicyDocument',
  },
  {
    what: 'a field that no condition allows',
    options: () => ({ fields: [['x-amz-meta-foo', 'bar']] }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'a field whose value is not the one of the policy',
    options: () => ({ conditions: [{ acl: 'public-read' }], fields: [['acl', 'private']] }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'a condition on a field that does not come',
    options: () => ({ conditions: [['eq', '$x-amz-meta-foo', 'bar']] }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'a key that does not start as it must',
    options: () => ({ key: 'other.txt' }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'another bucket in the policy',
    options: () => ({
      change: (policy) => {
        const [, ...rest] = policy['conditions'] as unknown[];
        return { ...policy, conditions: [{ bucket: 'another' }, ...rest] };
      },
    }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'more bytes than the policy allows',
    options: () => ({ conditions: [['content-length-range', 0, 2]] }),
    status: 400,
    code: 'EntityTooLarge',
  },
  {
    what: 'fewer bytes than the policy allows',
    options: () => ({ conditions: [['content-length-range', 512, 1000]] }),
    status: 400,
    code: 'EntityTooSmall',
  },
  {
    what: 'a range of sizes without its end',
    options: () => ({ conditions: [['content-length-range', 0]] }),
    status: 400,
    code: 'InvalidPolicyDocument',
  },
  {
    what: 'a range of sizes that is negative',
    options: () => ({ conditions: [['content-length-range', -1, 0]] }),
    status: 400,
    code: 'InvalidPolicyDocument',
  },
  {
    what: 'an unknown kind of condition',
    options: () => ({ conditions: [['ends-with', '$key', 'txt']] }),
    status: 400,
    code: 'InvalidPolicyDocument',
  },
  {
    what: 'another secret',
    options: () => ({ secret: 'wrong' }),
    status: 403,
    code: 'SignatureDoesNotMatch',
  },
  {
    what: 'an access key that is not known',
    options: () => ({ accessKeyId: 'AKIAUNKNOWN000000000' }),
    status: 403,
    code: 'InvalidAccessKeyId',
  },
  {
    what: 'a form without a key',
    options: () => ({ without: ['key'] }),
    status: 400,
    code: 'InvalidArgument',
  },
  {
    what: 'a form with a policy and no signature',
    options: () => ({ without: ['x-amz-signature'] }),
    status: 400,
    code: 'InvalidArgument',
  },
];

/** Uploads by a form of a page. */
export const postForms = area('post forms', {
  'a signed form answers 204 with place and ETag': async (w) => {
    const bucket = await w.bucket();
    const reply = isStatus(await signedPost(w, { bucket }), 204);
    assert.equal(await w.text(bucket, 'foo.txt'), 'bar');
    assert.equal(reply.headers['etag'], '"37b51d194a7513e45b56f6524f2d51f2"');
    assert.match(reply.headers['location'] ?? '', /foo\.txt$/);
  },
  ...each(
    REFUSED,
    ({ what, code }) => `${what} is ${code}`,
    async (w, { options, status, code }) => {
      const bucket = await w.bucket();
      isRefused(await signedPost(w, { bucket, ...options(w) }), status, code);
      assert.equal((await w.sdk.listObjectsV2({ Bucket: bucket })).KeyCount, 0);
    },
  ),
  ...each(
    [
      ['200', 200],
      ['201', 201],
      ['204', 204],
      ['404', 204],
      ['', 204],
    ] as const,
    ([wanted, status]) => `success_action_status ${wanted || '(empty)'} answers ${status}`,
    async (w, [wanted, status]) => {
      const bucket = await w.bucket();
      const reply = await signedPost(w, {
        bucket,
        conditions: [['starts-with', '$success_action_status', '']],
        fields: [['success_action_status', wanted]],
      });
      isStatus(reply, status);
      if (status === 201) {
        assert.equal(textOf(reply.text, 'Key'), 'foo.txt');
        assert.equal(textOf(reply.text, 'Bucket'), bucket);
        assert.ok(textOf(reply.text, 'ETag') !== null && textOf(reply.text, 'Location') !== null);
      } else assert.equal(reply.text, '');
    },
  ),
  'success_action_redirect answers 303 with bucket, key and ETag': async (w) => {
    const bucket = await w.bucket();
    const reply = await signedPost(w, {
      bucket,
      conditions: [['eq', '$success_action_redirect', 'http://a.test/done']],
      fields: [['success_action_redirect', 'http://a.test/done']],
    });
    const place = new URL(isStatus(reply, 303).headers['location'] ?? '');
    assert.equal(`${place.origin}${place.pathname}`, 'http://a.test/done');
    const { searchParams } = place;
    assert.deepEqual([searchParams.get('bucket'), searchParams.get('key')], [bucket, 'foo.txt']);
    assert.equal(searchParams.get('etag'), '"37b51d194a7513e45b56f6524f2d51f2"');
  },
  'the file’s name stands in for the variable filename': async (w) => {
    const bucket = await w.bucket();
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the form's own variable.
    isStatus(await signedPost(w, { bucket, key: 'foo/${filename}' }), 204);
    assert.equal(await w.text(bucket, 'foo/up.txt'), 'bar');
  },
  'headers and metadata of the form are kept': async (w) => {
    const bucket = await w.bucket();
    const reply = await signedPost(w, {
      bucket,
      conditions: [
        ['starts-with', '$Content-Type', 'text/'],
        ['eq', '$x-amz-meta-foo', 'barclamp'],
        ['starts-with', '$cache-control', ''],
      ],
      fields: [
        ['Content-Type', 'text/plain'],
        ['x-amz-meta-foo', 'barclamp'],
        ['cache-control', 'no-cache'],
      ],
    });
    isStatus(reply, 204);
    const { headers } = await w.call('HEAD', bucket, 'foo.txt');
    assert.deepEqual(
      [headers['content-type'], headers['x-amz-meta-foo'], headers['cache-control']],
      ['text/plain', 'barclamp', 'no-cache'],
    );
  },
  'names of fields may be in any case': async (w) => {
    const bucket = await w.bucket();
    const reply = await signedPost(w, {
      bucket,
      conditions: [['StArTs-WiTh', '$CoNtEnT-TyPe', 'text/plain']].map(([kind, ...rest]) => [
        kind?.toLowerCase(),
        ...rest,
      ]),
      fields: [['content-type', 'text/plain']],
    });
    isStatus(reply, 204);
  },
  'fields that begin with x-ignore- need no condition': async (w) => {
    const bucket = await w.bucket();
    isStatus(await signedPost(w, { bucket, fields: [['x-ignore-foo', 'bar']] }), 204);
  },
  'tags of the form': async (w) => {
    const bucket = await w.bucket();
    const document = '<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>';
    const reply = await signedPost(w, {
      bucket,
      conditions: [['starts-with', '$tagging', '']],
      fields: [['tagging', document]],
    });
    isStatus(reply, 204);
    const { TagSet } = await w.sdk.getObjectTagging({ Bucket: bucket, Key: 'foo.txt' });
    assert.deepEqual(TagSet, [{ Key: 'a', Value: '1' }]);
  },
  'fields behind the file are passed over': async (w) => {
    const bucket = await w.bucket({ ACL: 'public-read-write', ObjectOwnership: 'ObjectWriter' });
    const whole = formOf([['key', 'foo.txt']], { name: 'a', bytes: 'bar' });
    const more = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="acl"\r\n\r\nnonsense\r\n`;
    const body = whole.replace(`--${BOUNDARY}--`, `${more}--${BOUNDARY}--`);
    const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
    isStatus(await w.call('POST', bucket, '', { by: 'nobody', headers, body }), 204);
    assert.equal(await w.text(bucket, 'foo.txt'), 'bar');
  },
  'an anonymous form into a bucket that all may write': async (w) => {
    const bucket = await w.bucket({ ACL: 'public-read-write', ObjectOwnership: 'ObjectWriter' });
    isStatus(await post(w, bucket, [['key', 'foo.txt']]), 204);
    assert.equal(await w.text(bucket, 'foo.txt'), 'bar');
  },
  'an anonymous form into a private bucket is AccessDenied': async (w) => {
    isRefused(await post(w, await w.bucket(), [['key', 'foo.txt']]), 403, 'AccessDenied');
  },
  'a form without a file is InvalidArgument': async (w) => {
    const bucket = await w.bucket({ ACL: 'public-read-write', ObjectOwnership: 'ObjectWriter' });
    isRefused(await post(w, bucket, [['key', 'foo.txt']], null), 400, 'InvalidArgument');
  },
  'a body of another type is refused': async (w) => {
    const headers = { 'content-type': 'text/plain' };
    const reply = await w.call('POST', await w.bucket(), '', { by: 'nobody', headers, body: 'x' });
    assert.ok([400, 412].includes(reply.status));
  },
  'a form that ends early is refused': async (w) => {
    const bucket = await w.bucket({ ACL: 'public-read-write', ObjectOwnership: 'ObjectWriter' });
    const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
    const body = formOf([['key', 'foo.txt']], { name: 'a', bytes: 'bar' }).slice(0, -20);
    isStatus(await w.call('POST', bucket, '', { by: 'nobody', headers, body }), 400);
    isStatus(await w.call('HEAD', bucket, 'foo.txt'), 404);
  },
  'a large file': async (w) => {
    const bucket = await w.bucket();
    const bytes = 'x'.repeat(3_000_000);
    isStatus(await signedPost(w, { bucket, bytes }), 204);
    const { text } = await w.call('GET', bucket, 'foo.txt');
    assert.equal(sha256Hex(text), sha256Hex(bytes));
  },
  'the names of the policy are case-sensitive': async (w) => {
    const bucket = await w.bucket();
    const change = ({ expiration, conditions }: Record<string, unknown>) => ({
      eXpIrAtIoN: expiration,
      CONDITIONS: conditions,
    });
    isRefused(await signedPost(w, { bucket, change }), 400, 'InvalidPolicyDocument');
  },
  'a checksum of the file that is right, and one that is wrong': async (w) => {
    const bucket = await w.bucket();
    const withSum = (value: string) =>
      signedPost(w, {
        bucket,
        conditions: [['starts-with', '$content-md5', '']],
        fields: [['content-md5', value]],
      });
    isStatus(await withSum(md5Base64('bar')), 204);
    isRefused(await withSum(md5Base64('other')), 400, 'BadDigest');
  },
});
