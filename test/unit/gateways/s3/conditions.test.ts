import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { httpDateMs } from '../../../../gateways/http/http-date-reader.ts';
import {
  checkCopySource,
  checkRead,
  copySourceConditions,
  ifRangeHolds,
  readConditions,
  writeCondition,
} from '../../../../gateways/s3/conditions.ts';
import { eTagList, listHas, quoted, unquoted } from '../../../../gateways/s3/entity-tags.ts';
import type { Headers } from '../../../../gateways/s3/headers.ts';
import { codeOf, thrownBy } from '../../../kit/s3-error-code.ts';

const nowMs = Date.parse('2026-11-23T12:00:00Z');
const object = { eTag: 'abc', lastModifiedMs: Date.parse('2026-11-23T06:00:00.700Z') };
const BEFORE = 'Mon, 23 Nov 2026 05:59:59 GMT';
const SAME = 'Mon, 23 Nov 2026 06:00:00 GMT';
const AFTER = 'Mon, 23 Nov 2026 06:00:01 GMT';

const read = (headers: Headers) => codeOf(() => checkRead(readConditions(headers, nowMs), object));
const copy = (headers: Headers) =>
  codeOf(() => checkCopySource(copySourceConditions(headers, nowMs), object));

describe('HTTP dates', () => {
  it('in the three forms of RFC 9110', () => {
    const ms = Date.parse('1994-11-06T08:49:37Z');
    expect(httpDateMs('Sun, 06 Nov 1994 08:49:37 GMT', nowMs)).toBe(ms);
    expect(httpDateMs('Sunday, 06-Nov-94 08:49:37 GMT', nowMs)).toBe(ms);
    expect(httpDateMs('Sun Nov  6 08:49:37 1994', nowMs)).toBe(ms);
  });

  it('a year of two digits is at most 50 years ahead', () => {
    const year = (two: string) =>
      new Date(httpDateMs(`Sunday, 06-Nov-${two} 08:49:37 GMT`, nowMs) ?? 0).getUTCFullYear();
    expect([year('76'), year('77'), year('26')]).toEqual([2076, 1977, 2026]);
  });

  it('whatever else is none', () => {
    for (const text of ['', 'now', '0', '2026-11-23T06:00:00Z', `${SAME} `, `x${SAME}`]) {
      expect(httpDateMs(text, nowMs)).toBeNull();
    }
    expect(httpDateMs('Mon, 31 Feb 2026 06:00:00 GMT', nowMs)).toBeNull();
    expect(httpDateMs('Mon, 23 Nov 2026 24:00:00 GMT', nowMs)).toBeNull();
    expect(httpDateMs('Mon, 23 Nov 2026 06:60:00 GMT', nowMs)).toBeNull();
    expect(httpDateMs('Mon, 23 Nov 2026 06:00:00 EST', nowMs)).toBeNull();
  });

  it('is what toUTCString writes', () => {
    const seconds = fc.integer({ min: 0, max: 253_402_300_799 });
    fc.assert(
      fc.property(seconds, (at) => {
        expect(httpDateMs(new Date(at * 1000).toUTCString(), nowMs)).toBe(at * 1000);
      }),
    );
  });
});

describe('entity tags', () => {
  it('are read with quotes and without', () => {
    expect(unquoted('"a"')).toBe('a');
    expect(unquoted(' a ')).toBe('a');
    expect(quoted('a')).toBe('"a"');
    expect(eTagList('*')).toBe('*');
    expect(eTagList('"a", W/"b",c , "d"')).toEqual([
      { eTag: 'a', isWeak: false },
      { eTag: 'b', isWeak: true },
      { eTag: 'c', isWeak: false },
      { eTag: 'd', isWeak: false },
    ]);
    for (const text of ['', '"a', '"a" "b"', ',', 'a"b', '"a",,"b"']) {
      expect(eTagList(text)).toBeNull();
    }
  });

  it('are compared as RFC 9110 says', () => {
    const list = eTagList('W/"a", "b"') ?? [];
    expect(listHas(list, 'a', 'strong')).toBe(false);
    expect(listHas(list, 'a', 'weak')).toBe(true);
    expect(listHas(list, 'b', 'strong')).toBe(true);
    expect(listHas('*', 'x', 'strong')).toBe(true);
  });

  it('a list takes linear time, whatever is in it', () => {
    for (const text of [' '.repeat(16_000), 'a '.repeat(8000), `"${' '.repeat(16_000)}`]) {
      const started = performance.now();
      eTagList(`${text}"`);
      expect(performance.now() - started).toBeLessThan(200);
    }
  });
});

