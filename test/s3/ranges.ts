import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';

const TEXT = 'The quick brown fox jumps over the lazy dog.';
const LAST = TEXT.length - 1;

/** Ranges that can be satisfied, as `first-last` of what comes. */
const SATISFIED: readonly (readonly [string, number, number])[] = [
  ['bytes=0-0', 0, 0],
  ['bytes=0-3', 0, 3],
  ['bytes=4-8', 4, 8],
  ['bytes=4-', 4, LAST],
  ['bytes=0-', 0, LAST],
  ['bytes=-1', LAST, LAST],
  ['bytes=-7', LAST - 6, LAST],
  ['bytes=-44', 0, LAST],
  ['bytes=-1000', 0, LAST],
  [`bytes=${LAST}-${LAST}`, LAST, LAST],
  [`bytes=40-1000`, 40, LAST],
  ['bytes=0-99999999999999999999', 0, LAST],
];

/** Syntax that is none: the header is passed over. */
const IGNORED = [
  'bytes',
  'bytes=',
  'bytes=-',
  'bytes=a-b',
  'bytes=5-3',
  'bytes=1-2-3',
  'bytes=+1-3',
  'lines=0-3',
  '0-3',
];

/** A range behind the end. */
const UNSATISFIED = ['bytes=44-', 'bytes=44-50', 'bytes=1000-', 'bytes=-0'];

async function stored(w: World): Promise<string> {
  const bucket = await w.bucket();
  await w.put(bucket, 'k', TEXT);
  return bucket;
}

