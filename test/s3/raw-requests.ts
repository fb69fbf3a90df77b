import { pathOf, sha256Hex, signHeader } from './sign.ts';
import { area, assert, each } from './suite.ts';
import { isRefused, isStatus, md5Base64, type World } from './world.ts';
import { textOf } from './xml.ts';

/** A signed request as text, with lines that no client library would send. */
function signedText(
  w: World,
  method: string,
  bucket: string,
  key: string,
  body: string,
  lines: readonly string[],
): string {
  const path = w.wire.prefix + pathOf(bucket, key);
  const request = { method, path, query: [], headers: { host: w.wire.host } };
  const { headers } = signHeader(request, w.signer(), sha256Hex(body));
  const sent = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return [`${method} ${path} HTTP/1.1`, ...sent, ...lines, '', body].join('\r\n');
}

const statusOf = (text: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);

const BAD_LENGTHS = ['-1', '+1', '0x1', 'one', '1, 2', '99999999999999999999'];

const XML_BOMB =
  '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">' +
  '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>';

const EXTERNAL = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname">]>';

/** Documents by sub-resource, with a place for a bad beginning. */
const DOCUMENTS: readonly (readonly [string, string])[] = [
  ['tagging', '<Tagging><TagSet/></Tagging>'],
  ['versioning', '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>'],
  ['acl', '<AccessControlPolicy/>'],
  ['cors', '<CORSConfiguration/>'],
  ['lifecycle', '<LifecycleConfiguration/>'],
  ['object-lock', '<ObjectLockConfiguration/>'],
  ['encryption', '<ServerSideEncryptionConfiguration/>'],
  ['website', '<WebsiteConfiguration/>'],
  ['notification', '<NotificationConfiguration/>'],
  ['publicAccessBlock', '<PublicAccessBlockConfiguration/>'],
  ['ownershipControls', '<OwnershipControls/>'],
  ['logging', '<BucketLoggingStatus/>'],
];

