import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { S3Error } from '../../../../gateways/s3/errors.ts';
import { checkLengthRange, parsePostPolicy } from '../../../../gateways/s3/post-policy.ts';
import { authenticatePost, type PostForm } from '../../../../gateways/s3/post-signature.ts';
import { EXAMPLE, EXAMPLE_KEY, oracle, TEMPORARY, verifierAt } from '../../../kit/s3-signer.ts';

const EXPIRATION = '2013-05-24T12:00:00.000Z';
const CREDENTIAL = `${EXAMPLE.accessKeyId}/${EXAMPLE.scope}`;
const SIGNING_CONDITIONS = [
  { 'x-amz-algorithm': 'AWS4-HMAC-SHA256' },
  { 'x-amz-credential': CREDENTIAL },
  { 'x-amz-date': EXAMPLE.timestamp },
];
const CONDITIONS: unknown[] = [
  { bucket: 'b' },
  ['starts-with', '$key', 'user/'],
  ['eq', '$Acl', 'private'],
  ['content-length-range', 1, 100],
];

function base64(document: unknown): string {
  return Buffer.from(JSON.stringify(document)).toString('base64');
}

/** A form that its policy allows, signed by the examples' key. */
function formOf(conditions: readonly unknown[], fields: Record<string, string> = {}): PostForm {
  const policy = base64({
    expiration: EXPIRATION,
    conditions: [...conditions, ...SIGNING_CONDITIONS],
  });
  return {
    bucket: 'b',
    fields: new Map(
      Object.entries({
        key: 'user/a',
        acl: 'private',
        'x-amz-algorithm': 'AWS4-HMAC-SHA256',
        'x-amz-credential': CREDENTIAL,
        'x-amz-date': EXAMPLE.timestamp,
        policy,
        'x-amz-signature': createHmac('sha256', EXAMPLE_KEY).update(policy).digest('hex'),
        ...fields,
      }).filter(([, value]) => value !== ''),
    ),
  };
}

const post = (form: PostForm, wallMs: number = EXAMPLE.timeMs) =>
  authenticatePost(form, verifierAt(wallMs), {
    clock: { wallMs: () => wallMs },
    region: EXAMPLE.region,
  });

