import type { CORSRule } from '@aws-sdk/client-s3';
import { area, assert, each, refused } from './suite.ts';
import type { Reply } from './wire.ts';
import { isRefused, isStatus, md5Base64, type World } from './world.ts';

async function withRules(w: World, ...CORSRules: CORSRule[]): Promise<string> {
  const Bucket = await w.bucket();
  await w.put(Bucket, 'k', 'x');
  await w.sdk.putBucketCors({ Bucket, CORSConfiguration: { CORSRules } });
  return Bucket;
}

function preflight(
  w: World,
  bucket: string,
  origin: string,
  method: string,
  more: Record<string, string> = {},
): Promise<Reply> {
  const headers = { origin, 'access-control-request-method': method, ...more };
  return w.call('OPTIONS', bucket, 'k', { by: 'nobody', headers });
}

const RULE: CORSRule = { AllowedOrigins: ['*suffix'], AllowedMethods: ['GET', 'PUT'] };

interface OriginRow {
  readonly allowed: string;
  readonly origin: string;
  /** What the answer allows; null: nothing. */
  readonly said: string | null;
}

const ORIGINS: readonly OriginRow[] = [
  { allowed: '*suffix', origin: 'foo.suffix', said: 'foo.suffix' },
  { allowed: '*suffix', origin: 'foo.bar', said: null },
  { allowed: '*suffix', origin: 'foo.suffix.get', said: null },
  { allowed: 'start*end', origin: 'startend', said: 'startend' },
  { allowed: 'start*end', origin: 'start1end', said: 'start1end' },
  { allowed: 'start*end', origin: 'start1', said: null },
  { allowed: 'prefix*', origin: 'prefix.x', said: 'prefix.x' },
  { allowed: 'prefix*', origin: 'x.prefix', said: null },
  { allowed: 'http://a.test', origin: 'http://a.test', said: 'http://a.test' },
  { allowed: 'http://a.test', origin: 'https://a.test', said: null },
  { allowed: '*', origin: 'http://any.test', said: '*' },
];

const BAD: readonly (readonly [string, string, string])[] = [
  ['no rules', '', 'MalformedXML'],
  [
    'a rule without origins',
    '<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>',
    'MalformedXML',
  ],
  [
    'a rule without methods',
    '<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>',
    'MalformedXML',
  ],
  [
    'a method that S3 does not have',
    '<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod></CORSRule>',
    'InvalidRequest',
  ],
  [
    'an origin with two stars',
    '<CORSRule><AllowedOrigin>*a*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>',
    'InvalidRequest',
  ],
];

