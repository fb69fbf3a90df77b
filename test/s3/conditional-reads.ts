import { area, assert, each } from './suite.ts';
import { isRefused, isStatus, md5Hex, type World } from './world.ts';

const ETAG = `"${md5Hex('text')}"`;
const OTHER = `"${md5Hex('other')}"`;
const PAST = 'Sat, 29 Oct 1994 19:43:31 GMT';
const FUTURE = 'Wed, 01 Jan 2070 00:00:00 GMT';
/** The time of the object itself. */
const SELF = 'self';

interface Row {
  readonly headers: Readonly<Record<string, string>>;
  readonly status: 200 | 304 | 412;
}

const row = (status: Row['status'], headers: Row['headers']): Row => ({ headers, status });

const ROWS: readonly Row[] = [
  row(200, { 'if-match': ETAG }),
  row(200, { 'if-match': ETAG.slice(1, -1) }),
  row(200, { 'if-match': '*' }),
  row(200, { 'if-match': `${OTHER}, ${ETAG}` }),
  row(412, { 'if-match': OTHER }),
  row(412, { 'if-match': `W/${ETAG}` }),
  row(200, { 'if-none-match': OTHER }),
  row(304, { 'if-none-match': ETAG }),
  row(304, { 'if-none-match': ETAG.slice(1, -1) }),
  row(304, { 'if-none-match': '*' }),
  row(304, { 'if-none-match': `W/${ETAG}` }),
  row(304, { 'if-none-match': `${OTHER}, ${ETAG}` }),
  row(200, { 'if-modified-since': PAST }),
  row(304, { 'if-modified-since': SELF }),
  row(200, { 'if-modified-since': 'yesterday' }),
  row(200, { 'if-unmodified-since': FUTURE }),
  row(200, { 'if-unmodified-since': SELF }),
  row(412, { 'if-unmodified-since': PAST }),
  row(200, { 'if-unmodified-since': 'yesterday' }),
  // An ETag that matches wins over a date that does not.
  row(200, { 'if-match': ETAG, 'if-unmodified-since': PAST }),
  row(412, { 'if-match': OTHER, 'if-unmodified-since': FUTURE }),
  row(304, { 'if-none-match': ETAG, 'if-modified-since': PAST }),
  row(200, { 'if-none-match': OTHER, 'if-modified-since': SELF }),
  row(304, { 'if-match': ETAG, 'if-none-match': ETAG }),
  row(412, { 'if-match': OTHER, 'if-none-match': ETAG }),
  row(200, { 'if-match': ETAG, 'if-none-match': OTHER }),
  row(304, { 'if-match': ETAG, 'if-modified-since': SELF }),
  row(200, { 'if-match': ETAG, 'if-modified-since': PAST }),
  row(304, { 'if-none-match': ETAG, 'if-unmodified-since': FUTURE }),
  row(412, { 'if-none-match': OTHER, 'if-unmodified-since': PAST }),
  row(304, { 'if-modified-since': SELF, 'if-unmodified-since': SELF }),
  row(412, { 'if-modified-since': PAST, 'if-unmodified-since': PAST }),
];

function sayHeaders(headers: Row['headers']): string {
  const word = (value: string): string =>
    value
      .replaceAll(ETAG, 'its ETag')
      .replaceAll(ETAG.slice(1, -1), 'its bare ETag')
      .replaceAll(OTHER, 'another')
      .replace(PAST, 'the past')
      .replace(FUTURE, 'the future')
      .replace(/^self$/, 'its own time');
  return Object.entries(headers)
    .map(([name, value]) => `${name} ${word(value)}`)
    .join(' and ');
}

async function stored(w: World): Promise<{ bucket: string; modified: string }> {
  const bucket = await w.bucket();
  await w.put(bucket, 'k', 'text');
  const { headers } = await w.call('HEAD', bucket, 'k');
  return { bucket, modified: headers['last-modified'] ?? '' };
}

/** If-* of GET and HEAD. */
export const conditionalReads = area('conditional reads', {
  ...each(
    ROWS,
    ({ headers, status }) => `${sayHeaders(headers)}: ${status}`,
    async (w, { headers: given, status }) => {
      const { bucket, modified } = await stored(w);
      const headers = Object.fromEntries(
        Object.entries(given).map(([name, value]) => [name, value === SELF ? modified : value]),
      );
      const got = await w.call('GET', bucket, 'k', { headers });
      if (status === 412) isRefused(got, 412, 'PreconditionFailed');
      else assert.equal(isStatus(got, status).text, status === 200 ? 'text' : '');
      const head = isStatus(await w.call('HEAD', bucket, 'k', { headers }), status);
      assert.equal(head.bytes.length, 0);
      if (status === 304) assert.equal(got.headers['etag'], ETAG);
    },
  ),
  '304 has Last-Modified and no type of a body': async (w) => {
    const { bucket, modified } = await stored(w);
    const reply = await w.call('GET', bucket, 'k', { headers: { 'if-none-match': ETAG } });
    assert.equal(isStatus(reply, 304).headers['last-modified'], modified);
  },
  '412 names the condition': async (w) => {
    const { bucket } = await stored(w);
    const reply = await w.call('GET', bucket, 'k', { headers: { 'if-match': OTHER } });
    isRefused(reply, 412, 'PreconditionFailed');
    assert.match(reply.text, /<Condition>If-Match<\/Condition>/);
  },
  'If-Match on none is NoSuchKey': async (w) => {
    const reply = await w.call('GET', await w.bucket(), 'k', { headers: { 'if-match': ETAG } });
    isRefused(reply, 404, 'NoSuchKey');
  },
  'If-None-Match: * on none is NoSuchKey': async (w) => {
    const reply = await w.call('GET', await w.bucket(), 'k', { headers: { 'if-none-match': '*' } });
    isRefused(reply, 404, 'NoSuchKey');
  },
  'a condition and a range: the condition comes first': async (w) => {
    const { bucket } = await stored(w);
    const range = 'bytes=0-1';
    const get = (headers: Record<string, string>) => w.call('GET', bucket, 'k', { headers });
    assert.equal(isStatus(await get({ range, 'if-match': ETAG }), 206).text, 'te');
    isRefused(await get({ range, 'if-match': OTHER }), 412, 'PreconditionFailed');
    isStatus(await get({ range: 'bytes=99-', 'if-none-match': ETAG }), 304);
    isRefused(await get({ range: 'bytes=99-', 'if-match': ETAG }), 416, 'InvalidRange');
  },
  'a condition is about the version that is asked for': async (w) => {
    const bucket = await w.versioned();
    const versionId = await w.putVersion(bucket, 'k', 'text');
    await w.putVersion(bucket, 'k', 'newer');
    const get = (etag: string) =>
      w.call('GET', bucket, 'k', { query: { versionId }, headers: { 'if-match': etag } });
    isStatus(await get(ETAG), 200);
    isStatus(await get(`"${md5Hex('newer')}"`), 412);
  },
});
