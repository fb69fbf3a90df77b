import { area, assert, each } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';

/** Content headers that come back as they were sent. */
const CONTENT_HEADERS: readonly (readonly [string, string])[] = [
  ['content-type', 'text/html; charset=utf-8'],
  ['cache-control', 'public, max-age=14400'],
  ['content-disposition', 'attachment; filename="a b.txt"'],
  ['content-encoding', 'gzip'],
  ['content-language', 'de, en-GB'],
  ['expires', 'Thu, 01 Dec 2033 16:00:00 GMT'],
];

const OVERRIDES: readonly (readonly [string, string, string])[] = [
  ['response-content-type', 'content-type', 'foo/bar'],
  ['response-cache-control', 'cache-control', 'no-cache'],
  ['response-content-disposition', 'content-disposition', 'bla'],
  ['response-content-encoding', 'content-encoding', 'aaa'],
  ['response-content-language', 'content-language', 'esperanto'],
  ['response-expires', 'expires', 'Thu, 01 Dec 2044 16:00:00 GMT'],
];

async function sent(w: World, headers: Record<string, string>): Promise<string> {
  const bucket = await w.bucket();
  isStatus(await w.call('PUT', bucket, 'k', { body: 'x', headers }), 200);
  return bucket;
}

async function keepsHeader(w: World, name: string, value: string): Promise<void> {
  const bucket = await sent(w, { [name]: value });
  for (const method of ['GET', 'HEAD']) {
    assert.equal((await w.call(method, bucket, 'k')).headers[name], value, method);
  }
}

