import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkRangeOrPart,
  contentRange,
  copySourceRange,
  parsePartNumber,
  parseRange,
  partRange,
  resolveRange,
  unsatisfiedRange,
} from '../../../../gateways/s3/ranges.ts';
import { codeOf, thrownBy } from '../../../kit/s3-error-code.ts';

/** The bytes [start, end) that a header asks for; null is the whole object. */
function bytesOf(header: string | null, size: number): [number, number] | null {
  const range = parseRange(header);
  if (range === null) return null;
  const { start, end } = resolveRange(range, size);
  return [start, end];
}

describe('Range', () => {
  it('one range of an object of ten bytes', () => {
    expect(bytesOf('bytes=0-0', 10)).toEqual([0, 1]);
    expect(bytesOf('bytes=2-5', 10)).toEqual([2, 6]);
    expect(bytesOf('bytes=2-', 10)).toEqual([2, 10]);
    expect(bytesOf('bytes=9-99', 10)).toEqual([9, 10]);
    expect(bytesOf('bytes=-3', 10)).toEqual([7, 10]);
    expect(bytesOf('bytes=-99', 10)).toEqual([0, 10]);
    expect(bytesOf('Bytes=0-4', 10)).toEqual([0, 5]);
  });

  it('I27 several ranges, reversed ones and what is none are the whole object', () => {
    const many = `bytes=${Array.from({ length: 1000 }, (_, at) => `${at}-${at}`).join(',')}`;
    const none = [null, many, 'bytes=5-2', 'bytes=', 'bytes=-', 'bytes=a-b', 'lines=0-1', '0-5'];
    for (const header of [...none, 'bytes=0-1,3-4', 'bytes = 0-1', 'bytes=0x1-2', 'bytes=+1-2']) {
      expect(bytesOf(header, 10)).toBeNull();
    }
  });

  it('I27 numbers of any size', () => {
    expect(bytesOf('bytes=0-18446744073709551616', 10)).toEqual([0, 10]);
    expect(bytesOf(`bytes=-${'9'.repeat(5000)}`, 10)).toEqual([0, 10]);
    expect(codeOf(() => bytesOf('bytes=18446744073709551616-', 10))).toBe('InvalidRange');
  });

  it('a range that has no byte of the object is InvalidRange, with its size', () => {
    for (const header of ['bytes=10-', 'bytes=10-20', 'bytes=-0']) {
      expect(thrownBy(() => bytesOf(header, 10))).toMatchObject({
        code: 'InvalidRange',
        status: 416,
        extra: { RangeRequested: header, ActualObjectSize: 10 },
      });
    }
    for (const header of ['bytes=0-', 'bytes=0-0', 'bytes=-1']) {
      expect(codeOf(() => bytesOf(header, 0))).toBe('InvalidRange');
    }
  });

  it('is always inside the object', () => {
    const part = fc.oneof(fc.constant(''), fc.nat(30).map(String));
    fc.assert(
      fc.property(part, part, fc.nat(20), (first, last, size) => {
        const range = parseRange(`bytes=${first}-${last}`);
        if (range === null) return;
        const error = thrownBy(() => {
          const { start, end } = resolveRange(range, size);
          expect(0 <= start && start < end && end <= size).toBe(true);
          if (first !== '') expect(start).toBe(Number(first));
          else expect(end - start).toBe(Math.min(size, Number(last)));
        });
        expect([undefined, 'InvalidRange']).toContain(error?.code);
      }),
    );
  });

  it('as the answer shows it', () => {
    expect(contentRange({ start: 2, end: 6 }, 10)).toBe('bytes 2-5/10');
    expect(unsatisfiedRange(10)).toBe('bytes */10');
  });
});

describe('part numbers', () => {
  it('are 1 to 10,000', () => {
    expect(parsePartNumber(null)).toBeNull();
    expect(parsePartNumber('1')).toBe(1);
    expect(parsePartNumber('10000')).toBe(10_000);
    for (const text of ['0', '10001', '-1', '1.5', 'x', '', '1e3', '999999999999']) {
      expect(codeOf(() => parsePartNumber(text))).toBe('InvalidArgument');
    }
  });

  it('are ranges of the object', () => {
    expect(partRange([5, 5, 3], 1)).toEqual({ start: 0, end: 5 });
    expect(partRange([5, 5, 3], 3)).toEqual({ start: 10, end: 13 });
    expect(partRange([0], 1)).toEqual({ start: 0, end: 0 });
    expect(thrownBy(() => partRange([5], 2))).toMatchObject({
      code: 'InvalidPartNumber',
      status: 416,
      extra: { PartNumberRequested: 2, ActualPartCount: 1 },
    });
  });

  it('do not go with a range', () => {
    expect(codeOf(() => checkRangeOrPart('bytes=0-1', 1))).toBe('InvalidRequest');
    expect(codeOf(() => checkRangeOrPart(null, 1))).toBe('none');
    expect(codeOf(() => checkRangeOrPart('bytes=0-1', null))).toBe('none');
  });
});

describe('x-amz-copy-source-range', () => {
  it('names both ends, inside the source', () => {
    expect(copySourceRange('bytes=0-9', 10)).toEqual({ start: 0, end: 10 });
    expect(copySourceRange('bytes=3-3', 10)).toEqual({ start: 3, end: 4 });
    for (const header of ['bytes=0-', 'bytes=-5', 'bytes=5-2', '0-1', 'bytes=0-1,2-3', 'x']) {
      expect(codeOf(() => copySourceRange(header, 10))).toBe('InvalidArgument');
    }
    for (const header of ['bytes=0-10', 'bytes=10-10', 'bytes=0-18446744073709551616']) {
      expect(codeOf(() => copySourceRange(header, 10))).toBe('InvalidRange');
    }
  });
});
