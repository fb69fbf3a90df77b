import { area, assert, each } from './suite.ts';
import { isRefused, isStatus, type Sendable, type World } from './world.ts';
import { texts } from './xml.ts';

/** Keys that clients have, and that something on the way likes to change. */
const ODD_KEYS: readonly (readonly [string, string])[] = [
  ['a space', 'a b'],
  ['a plus', 'a+b'],
  ['a percent sign', 'a%b'],
  ['an escape as text', 'a%2Fb'],
  ['a double escape as text', 'a%252Fb'],
  ['a question mark', 'a?b=c'],
  ['an ampersand and equals sign', 'a&b=c'],
  ['a hash', 'a#b'],
  ['a backslash', 'a\\b'],
  ['quotes', `a"b'c`],
  ['angle brackets', '<a>&lt;</a>'],
  ['braces and brackets', '{a}[b]'],
  ['a caret, a pipe, a backquote', 'a^b|c`d'],
  ['a tilde', '~a'],
  ['a colon and a semicolon', 'a:b;c'],
  ['an at sign, a dollar sign, a comma', 'a@b$c,d'],
  ['an exclamation mark and parentheses', '!(a)*'],
  ['a slash first', '/a'],
  ['a slash last', 'a/'],
  ['two slashes', 'a//b'],
  ['only a dot segment inside', 'a/./b'],
  ['two dots inside', 'a/../b'],
  ['two dots first', '../a'],
  ['only dots', '...'],
  ['a space first and last', ' a '],
  ['a tab', 'a\tb'],
  ['a line feed', 'a\nb'],
  ['a carriage return', 'a\rb'],
  ['letters with accents', 'äöüßéè'],
  ['Chinese', '文件夹/文件'],
  ['an emoji', 'a\u{1f600}b'],
  ['right to left', '\u05d0\u05d1\u05d2'],
  ['a combining accent', 'e\u0301'],
  ['a name of JavaScript', '__proto__'],
  ['the name of a sub-resource', 'acl'],
  ['a leading underscore', '_a/_b'],
  ['a zero-width space', 'a\u200bb'],
];

async function keeps(w: World, key: string): Promise<void> {
  const Bucket = await w.bucket();
  await w.put(Bucket, key, `body of ${key}`);
  assert.equal(await w.text(Bucket, key), `body of ${key}`);
  const { Contents = [] } = await w.sdk.listObjectsV2({ Bucket, EncodingType: 'url' });
  assert.deepEqual(
    Contents.map(({ Key = '' }) => decodeURIComponent(Key.replaceAll('+', ' '))),
    [key],
  );
  await w.sdk.deleteObject({ Bucket, Key: key });
  assert.equal((await w.sdk.listObjectsV2({ Bucket })).KeyCount, 0);
}

/** What keys may consist of. */
export const keys = area('keys', {
  ...each(
    ODD_KEYS,
    ([what]) => `kept as it is: ${what}`,
    (w, [, key]) => keeps(w, key),
  ),
  'composed and combined accents are two keys': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, ['\u00e9', 'e\u0301']);
    const { Contents = [] } = await w.sdk.listObjectsV2({ Bucket });
    assert.deepEqual(
      Contents.map(({ Key }) => Key),
      ['e\u0301', '\u00e9'],
    );
  },
  'case tells keys apart': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, ['key', 'KEY', 'Key']);
    assert.equal(await w.text(Bucket, 'Key'), 'Key');
    assert.equal((await w.sdk.listObjectsV2({ Bucket })).KeyCount, 3);
  },
  'a plus in the path is a plus': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'a b', 'space');
    await w.put(bucket, 'a+b', 'plus');
    assert.equal((await w.raw('GET', `/${bucket}/a%20b`)).text, 'space');
    assert.equal((await w.raw('GET', `/${bucket}/a%2Bb`)).text, 'plus');
  },
  'a key is shown escaped in XML': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'a&b<c>d"e', 'x');
    const { text } = await w.call('GET', Bucket, '');
    assert.ok(text.includes('<Key>a&amp;b&lt;c&gt;d'));
    assert.deepEqual(texts(text, 'Key'), ['a&b<c>d"e']);
  },
  'an escape that is none is InvalidURI': async (w) => {
    const bucket = await w.bucket();
    for (const path of ['%zz', 'a%', 'a%4']) {
      isRefused(await w.raw('GET', `/${bucket}/${path}`), 400, 'InvalidURI');
    }
  },
  'bytes that are no UTF-8 are InvalidURI': async (w) => {
    isRefused(await w.raw('PUT', `/${await w.bucket()}/a%FFb`, { body: 'x' }), 400, 'InvalidURI');
  },
  'a lower-case escape is the same key': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'ä', 'x');
    const tamper = (sent: Sendable): Sendable => ({
      ...sent,
      target: sent.target.replace('%C3%A4', '%c3%a4'),
    });
    const reply = await w.call('GET', bucket, 'ä', { tamper });
    assert.equal(isStatus(reply, 200).text, 'x');
  },
  'keys are ordered by their bytes': async (w) => {
    const Bucket = await w.bucket();
    const wanted = ['!', '0', 'A', 'Z', '_', 'a', 'z', '~', 'é', 'ÿ', '文', '\u{1f600}'];
    await w.putAll(Bucket, [...wanted].reverse());
    const { Contents = [] } = await w.sdk.listObjectsV2({ Bucket });
    const byBytes = [...wanted].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual(
      Contents.map(({ Key }) => Key),
      byBytes,
    );
  },
});