/** What is below the API: lines, lengths, sizes, XML in general. */
export const rawRequests = area('raw requests', {
  ...each(
    BAD_LENGTHS,
    (length) => `Content-Length: ${length} is 400, and nothing is stored`,
    async (w, length) => {
      const bucket = await w.bucket();
      const text = signedText(w, 'PUT', bucket, 'k', 'x', [`Content-Length: ${length}`]);
      const status = statusOf(await w.wire.bytes(text));
      assert.ok([400, 413].includes(status), String(status));
      isStatus(await w.call('HEAD', bucket, 'k'), 404);
    },
  ),
  'Content-Length and Transfer-Encoding together are 400': async (w) => {
    const bucket = await w.bucket();
    const lines = ['Content-Length: 1', 'Transfer-Encoding: chunked'];
    const text = signedText(w, 'PUT', bucket, 'k', '1\r\nx\r\n0\r\n\r\n', lines);
    assert.equal(statusOf(await w.wire.bytes(text)), 400);
  },
  'two hosts are 400': async (w) => {
    const text = signedText(w, 'GET', await w.bucket(), '', '', ['Host: other.test']);
    assert.equal(statusOf(await w.wire.bytes(text)), 400);
  },
  'a put without Content-Length is MissingContentLength': async (w) => {
    const bucket = await w.bucket();
    const reply = await w.wire.bytes(signedText(w, 'PUT', bucket, 'k', '', ['Connection: close']));
    assert.equal(statusOf(reply), 411, reply.slice(0, 200));
  },
  'a body that ends early is not stored': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k', 'before');
    const text = signedText(w, 'PUT', bucket, 'k', 'after', ['Content-Length: 100']);
    await w.wire.bytes(text, 300);
    assert.equal(await w.text(bucket, 'k'), 'before');
  },
  'Expect: 100-continue is answered before the body': async (w) => {
    const bucket = await w.bucket();
    const body = 'x'.repeat(100_000);
    const tamper = (sent: { headers: Record<string, string> }) => ({
      ...sent,
      target: w.wire.prefix + pathOf(bucket, 'k'),
      body: Buffer.from(body),
      headers: { ...sent.headers, expect: '100-continue' },
    });
    const reply = await w.call('PUT', bucket, 'k', { body, tamper });
    assert.equal(isStatus(reply, 200).isContinued, true);
    assert.equal((await w.call('GET', bucket, 'k')).text.length, body.length);
  },
  'Expect: 100-continue with a bad signature asks for no body': async (w) => {
    const bucket = await w.bucket();
    const credentials = { ...w.target.credentials, secretAccessKey: 'wrong' };
    const body = 'x'.repeat(100_000);
    const reply = await w.call('PUT', bucket, 'k', {
      body,
      signer: { credentials },
      tamper: (sent) => ({ ...sent, headers: { ...sent.headers, expect: '100-continue' } }),
    });
    isRefused(reply, 403, 'SignatureDoesNotMatch');
    assert.equal(reply.isContinued, false);
  },
  'Expect of something else is passed over': async (w) => {
    const bucket = await w.bucket();
    const reply = await w.call('PUT', bucket, 'k', {
      body: 'x',
      tamper: (sent) => ({ ...sent, headers: { ...sent.headers, expect: '200' } }),
    });
    isStatus(reply, 200);
  },
  'each answer has an id of its own': async (w) => {
    const bucket = await w.bucket();
    const ids = [];
    for (let i = 0; i < 3; i++) {
      ids.push((await w.call('HEAD', bucket, '')).headers['x-amz-request-id']);
    }
    assert.equal(new Set(ids).size, 3);
    assert.ok(ids.every((id) => (id ?? '') !== ''));
  },
  'an error document names code, message, resource and request': async (w) => {
    const bucket = await w.bucket();
    const reply = await w.call('GET', bucket, 'a b', {});
    isRefused(reply, 404, 'NoSuchKey');
    assert.match(reply.text, /^<\?xml version="1\.0" encoding="UTF-8"\?>\s*<Error>/);
    assert.ok((textOf(reply.text, 'Message') ?? '') !== '');
    assert.equal(textOf(reply.text, 'RequestId'), reply.headers['x-amz-request-id']);
    assert.ok(textOf(reply.text, 'HostId') !== null);
  },
  'characters of XML in an error are escaped': async (w) => {
    const reply = await w.call('GET', await w.bucket(), '<script>&');
    isRefused(reply, 404, 'NoSuchKey');
    assert.ok(!reply.text.includes('<script>'));
    assert.equal(textOf(reply.text, 'Key'), '<script>&');
  },
  'a header section of 20 kB is refused': async (w) => {
    const headers = { 'x-amz-meta-a': 'v'.repeat(20_000) };
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: 'x', headers });
    assert.ok([400, 431].includes(reply.status));
  },
  'a URL of 20 kB is refused': async (w) => {
    const reply = await w.call('GET', await w.bucket(), '', {
      query: { prefix: 'p'.repeat(20_000) },
    });
    assert.ok([400, 414, 431].includes(reply.status));
  },
  'two sub-resources at once are InvalidArgument': async (w) => {
    const reply = await w.call('GET', await w.bucket(), '', { query: { acl: '', policy: '' } });
    isRefused(reply, 400, 'InvalidArgument');
  },
  ...each(
    DOCUMENTS,
    ([name]) => `?${name} with a DTD is refused at once`,
    async (w, [name, document]) => {
      const bucket = await w.bucket();
      for (const start of [XML_BOMB, EXTERNAL]) {
        const body = start + document;
        const headers = { 'content-md5': md5Base64(body) };
        const started = performance.now();
        const reply = await w.call('PUT', bucket, '', { query: { [name]: '' }, body, headers });
        const code = name === 'acl' ? 'MalformedACLError' : 'MalformedXML';
        isRefused(reply, 400, code);
        assert.ok(performance.now() - started < 5000);
      }
    },
  ),
  ...each(
    DOCUMENTS,
    ([name]) => `?${name} with text that is no XML is refused`,
    async (w, [name]) => {
      const body = 'this is not XML';
      const headers = { 'content-md5': md5Base64(body) };
      const reply = await w.call('PUT', await w.bucket(), '', {
        query: { [name]: '' },
        body,
        headers,
      });
      isRefused(reply, 400, name === 'acl' ? 'MalformedACLError' : 'MalformedXML');
    },
  ),
  ...each(
    ['tagging', 'versioning', 'cors', 'lifecycle', 'object-lock', 'publicAccessBlock'],
    (name) => `?${name} with a wrong Content-MD5 is BadDigest`,
    async (w, name) => {
      const body = DOCUMENTS.find(([one]) => one === name)?.[1] ?? '';
      const headers = { 'content-md5': md5Base64('other') };
      const reply = await w.call('PUT', await w.bucket(), '', {
        query: { [name]: '' },
        body,
        headers,
      });
      isRefused(reply, 400, 'BadDigest');
    },
  ),
});