/** Parts of an object. */
export const ranges = area('ranges', {
  ...each(
    SATISFIED,
    ([range]) => `${range} is answered by its part`,
    async (w, [range, first, last]) => {
      const bucket = await stored(w);
      const reply = isStatus(await w.call('GET', bucket, 'k', { headers: { range } }), 206);
      assert.equal(reply.text, TEXT.slice(first, last + 1));
      assert.equal(reply.headers['content-range'], `bytes ${first}-${last}/${TEXT.length}`);
      assert.equal(reply.headers['content-length'], String(last - first + 1));
      const head = isStatus(await w.call('HEAD', bucket, 'k', { headers: { range } }), 206);
      assert.equal(head.headers['content-length'], String(last - first + 1));
    },
  ),
  ...each(
    IGNORED,
    (range) => `${range} is passed over`,
    async (w, range) => {
      const reply = await w.call('GET', await stored(w), 'k', { headers: { range } });
      assert.equal(isStatus(reply, 200).text, TEXT);
      assert.equal(reply.headers['content-range'], undefined);
    },
  ),
  ...each(
    UNSATISFIED,
    (range) => `${range} is InvalidRange`,
    async (w, range) => {
      const reply = await w.call('GET', await stored(w), 'k', { headers: { range } });
      isRefused(reply, 416, 'InvalidRange');
    },
  ),
  'InvalidRange names the size': async (w) => {
    const reply = await w.call('GET', await stored(w), 'k', { headers: { range: 'bytes=50-' } });
    isRefused(reply, 416, 'InvalidRange');
    assert.match(reply.text, /<ActualObjectSize>44<\/ActualObjectSize>/);
    assert.match(reply.text, /<RangeRequested>bytes=50-<\/RangeRequested>/);
  },
  'HEAD of a range behind the end is 416': async (w) => {
    isStatus(await w.call('HEAD', await stored(w), 'k', { headers: { range: 'bytes=50-' } }), 416);
  },
  'any range of an empty object is InvalidRange': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', '');
    const get = (Range: string) => w.sdk.getObject({ Bucket, Key: 'k', Range });
    await refused(get('bytes=40-50'), 416, 'InvalidRange');
    await refused(get('bytes=0-0'), 416, 'InvalidRange');
  },
  'two ranges are answered by the whole object': async (w) => {
    const headers = { range: 'bytes=0-1,4-5' };
    const reply = await w.call('GET', await stored(w), 'k', { headers });
    assert.equal(isStatus(reply, 200).text, TEXT);
  },
  'a thousand ranges cost no more than the object': async (w) => {
    const headers = { range: `bytes=${Array.from({ length: 1000 }, () => '0-').join(',')}` };
    const reply = await w.call('GET', await stored(w), 'k', { headers });
    assert.equal(isStatus(reply, 200).bytes.length, TEXT.length);
  },
  'a range has the ETag of the whole object': async (w) => {
    const Bucket = await stored(w);
    const whole = await w.sdk.headObject({ Bucket, Key: 'k' });
    const part = await w.sdk.getObject({ Bucket, Key: 'k', Range: 'bytes=1-2' });
    assert.equal(part.ETag, whole.ETag);
  },
  'If-Range with the ETag of the object gives the part': async (w) => {
    const bucket = await stored(w);
    const etag = (await w.call('HEAD', bucket, 'k')).headers['etag'] ?? '';
    const headers = { range: 'bytes=0-2', 'if-range': etag };
    assert.equal(isStatus(await w.call('GET', bucket, 'k', { headers }), 206).text, 'The');
  },
  'If-Range with another ETag gives the whole': async (w) => {
    const headers = { range: 'bytes=0-2', 'if-range': '"other"' };
    const reply = await w.call('GET', await stored(w), 'k', { headers });
    assert.equal(isStatus(reply, 200).text, TEXT);
  },
  'ranges of a large object, over the borders of its chunks': async (w) => {
    const Bucket = await w.bucket();
    const body = Buffer.alloc(9_500_000);
    for (let at = 0; at + 4 <= body.length; at += 4) body.writeUInt32BE(at, at);
    await w.put(Bucket, 'k', body);
    const borders = [0, 65_535, 1 << 20, (1 << 22) - 1, 1 << 22, (1 << 23) - 3, 9_499_990];
    for (const first of borders) {
      const last = Math.min(first + 99, body.length - 1);
      const headers = { range: `bytes=${first}-${last}` };
      const reply = isStatus(await w.call('GET', Bucket, 'k', { headers }), 206);
      assert.ok(reply.bytes.equals(body.subarray(first, last + 1)), `from ${first}`);
    }
    const tail = await w.call('GET', Bucket, 'k', { headers: { range: 'bytes=-5000000' } });
    assert.ok(isStatus(tail, 206).bytes.equals(body.subarray(body.length - 5_000_000)));
  },
  'a range of an older version': async (w) => {
    const bucket = await w.versioned();
    const versionId = await w.putVersion(bucket, 'k', 'older');
    await w.putVersion(bucket, 'k', 'newer');
    const reply = await w.call('GET', bucket, 'k', {
      query: { versionId },
      headers: { range: 'bytes=0-2' },
    });
    assert.equal(isStatus(reply, 206).text, 'old');
  },
  'part number 1 of an object without parts is all of it': async (w) => {
    const query = { partNumber: '1' };
    const reply = isStatus(await w.call('GET', await stored(w), 'k', { query }), 206);
    assert.equal(reply.text, TEXT);
    assert.equal(reply.headers['content-range'], `bytes 0-${LAST}/${TEXT.length}`);
    assert.equal(reply.headers['x-amz-mp-parts-count'], undefined);
  },
  'part number 2 of an object without parts is InvalidPartNumber': async (w) => {
    const reply = await w.call('GET', await stored(w), 'k', { query: { partNumber: '2' } });
    isRefused(reply, 416, 'InvalidPartNumber');
  },
  ...each(
    ['0', '-1', '10001', 'one', ''],
    (number) => `part number ${number === '' ? '(empty)' : number} is InvalidArgument`,
    async (w, partNumber) => {
      const reply = await w.call('GET', await stored(w), 'k', { query: { partNumber } });
      isRefused(reply, 400, 'InvalidArgument');
    },
  ),
  'a range and a part number together are refused': async (w) => {
    const reply = await w.call('GET', await stored(w), 'k', {
      query: { partNumber: '1' },
      headers: { range: 'bytes=0-1' },
    });
    isRefused(reply, 400, 'InvalidRequest');
  },
});