async function refusal(form: PostForm, wallMs?: number): Promise<S3Error> {
  try {
    await post(form, wallMs);
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
  throw new Error('was taken');
}

describe('form uploads', () => {
  it('are taken where the policy allows them', async () => {
    expect(await post(formOf(CONDITIONS))).toMatchObject({
      kind: 'authenticated',
      accessKeyId: EXAMPLE.accessKeyId,
      lengthRange: { min: 1, max: 100 },
    });
    const form = formOf(CONDITIONS, { 'x-ignore-a': 'b', file: 'x' });
    expect(await post(form)).toMatchObject({ kind: 'authenticated' });
    expect(await post({ bucket: 'b', fields: new Map([['key', 'a']]) })).toEqual({
      kind: 'anonymous',
    });
  });

  it('carry the signature that the AWS SDK gives the policy', async () => {
    const { fields } = formOf(CONDITIONS);
    const signature = await oracle().sign(fields.get('policy') as string, {
      signingDate: new Date(EXAMPLE.timeMs),
    });
    expect(fields.get('x-amz-signature')).toBe(signature);
  });

  it('are refused for a field that breaks a condition, or has none', async () => {
    const refusals: [Record<string, string>, string][] = [
      [{ key: 'other/a' }, 'Policy Condition failed: ["starts-with","$key","user/"]'],
      [{ key: '' }, 'Policy Condition failed: ["starts-with","$key","user/"]'],
      [{ acl: 'public-read' }, 'Policy Condition failed: ["eq","$Acl","private"]'],
      [{ acl: 'Private' }, 'Policy Condition failed: ["eq","$Acl","private"]'],
      [{ 'x-amz-meta-a': 'b' }, 'Extra input fields: x-amz-meta-a'],
    ];
    for (const [fields, why] of refusals) {
      expect(await refusal(formOf(CONDITIONS, fields))).toMatchObject({
        code: 'AccessDenied',
        status: 403,
        message: `Invalid according to Policy: ${why}`,
      });
    }
    const elsewhere = await refusal({ ...formOf(CONDITIONS), bucket: 'c' });
    expect(elsewhere.message).toContain('["eq","$bucket","b"]');
    const anyBucket = await refusal(formOf(CONDITIONS.slice(1)));
    expect(anyBucket.message).toContain('Extra input fields: bucket');
  });

  it('a list of types has to begin so everywhere', async () => {
    const conditions = [...CONDITIONS, ['starts-with', '$Content-Type', 'image/']];
    const form = (type: string) => formOf(conditions, { 'content-type': type });
    expect(await post(form('image/png, image/jpeg'))).toMatchObject({ kind: 'authenticated' });
    expect((await refusal(form('image/png, text/html'))).code).toBe('AccessDenied');
  });

  it('are refused once the policy has expired', async () => {
    const endMs = Date.parse(EXPIRATION);
    expect(await post(formOf(CONDITIONS), endMs - 1)).toMatchObject({ kind: 'authenticated' });
    expect(await refusal(formOf(CONDITIONS), endMs)).toMatchObject({
      code: 'AccessDenied',
      message: 'Invalid according to Policy: Policy expired.',
    });
  });

  it('are refused for a policy or a signature that was changed', async () => {
    const form = formOf(CONDITIONS);
    const { fields } = form;
    const changed = (name: string): Map<string, string> => {
      const value = fields.get(name) as string;
      const other = value[0] === 'a' ? 'b' : 'a';
      return new Map(fields).set(name, other + value.slice(1));
    };
    for (const name of ['policy', 'x-amz-signature']) {
      const error = await refusal({ ...form, fields: changed(name) });
      expect(error).toMatchObject({ code: 'SignatureDoesNotMatch', status: 403 });
    }
    const unknown = { 'x-amz-credential': `AKIAUNKNOWN/${EXAMPLE.scope}` };
    expect((await refusal(formOf(CONDITIONS, unknown))).code).toBe('InvalidAccessKeyId');
  });

  it('are refused where a field of the signature is missing or wrong', async () => {
    const names = [
      'policy',
      'x-amz-signature',
      'x-amz-credential',
      'x-amz-date',
      'x-amz-algorithm',
    ];
    for (const name of names) {
      expect(await refusal(formOf(CONDITIONS, { [name]: '' }))).toMatchObject({
        code: 'InvalidArgument',
        status: 400,
        extra: { ArgumentName: name },
      });
    }
    const wrong: Record<string, string>[] = [
      { 'x-amz-algorithm': 'AWS4-HMAC-SHA1' },
      { 'x-amz-credential': CREDENTIAL.replace('us-east-1', 'eu-west-1') },
      { 'x-amz-date': '20130525T000000Z' },
      { 'x-amz-date': 'x' },
    ];
    for (const fields of wrong) {
      expect((await refusal(formOf(CONDITIONS, fields))).code).toBe('InvalidArgument');
    }
  });

  it('take version 2 of the signature over the same policy', async () => {
    const policy = base64({ expiration: EXPIRATION, conditions: CONDITIONS });
    const signature = createHmac('sha1', EXAMPLE.secretAccessKey).update(policy).digest('base64');
    const fields = { key: 'user/a', acl: 'private', policy, signature };
    const form = (more: Record<string, string>): PostForm => ({
      bucket: 'b',
      fields: new Map(Object.entries({ ...fields, ...more })),
    });
    const id = { awsaccesskeyid: EXAMPLE.accessKeyId };
    expect(await post(form(id))).toMatchObject({ accessKeyId: EXAMPLE.accessKeyId });
    expect((await refusal(form({ ...id, signature: 'x' }))).code).toBe('SignatureDoesNotMatch');
    expect((await refusal(form({}))).code).toBe('InvalidArgument');
    expect((await refusal(form({ ...id, key: 'x' }))).code).toBe('AccessDenied');
    const temporary = { awsaccesskeyid: TEMPORARY.accessKeyId };
    expect((await refusal(form(temporary))).code).toBe('InvalidAccessKeyId');
  });
});

describe('policy documents', () => {
  const parse = (document: unknown) => parsePostPolicy(Buffer.from(JSON.stringify(document)));
  const withConditions = (conditions: unknown) => parse({ expiration: EXPIRATION, conditions });

  it('are read', () => {
    expect(withConditions(CONDITIONS)).toMatchObject({
      expiresAtMs: Date.parse(EXPIRATION),
      lengthRange: { min: 1, max: 100 },
      conditions: [
        { match: 'eq', field: 'bucket', value: 'b' },
        { match: 'starts-with', field: 'key', value: 'user/' },
        { match: 'eq', field: 'acl', value: 'private' },
      ],
    });
    const ranges = [
      ['content-length-range', 0, '50'],
      ['Content-Length-Range', 10, 99],
    ];
    expect(withConditions(ranges).lengthRange).toEqual({ min: 10, max: 50 });
  });

  it('are refused where they are none', () => {
    const conditions: unknown[] = [
      [{}],
      [{ a: 'b', c: 'd' }],
      [{ a: 1 }],
      [null],
      ['eq'],
      [['eq', '$key']],
      [['eq', 'key', 'a']],
      [['eq', '$', 'a']],
      [['eq', '$key', 'a', 'b']],
      [['eq', '$key', 1]],
      [['ends-with', '$key', 'a']],
      [['content-length-range', 1]],
      [['content-length-range', -1, 5]],
      [['content-length-range', 1, 1.5]],
      [['content-length-range', 1, 'x']],
      [['content-length-range', 1, 2, 3]],
      {},
    ];
    for (const value of conditions) {
      expect(() => withConditions(value), JSON.stringify(value)).toThrow(
        expect.objectContaining({ code: 'InvalidPolicyDocument', status: 400 }),
      );
    }
    const documents: unknown[] = [
      null,
      [],
      'x',
      { expiration: EXPIRATION },
      { conditions: [] },
      { EXPIRATION, CONDITIONS },
      { expiration: { toString: 1, valueOf: 1 }, conditions: [] },
      ...['2013-05-24', '2013-02-30T00:00:00Z', '2013-05-24T12:00:00', 'x', 5].map(
        (expiration) => ({ expiration, conditions: [] }),
      ),
    ];
    for (const document of documents) {
      expect(() => parse(document), JSON.stringify(document)).toThrow(S3Error);
    }
    for (const text of ['', '{', '{"expiration":1,"expiration":2}', '\xff', '['.repeat(100_000)]) {
      expect(() => parsePostPolicy(Buffer.from(text, 'latin1'))).toThrow(S3Error);
    }
  });

  it('a file outside the range is refused by its side', () => {
    const range = { min: 2, max: 4 };
    for (const bytes of [2, 3, 4]) expect(() => checkLengthRange(range, bytes)).not.toThrow();
    expect(() => checkLengthRange(range, 1)).toThrow(
      expect.objectContaining({ code: 'EntityTooSmall', status: 400 }),
    );
    expect(() => checkLengthRange(range, 5)).toThrow(
      expect.objectContaining({ code: 'EntityTooLarge', status: 400 }),
    );
  });
});
