import { EMPTY_SHA256, sha256Hex, timestampOf } from './sign.ts';
import { area, assert, each } from './suite.ts';
import { isRefused, isStatus, type RawOptions, type Sendable, type World } from './world.ts';

const MINUTE_MS = 60_000;
const inMinutes = (minutes: number): Date => new Date(Date.now() + minutes * MINUTE_MS);

/** Changes of a header after signing. */
function header(name: string, change: (value: string) => string) {
  return (sent: Sendable): Sendable => ({
    ...sent,
    headers: { ...sent.headers, [name]: change(sent.headers[name] ?? '') },
  });
}

interface Wrong {
  readonly what: string;
  readonly options: (w: World) => RawOptions;
  readonly status: number;
  readonly code: string;
}

const authorization = (change: (value: string) => string): RawOptions => ({
  tamper: header('authorization', change),
});

const REQUESTS: readonly Wrong[] = [
  {
    what: 'an access key that is not known',
    options: () => ({
      signer: { credentials: { accessKeyId: 'AKIAUNKNOWN000000000', secretAccessKey: 's' } },
    }),
    status: 403,
    code: 'InvalidAccessKeyId',
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
    what: 'a signature with one digit changed',
    options: () => authorization((v) => v.replace(/.$/, (c) => (c === '0' ? '1' : '0'))),
    status: 403,
    code: 'SignatureDoesNotMatch',
  },
  {
    what: 'a clock 16 minutes behind',
    options: () => ({ signer: { at: inMinutes(-16) } }),
    status: 403,
    code: 'RequestTimeTooSkewed',
  },
  {
    what: 'a clock 16 minutes ahead',
    options: () => ({ signer: { at: inMinutes(16) } }),
    status: 403,
    code: 'RequestTimeTooSkewed',
  },
  {
    what: 'a date of 1990',
    options: () => ({ signer: { at: new Date('1990-01-01T00:00:00Z') } }),
    status: 403,
    code: 'RequestTimeTooSkewed',
  },
  {
    what: 'another region',
    options: () => ({ signer: { region: 'eu-central-9' } }),
    status: 400,
    code: 'AuthorizationHeaderMalformed',
  },
  {
    what: 'another service',
    options: () => ({ signer: { service: 'ec2' } }),
    status: 400,
    code: 'AuthorizationHeaderMalformed',
  },
  {
    what: 'a header changed after signing',
    options: () => ({
      headers: { 'x-amz-meta-a': '1' },
      tamper: header('x-amz-meta-a', () => '2'),
    }),
    status: 403,
    code: 'SignatureDoesNotMatch',
  },
  {
    what: 'a field of the query added after signing',
    options: () => ({ tamper: (sent) => ({ ...sent, target: `${sent.target}?versionId=null` }) }),
    status: 403,
    code: 'SignatureDoesNotMatch',
  },
  {
    what: 'a path changed after signing',
    options: () => ({ tamper: (sent) => ({ ...sent, target: `${sent.target}2` }) }),
    status: 403,
    code: 'SignatureDoesNotMatch',
  },
  {
    what: 'an x-amz- header that is not signed',
    options: () => ({ tamper: header('x-amz-acl', () => 'public-read') }),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'an authorization without a signature',
    options: () => authorization((v) => v.replace(/, Signature=.*/, '')),
    status: 400,
    code: 'AuthorizationHeaderMalformed',
  },
  {
    what: 'an authorization without a credential',
    options: () => authorization((v) => v.replace(/Credential=[^,]*, /, '')),
    status: 400,
    code: 'AuthorizationHeaderMalformed',
  },
  {
    what: 'an authorization of an unknown kind',
    options: () => authorization(() => 'Bearer abc'),
    status: 400,
    code: 'InvalidArgument',
  },
  {
    what: 'an authorization of one word',
    options: () => authorization(() => 'AWS4-HMAC-SHA256'),
    status: 400,
    code: 'InvalidArgument',
  },
  {
    what: 'an authorization of version 2 that is none',
    options: () => authorization(() => 'AWS HAHAHA'),
    status: 400,
    code: 'InvalidArgument',
  },
  {
    what: 'an empty authorization',
    options: () => authorization(() => ''),
    status: 403,
    code: 'AccessDenied',
  },
  {
    what: 'a date that is none',
    options: () => ({ tamper: header('x-amz-date', () => 'yesterday') }),
    status: 403,
    code: 'AccessDenied',
  },
];