describe('conditions of reads', () => {
  it('on the ETag', () => {
    expect(read({ 'if-match': '"abc"' })).toBe('none');
    expect(read({ 'if-match': 'abc' })).toBe('none');
    expect(read({ 'if-match': '*' })).toBe('none');
    expect(read({ 'if-match': '"x", "abc"' })).toBe('none');
    expect(read({ 'if-match': '"x"' })).toBe('PreconditionFailed');
    expect(read({ 'if-match': 'W/"abc"' })).toBe('PreconditionFailed');
    expect(read({ 'if-match': '"abc' })).toBe('PreconditionFailed');
    expect(read({ 'if-match': '' })).toBe('PreconditionFailed');
    expect(read({ 'if-none-match': '"x"' })).toBe('none');
    expect(read({ 'if-none-match': '"abc"' })).toBe('NotModified');
    expect(read({ 'if-none-match': 'W/"abc"' })).toBe('NotModified');
    expect(read({ 'if-none-match': '*' })).toBe('NotModified');
    expect(read({ 'if-none-match': '"abc' })).toBe('none');
  });

  it('on the date, in whole seconds', () => {
    expect(read({ 'if-modified-since': BEFORE })).toBe('none');
    expect(read({ 'if-modified-since': SAME })).toBe('NotModified');
    expect(read({ 'if-modified-since': AFTER })).toBe('NotModified');
    expect(read({ 'if-unmodified-since': BEFORE })).toBe('PreconditionFailed');
    expect(read({ 'if-unmodified-since': SAME })).toBe('none');
    expect(read({ 'if-unmodified-since': AFTER })).toBe('none');
    expect(read({ 'if-modified-since': 'soon', 'if-unmodified-since': 'never' })).toBe('none');
  });

  it('the ETag wins over the date, as S3 documents', () => {
    expect(read({ 'if-match': '"abc"', 'if-unmodified-since': BEFORE })).toBe('none');
    expect(read({ 'if-none-match': '"abc"', 'if-modified-since': BEFORE })).toBe('NotModified');
    expect(read({ 'if-none-match': '"x"', 'if-modified-since': AFTER })).toBe('none');
    expect(read({ 'if-match': '"x"', 'if-none-match': '"abc"' })).toBe('PreconditionFailed');
    expect(read({ 'if-match': '"abc"', 'if-none-match': '"abc"' })).toBe('NotModified');
    expect(
      thrownBy(() => checkRead(readConditions({ 'if-match': 'x' }, nowMs), object)),
    ).toMatchObject({
      status: 412,
      extra: { Condition: 'If-Match' },
    });
  });

  it('of the source of a copy are all 412', () => {
    const name = (condition: string) => `x-amz-copy-source-if-${condition}`;
    expect(copy({ 'if-match': '"x"' })).toBe('none');
    expect(copy({ [name('match')]: 'abc' })).toBe('none');
    expect(copy({ [name('match')]: 'x' })).toBe('PreconditionFailed');
    expect(copy({ [name('none-match')]: 'abc' })).toBe('PreconditionFailed');
    expect(copy({ [name('modified-since')]: AFTER })).toBe('PreconditionFailed');
    expect(copy({ [name('unmodified-since')]: BEFORE })).toBe('PreconditionFailed');
    expect(copy({ [name('match')]: 'abc', [name('unmodified-since')]: BEFORE })).toBe('none');
  });

  it('If-Range: the range counts while the object is the one that is named', () => {
    const holds = (header: string | null) => ifRangeHolds(header, object, nowMs);
    expect([null, '"abc"', 'abc', SAME].map(holds)).toEqual([true, true, true, true]);
    expect(['"x"', 'W/"abc"', '*', BEFORE, AFTER, '"'].map(holds)).toEqual(Array(6).fill(false));
  });
});

describe('conditions of writes', () => {
  it('are one of four', () => {
    expect(writeCondition({})).toBeNull();
    expect(writeCondition({ 'if-none-match': '*' })).toEqual({ type: 'absent' });
    expect(writeCondition({ 'if-match': '*' })).toEqual({ type: 'exists' });
    expect(writeCondition({ 'if-match': '"a"' })).toEqual({ type: 'matches', eTags: ['a'] });
    expect(writeCondition({ 'if-match': 'a-3' })).toEqual({ type: 'matches', eTags: ['a-3'] });
    expect(writeCondition({ 'if-none-match': '"a","b"' })).toEqual({
      type: 'differs',
      eTags: ['a', 'b'],
    });
  });

  it('that are misread would lose data: they are refused', () => {
    expect(codeOf(() => writeCondition({ 'if-match': '"a' }))).toBe('InvalidArgument');
    expect(codeOf(() => writeCondition({ 'if-match': 'W/"a"' }))).toBe('InvalidArgument');
    expect(codeOf(() => writeCondition({ 'if-none-match': '"a' }))).toBe('InvalidArgument');
    expect(codeOf(() => writeCondition({ 'if-match': '' }))).toBe('InvalidArgument');
    for (const headers of [
      { 'if-match': 'a', 'if-none-match': '*' },
      { 'if-unmodified-since': SAME },
      { 'if-modified-since': SAME },
      { 'x-amz-if-match-size': '5' },
      { 'x-amz-if-match-last-modified-time': SAME },
    ]) {
      expect(thrownBy(() => writeCondition(headers))?.status).toBe(501);
    }
  });
});
