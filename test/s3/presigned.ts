import { area, assert, each } from './suite.ts';
import { isRefused, isStatus, type RawOptions, type Sendable, type World } from './world.ts';

const QUERY = { by: 'query' } as const;
const ago = (seconds: number): Date => new Date(Date.now() - seconds * 1000);

function field(name: string, change: (value: string) => string | null) {
  return (sent: Sendable): Sendable => {
    const [path = '', text = ''] = sent.target.split('?');
    const fields = text.split('&').flatMap((pair) => {
      const [key, value = ''] = pair.split('=');
      if (key !== name) return [pair];
      const changed = change(decodeURIComponent(value));
      return changed === null ? [] : [`${key}=${encodeURIComponent(changed)}`];
    });
    return { ...sent, target: `${path}?${fields.join('&')}` };
  };
}

interface Wrong {
  readonly what: string;
  readonly options: (w: World) => RawOptions;
  readonly status: number;
  readonly code: string;
}

const BAD: readonly Wrong[] = [
  {
    what: 'one that has expired',
    options: () => ({ expires: 60, signer: { at: ago(120) } }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'one of no seconds',
    options: () => ({ expires: 0, signer: { at: ago(2) } }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'a life of more than a week',
    options: () => ({ expires: 604_801 }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'a negative life',
    options: () => ({ expires: -5 }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'a life that is no number',
    options: () => ({ expires: 'long' }),
    status: 400,
    code: 'AuthorizationQueryParametersError',
  },
  {
    what: 'one from the future',
    options: () => ({ signer: { at: ago(-3600) } }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'a signature that was changed',
    options: () => ({ tamper: field('X-Amz-Signature', (v) => v.replace(/^../, '00')) }),
    status: 403,
    code: 'SignatureDoesNotMatch',
  },
  {
    what: 'a life that was made longer',
    options: () => ({ tamper: field('X-Amz-Expires', () => '9999') }),
    status: 403,
    code: 'SignatureDoesNotMatch',
  },
  {
    what: 'another secret',
    options: ({ target }) => ({
      signer: { credentials: { ...target.credentials, secretAccessKey: 'wrong' } },
    }),
    status: 403,
    code: 'SignatureDoesNotMatch',
  },
  {
    what: 'an access key that is not known',
    options: () => ({
      signer: { credentials: { accessKeyId: 'AKIAUNKNOWN000000000', secretAccessKey: 's' } },
    }),
    status: 403,
    code: 'InvalidAccessKeyId',
  },
  {
    what: 'another region',
    options: () => ({ signer: { region: 'eu-central-9' } }),
    status: 400,
    code: 'AuthorizationQueryParametersError',
  },
  {
    what: 'another service',
    options: () => ({ signer: { service: 'ec2' } }),
    status: 400,
    code: 'AuthorizationQueryParametersError',
  },
  {
    what: 'another algorithm',
    options: () => ({ tamper: field('X-Amz-Algorithm', () => 'AWS4-HMAC-MD5') }),
    status: 400,
    code: 'AuthorizationQueryParametersError',
  },
  ...['X-Amz-Credential', 'X-Amz-Date', 'X-Amz-Expires', 'X-Amz-SignedHeaders'].map((name) => ({
    what: `no ${name}`,
    options: () => ({ tamper: field(name, () => null) }),
    status: 400,
    code: 'AuthorizationQueryParametersError',
  })),
];

/** SigV4 in the URL. */
export const presigned = area('presigned', {
  ...each(
    BAD,
    ({ what, code }) => `${what} is ${code}`,
    async (w, { options, status, code }) => {
      const bucket = await w.bucket();
      await w.put(bucket, 'k');
      isRefused(await w.call('GET', bucket, 'k', { ...QUERY, ...options(w) }), status, code);
    },
  ),
  'GET, HEAD, PUT and DELETE': async (w) => {
    const bucket = await w.bucket();
    isStatus(await w.call('PUT', bucket, 'k', { ...QUERY, body: 'text' }), 200);
    assert.equal(isStatus(await w.call('GET', bucket, 'k', QUERY), 200).text, 'text');
    isStatus(await w.call('HEAD', bucket, 'k', QUERY), 200);
    isStatus(await w.call('DELETE', bucket, 'k', QUERY), 204);
    isStatus(await w.call('HEAD', bucket, 'k', QUERY), 404);
  },
  'a URL for GET is not one for PUT': async (w) => {
    const bucket = await w.bucket();
    let target = '';
    await w.call('GET', bucket, 'k', {
      ...QUERY,
      tamper: (sent) => {
        target = sent.target;
        return sent;
      },
    });
    const tamper = (sent: Sendable): Sendable => ({ ...sent, target });
    const reply = await w.call('PUT', bucket, 'k', { by: 'nobody', body: 'x', tamper });
    isRefused(reply, 403, 'SignatureDoesNotMatch');
  },
  'a URL for one key is not one for another': async (w) => {
    const bucket = await w.bucket();
    const tamper = (sent: Sendable): Sendable => ({
      ...sent,
      target: sent.target.replace('/k?', '/other?'),
    });
    const reply = await w.call('GET', bucket, 'k', { ...QUERY, tamper });
    isRefused(reply, 403, 'SignatureDoesNotMatch');
  },
  'a life of a week is taken': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    isStatus(await w.call('GET', bucket, 'k', { ...QUERY, expires: 604_800 }), 200);
  },
  'one that was made an hour ago and lives for two is taken': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    const options = { ...QUERY, expires: 7200, signer: { at: ago(3600) } };
    isStatus(await w.call('GET', bucket, 'k', options), 200);
  },
  'overrides of the answer are part of it': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    const query = { 'response-content-type': 'text/x-test' };
    const reply = isStatus(await w.call('GET', bucket, 'k', { ...QUERY, query }), 200);
    assert.equal(reply.headers['content-type'], 'text/x-test');
  },
  'a header that was signed must come': async (w) => {
    const bucket = await w.bucket();
    const headers = { 'x-amz-meta-a': '1' };
    const put = (tamper?: (sent: Sendable) => Sendable) =>
      w.call('PUT', bucket, 'k', {
        ...QUERY,
        headers,
        body: 'x',
        ...(tamper === undefined ? {} : { tamper }),
      });
    isStatus(await put(), 200);
    const without = await put((sent) => {
      const { 'x-amz-meta-a': _gone, ...rest } = sent.headers;
      return { ...sent, headers: rest };
    });
    isRefused(without, 403, 'SignatureDoesNotMatch');
  },
  'an x-amz- header that was not signed is refused': async (w) => {
    const bucket = await w.bucket();
    const tamper = (sent: Sendable): Sendable => ({
      ...sent,
      headers: { ...sent.headers, 'x-amz-acl': 'public-read' },
    });
    const reply = await w.call('PUT', bucket, 'k', { ...QUERY, body: 'x', tamper });
    isRefused(reply, 403, 'AccessDenied');
  },
  'a content type that was signed must be the same': async (w) => {
    const bucket = await w.bucket();
    const headers = { 'content-type': 'text/plain' };
    const tamper = (sent: Sendable): Sendable => ({
      ...sent,
      headers: { ...sent.headers, 'content-type': 'text/html' },
    });
    const reply = await w.call('PUT', bucket, 'k', { ...QUERY, headers, body: 'x', tamper });
    isRefused(reply, 403, 'SignatureDoesNotMatch');
  },
  'a signature in the header as well is InvalidArgument': async (w) => {
    const bucket = await w.bucket();
    const tamper = (sent: Sendable): Sendable => ({
      ...sent,
      headers: { ...sent.headers, authorization: 'AWS4-HMAC-SHA256 Credential=a' },
    });
    isRefused(await w.call('GET', bucket, '', { ...QUERY, tamper }), 400, 'InvalidArgument');
  },
  'a listing': async (w) => {
    const bucket = await w.bucket();
    const query = { 'list-type': '2', prefix: 'a/' };
    isStatus(await w.call('GET', bucket, '', { ...QUERY, query }), 200);
  },
  'an upload of a part': async (w) => {
    const Bucket = await w.bucket();
    const { UploadId = '' } = await w.sdk.createMultipartUpload({ Bucket, Key: 'k' });
    const query = { partNumber: '1', uploadId: UploadId };
    const reply = isStatus(await w.call('PUT', Bucket, 'k', { ...QUERY, query, body: 'x' }), 200);
    assert.ok(reply.headers['etag'] !== undefined);
  },
});