/** SigV4 in the header. */
export const signatures = area('signatures', {
  ...each(
    REQUESTS,
    ({ what, code }) => `${what} is ${code}`,
    async (w, { options, status, code }) => {
      const bucket = await w.bucket();
      await w.put(bucket, 'k');
      isRefused(await w.call('GET', bucket, 'k', options(w)), status, code);
    },
  ),
  'a clock 14 minutes off is taken': async (w) => {
    const bucket = await w.bucket();
    for (const minutes of [-14, 14]) {
      isStatus(await w.call('GET', bucket, '', { signer: { at: inMinutes(minutes) } }), 200);
    }
  },
  'a body changed after signing is XAmzContentSHA256Mismatch': async (w) => {
    const bucket = await w.bucket();
    const reply = await w.call('PUT', bucket, 'k', {
      body: 'signed',
      tamper: (sent) => ({ ...sent, body: Buffer.from('change') }),
    });
    isRefused(reply, 400, 'XAmzContentSHA256Mismatch');
    isStatus(await w.call('HEAD', bucket, 'k'), 404);
  },
  'a hash of a body that is none is InvalidArgument': async (w) => {
    const bucket = await w.bucket();
    const reply = await w.call('PUT', bucket, 'k', { body: 'x', payload: 'not-a-hash' });
    isRefused(reply, 400, 'InvalidArgument');
  },
  'without x-amz-content-sha256 it is refused': async (w) => {
    const reply = await w.call('GET', await w.bucket(), '', {
      tamper: (sent) => {
        const { 'x-amz-content-sha256': _hash, ...headers } = sent.headers;
        return { ...sent, headers };
      },
    });
    assert.ok([400, 403].includes(reply.status));
  },
  'UNSIGNED-PAYLOAD takes any body': async (w) => {
    const bucket = await w.bucket();
    const payload = 'UNSIGNED-PAYLOAD';
    isStatus(await w.call('PUT', bucket, 'k', { body: 'x', payload }), 200);
    assert.equal(await w.text(bucket, 'k'), 'x');
  },
  'the hash of nothing with a body is XAmzContentSHA256Mismatch': async (w) => {
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: 'x', payload: EMPTY_SHA256 });
    isRefused(reply, 400, 'XAmzContentSHA256Mismatch');
  },
  'a header with spaces inside is signed as it is sent': async (w) => {
    const bucket = await w.bucket();
    const headers = { 'x-amz-meta-a': 'one  two' };
    const reply = await w.call('PUT', bucket, 'k', { body: 'x', headers });
    assert.ok([200, 403].includes(reply.status));
  },
  'fields of the query may come in any order': async (w) => {
    const reply = await w.call('GET', await w.bucket(), '', {
      query: { 'max-keys': '5', delimiter: '/', 'list-type': '2', prefix: 'a b/' },
    });
    isStatus(reply, 200);
  },
  'a field without a value is signed with an empty one': async (w) => {
    const reply = await w.call('GET', await w.bucket(), '', {
      query: { location: '' },
      tamper: (sent) => ({ ...sent, target: sent.target.replace('location=', 'location') }),
    });
    isStatus(reply, 200);
  },
  'the Date header stands in for x-amz-date': async (w) => {
    const at = new Date();
    const reply = await w.call('GET', await w.bucket(), '', {
      signer: { at },
      headers: { date: at.toUTCString() },
    });
    isStatus(reply, 200);
  },
  'x-amz-date wins over Date': async (w) => {
    const reply = await w.call('GET', await w.bucket(), '', {
      headers: { date: 'Tue, 01 Jan 1980 00:00:00 GMT', 'x-amz-date': timestampOf(new Date()) },
    });
    isStatus(reply, 200);
  },
  'refusals look alike for a bucket that is there and one that is not': async (w) => {
    const bucket = await w.bucket();
    const credentials = { accessKeyId: 'AKIAUNKNOWN000000000', secretAccessKey: 's' };
    for (const name of [bucket, w.name()]) {
      const reply = await w.call('GET', name, '', { signer: { credentials } });
      isRefused(reply, 403, 'InvalidAccessKeyId');
    }
  },
  'HEAD with another secret is 403 without a body': async (w) => {
    const credentials = { ...w.target.credentials, secretAccessKey: 'wrong' };
    const reply = await w.call('HEAD', await w.bucket(), '', { signer: { credentials } });
    assert.equal(isStatus(reply, 403).bytes.length, 0);
  },
  'version 2 of the signature is refused': async (w) => {
    const { accessKeyId } = w.target.credentials;
    const reply = await w.call('GET', await w.bucket(), '', {
      by: 'nobody',
      headers: { authorization: `AWS ${accessKeyId}:c2lnbmF0dXJl`, date: new Date().toUTCString() },
    });
    assert.ok([400, 403].includes(reply.status));
  },
  'a signature of another request is SignatureDoesNotMatch': async (w) => {
    const bucket = await w.bucket();
    await w.putAll(bucket, ['a', 'b']);
    let stolen = '';
    await w.call('GET', bucket, 'a', {
      tamper: (sent) => {
        stolen = sent.headers['authorization'] ?? '';
        return sent;
      },
    });
    const reply = await w.call('GET', bucket, 'b', {
      tamper: header('authorization', () => stolen),
    });
    isRefused(reply, 403, 'SignatureDoesNotMatch');
  },
  'a put that is sent again as it was is done again': async (w) => {
    const bucket = await w.bucket();
    const at = new Date();
    const options = { body: 'x', signer: { at }, payload: sha256Hex('x') };
    isStatus(await w.call('PUT', bucket, 'k', options), 200);
    isStatus(await w.call('PUT', bucket, 'k', options), 200);
  },
});