/** What is kept beside an object's bytes. */
export const metadata = area('metadata', {
  ...each(
    CONTENT_HEADERS,
    ([name]) => `${name} comes back`,
    (w, [name, value]) => keepsHeader(w, name, value),
  ),
  ...each(
    OVERRIDES,
    ([field]) => `${field} replaces the header of a GET`,
    async (w, [field, name, value]) => {
      const bucket = await sent(w, { 'content-type': 'text/plain' });
      for (const method of ['GET', 'HEAD']) {
        const reply = await w.call(method, bucket, 'k', { query: { [field]: value } });
        assert.equal(isStatus(reply, 200).headers[name], value, method);
      }
    },
  ),
  'all overrides at once': async (w) => {
    const bucket = await sent(w, {});
    const query = Object.fromEntries(OVERRIDES.map(([field, , value]) => [field, value]));
    const { headers } = isStatus(await w.call('GET', bucket, 'k', { query }), 200);
    for (const [, name, value] of OVERRIDES) assert.equal(headers[name], value);
  },
  'an override with a line feed cannot add a header': async (w) => {
    const bucket = await sent(w, {});
    const query = { 'response-content-type': 'text/plain\r\nx-injected: 1' };
    const reply = await w.call('GET', bucket, 'k', { query });
    assert.equal(reply.status, 400);
    assert.equal(reply.headers['x-injected'], undefined);
  },
  'an override of an anonymous request is refused': async (w) => {
    const bucket = await w.bucket({ ACL: 'public-read', ObjectOwnership: 'ObjectWriter' });
    await w.put(bucket, 'k', 'x', { ACL: 'public-read' });
    const query = { 'response-content-type': 'foo/bar' };
    const reply = await w.call('GET', bucket, 'k', { query, by: 'nobody' });
    isRefused(reply, 400, 'InvalidRequest');
  },
  'metadata comes back on GET and HEAD': async (w) => {
    const Bucket = await w.bucket();
    const Metadata = { one: '1', 'two-words': 'a b', three: 'x=y;z' };
    await w.put(Bucket, 'k', 'x', { Metadata });
    assert.deepEqual((await w.sdk.getObject({ Bucket, Key: 'k' })).Metadata, Metadata);
    assert.deepEqual((await w.sdk.headObject({ Bucket, Key: 'k' })).Metadata, Metadata);
  },
  'an empty value of metadata comes back empty': async (w) => {
    const bucket = await sent(w, { 'x-amz-meta-empty': '' });
    assert.equal((await w.call('GET', bucket, 'k')).headers['x-amz-meta-empty'], '');
  },
  'the case of a value is kept': async (w) => {
    const bucket = await sent(w, { 'x-amz-meta-mixed': 'Case Kept' });
    assert.equal((await w.call('GET', bucket, 'k')).headers['x-amz-meta-mixed'], 'Case Kept');
  },
  'metadata called like a part of JavaScript is metadata': async (w) => {
    const bucket = await sent(w, { 'x-amz-meta-__proto__': 'p', 'x-amz-meta-constructor': 'c' });
    const { headers } = await w.call('HEAD', bucket, 'k');
    assert.equal(headers['x-amz-meta-constructor'], 'c');
    assert.equal(headers['x-amz-meta-__proto__'], 'p');
  },
  'spaces around a value are not part of it': async (w) => {
    const bucket = await sent(w, { 'x-amz-meta-a': '  padded\t' });
    assert.equal((await w.call('HEAD', bucket, 'k')).headers['x-amz-meta-a'], 'padded');
  },
  'UTF-8 in metadata comes back so that a client can read it': async (w) => {
    const Bucket = await w.bucket();
    const value = 'Hello World\u00e9';
    // Signed as text, and sent as its UTF-8 bytes: Node writes headers as latin1.
    const bytes = Buffer.from(value, 'utf8').toString('latin1');
    const reply = await w.call('PUT', Bucket, 'k', {
      body: 'x',
      headers: { 'x-amz-meta-a': value },
      tamper: (sent) => ({ ...sent, headers: { ...sent.headers, 'x-amz-meta-a': bytes } }),
    });
    isStatus(reply, 200);
    const seen = (await w.call('HEAD', Bucket, 'k')).headers['x-amz-meta-a'] ?? '';
    assert.equal(readable(seen), value);
  },
  'a word of RFC 2047 in metadata means its text': async (w) => {
    const bucket = await sent(w, { 'x-amz-meta-a': '=?UTF-8?B?w6TDtsO8?=' });
    const seen = (await w.call('HEAD', bucket, 'k')).headers['x-amz-meta-a'] ?? '';
    assert.equal(readable(seen), 'äöü');
  },
  'two KiB of metadata are taken': async (w) => {
    const bucket = await w.bucket();
    const headers = { 'x-amz-meta-a': 'v'.repeat(2047) };
    isStatus(await w.call('PUT', bucket, 'k', { body: 'x', headers }), 200);
  },
  'more than two KiB are MetadataTooLarge': async (w) => {
    const headers = { 'x-amz-meta-a': 'v'.repeat(2048) };
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: 'x', headers });
    isRefused(reply, 400, 'MetadataTooLarge');
  },
  'an empty content type is the default one': async (w) => {
    const bucket = await sent(w, { 'content-type': '' });
    assert.equal(
      (await w.call('HEAD', bucket, 'k')).headers['content-type'],
      'binary/octet-stream',
    );
  },
  'aws-chunked is not kept as an encoding': async (w) => {
    const bucket = await sent(w, { 'content-encoding': 'aws-chunked,gzip' });
    assert.equal((await w.call('HEAD', bucket, 'k')).headers['content-encoding'], 'gzip');
  },
  'a body with gzip as its encoding is not unpacked': async (w) => {
    const bucket = await sent(w, { 'content-encoding': 'gzip' });
    assert.equal((await w.call('GET', bucket, 'k')).text, 'x');
  },
});

/** A value as clients read it: as it is, as UTF-8 bytes, or as a word of RFC 2047. */
function readable(value: string): string {
  const word = /^=\?UTF-8\?([BQ])\?(.*)\?=$/i.exec(value);
  if (word === null) {
    return /[\x80-\xff]/.test(value) ? Buffer.from(value, 'latin1').toString('utf8') : value;
  }
  const [, form = '', text = ''] = word;
  if (form.toUpperCase() === 'B') return Buffer.from(text, 'base64').toString('utf8');
  const bytes = text
    .replaceAll('_', ' ')
    .replace(/=([0-9A-F]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