/** Cross-origin requests. */
export const cors = area('cors', {
  'rules come back, and go': async (w) => {
    const Bucket = await withRules(w, {
      ID: 'one',
      AllowedOrigins: ['http://a.test', '*.b.test'],
      AllowedMethods: ['GET', 'PUT', 'POST', 'DELETE', 'HEAD'],
      AllowedHeaders: ['x-amz-*', 'content-type'],
      ExposeHeaders: ['etag'],
      MaxAgeSeconds: 3000,
    });
    const { CORSRules = [] } = await w.sdk.getBucketCors({ Bucket });
    const [rule] = CORSRules;
    assert.deepEqual([rule?.ID, rule?.MaxAgeSeconds], ['one', 3000]);
    assert.deepEqual(rule?.AllowedOrigins, ['http://a.test', '*.b.test']);
    assert.deepEqual(rule?.AllowedHeaders, ['x-amz-*', 'content-type']);
    assert.equal((await w.sdk.deleteBucketCors({ Bucket })).$metadata.httpStatusCode, 204);
    await refused(w.sdk.getBucketCors({ Bucket }), 404, 'NoSuchCORSConfiguration');
  },
  'none is NoSuchCORSConfiguration': async (w) => {
    const call = w.sdk.getBucketCors({ Bucket: await w.bucket() });
    await refused(call, 404, 'NoSuchCORSConfiguration');
  },
  ...each(
    BAD,
    ([what, , code]) => `${what} is ${code}`,
    async (w, [, inside, code]) => {
      const body = `<CORSConfiguration>${inside}</CORSConfiguration>`;
      const headers = { 'content-md5': md5Base64(body) };
      const reply = await w.call('PUT', await w.bucket(), '', {
        query: { cors: '' },
        body,
        headers,
      });
      isRefused(reply, 400, code);
    },
  ),
  'a hundred rules are taken, one more is not': async (w) => {
    const Bucket = await w.bucket();
    const CORSRules = Array.from({ length: 101 }, (_, i) => ({ ...RULE, ID: `r${i}` }));
    await w.sdk.putBucketCors({ Bucket, CORSConfiguration: { CORSRules: CORSRules.slice(1) } });
    const call = w.sdk.putBucketCors({ Bucket, CORSConfiguration: { CORSRules } });
    const error = await call.then(
      () => null,
      (failure: { $metadata?: { httpStatusCode?: number } }) => failure,
    );
    assert.equal(error?.$metadata?.httpStatusCode, 400);
  },
  ...each(
    ORIGINS,
    ({ allowed, origin, said }) => `${allowed} and the origin ${origin}: ${said ?? 'nothing'}`,
    async (w, { allowed, origin, said }) => {
      const bucket = await withRules(w, { AllowedOrigins: [allowed], AllowedMethods: ['GET'] });
      const got = isStatus(await w.call('GET', bucket, 'k', { headers: { origin } }), 200);
      assert.equal(got.headers['access-control-allow-origin'], said ?? undefined);
      const asked = await preflight(w, bucket, origin, 'GET');
      assert.equal(asked.status, said === null ? 403 : 200);
      assert.equal(asked.headers['access-control-allow-origin'], said ?? undefined);
    },
  ),
  'a refused preflight is AccessForbidden': async (w) => {
    const bucket = await withRules(w, RULE);
    isRefused(await preflight(w, bucket, 'foo.bar', 'GET'), 403, 'AccessForbidden');
  },
  'a preflight without any rules is AccessForbidden': async (w) => {
    isRefused(await preflight(w, await w.bucket(), 'foo.suffix', 'GET'), 403, 'AccessForbidden');
  },
  'a preflight without an origin is BadRequest': async (w) => {
    const bucket = await withRules(w, RULE);
    const headers = { 'access-control-request-method': 'GET' };
    isRefused(await w.call('OPTIONS', bucket, 'k', { by: 'nobody', headers }), 400, 'BadRequest');
  },
  'a preflight without a method is BadRequest': async (w) => {
    const bucket = await withRules(w, RULE);
    const headers = { origin: 'foo.suffix' };
    isRefused(await w.call('OPTIONS', bucket, 'k', { by: 'nobody', headers }), 400, 'BadRequest');
  },
  'a preflight for a method that is not allowed': async (w) => {
    const bucket = await withRules(w, RULE);
    isRefused(await preflight(w, bucket, 'foo.suffix', 'DELETE'), 403, 'AccessForbidden');
  },
  'a preflight names methods, headers and age': async (w) => {
    const bucket = await withRules(w, {
      ...RULE,
      AllowedHeaders: ['x-amz-*'],
      ExposeHeaders: ['etag', 'x-amz-version-id'],
      MaxAgeSeconds: 77,
    });
    const asked = { 'access-control-request-headers': 'x-amz-date, X-Amz-Meta-A' };
    const { headers } = isStatus(await preflight(w, bucket, 'foo.suffix', 'PUT', asked), 200);
    assert.equal(headers['access-control-allow-methods'], 'GET, PUT');
    assert.match(headers['access-control-allow-headers'] ?? '', /^x-amz-date, x-amz-meta-a$/i);
    assert.match(headers['access-control-expose-headers'] ?? '', /^etag, x-amz-version-id$/);
    assert.equal(headers['access-control-max-age'], '77');
  },
  'a preflight with a header that is not allowed': async (w) => {
    const bucket = await withRules(w, { ...RULE, AllowedHeaders: ['x-amz-meta-*'] });
    const asked = { 'access-control-request-headers': 'x-amz-meta-a, x-other' };
    isRefused(await preflight(w, bucket, 'foo.suffix', 'GET', asked), 403, 'AccessForbidden');
  },
  'the first rule that fits counts': async (w) => {
    const first = { AllowedOrigins: ['http://a.test'], AllowedMethods: ['GET'], MaxAgeSeconds: 1 };
    const second = { AllowedOrigins: ['http://*'], AllowedMethods: ['GET'], MaxAgeSeconds: 2 };
    const bucket = await withRules(w, first, second);
    const ageFor = async (origin: string) =>
      (await preflight(w, bucket, origin, 'GET')).headers['access-control-max-age'];
    assert.deepEqual([await ageFor('http://a.test'), await ageFor('http://b.test')], ['1', '2']);
  },
  'an origin that is named allows credentials and varies': async (w) => {
    const bucket = await withRules(w, {
      AllowedOrigins: ['http://a.test'],
      AllowedMethods: ['GET'],
    });
    const reply = await w.call('GET', bucket, 'k', { headers: { origin: 'http://a.test' } });
    assert.equal(reply.headers['access-control-allow-credentials'], 'true');
    assert.match(reply.headers['vary'] ?? '', /origin/i);
  },
  'an error has the headers too': async (w) => {
    const bucket = await withRules(w, RULE);
    const reply = await w.call('GET', bucket, 'none', { headers: { origin: 'foo.suffix' } });
    isRefused(reply, 404, 'NoSuchKey');
    assert.equal(reply.headers['access-control-allow-origin'], 'foo.suffix');
  },
  'a put that is not allowed from there is done, without the headers': async (w) => {
    const bucket = await withRules(w, { AllowedOrigins: ['*'], AllowedMethods: ['GET'] });
    const reply = await w.call('PUT', bucket, 'n', {
      body: 'x',
      headers: { origin: 'http://a.test' },
    });
    assert.equal(isStatus(reply, 200).headers['access-control-allow-origin'], undefined);
  },
});
