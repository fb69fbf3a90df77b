import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ipRangeOf, isInRange } from '../../../../gateways/s3/ip-ranges.ts';
import { holds, isValidValue, operatorOf } from '../../../../gateways/s3/policy-conditions.ts';
import { isLike } from '../../../../gateways/s3/wildcard.ts';

/** Whether `operator` with `wanted` holds for a request that says `given`. */
function says(operator: string, wanted: string | string[], given: string | string[] | null) {
  const found = operatorOf(operator);
  if (found === null) throw new Error(`${operator} is not known`);
  const values = [wanted].flat();
  expect(values.every((value) => isValidValue(found.operator, value))).toBe(true);
  return holds({ ...found, key: 'k', values }, () => (given === null ? null : [given].flat()));
}

const ROWS: readonly (readonly [string, string | string[], string | string[] | null, boolean])[] = [
  ['StringEquals', 'a', 'a', true],
  ['StringEquals', ['b', 'a'], 'a', true],
  ['StringEquals', 'a', 'A', false],
  ['StringEquals', 'a*', 'ab', false],
  ['StringEquals', 'a', null, false],
  ['StringEqualsIfExists', 'a', null, true],
  ['StringEqualsIfExists', 'a', 'b', false],
  ['StringNotEquals', 'a', 'a', false],
  ['StringNotEquals', ['a', 'b'], 'b', false],
  ['StringNotEquals', 'a', null, true],
  ['StringEqualsIgnoreCase', 'a', 'A', true],
  ['StringNotEqualsIgnoreCase', 'a', 'A', false],
  ['StringLike', 'a?c*', 'abcd', true],
  ['StringLike', 'a?c*', 'ac', false],
  ['StringNotLike', 'a*', 'ab', false],
  ['stringlike', 'a*', 'ab', true],
  ['NumericEquals', '10', '10.0', true],
  ['NumericNotEquals', '10', '10', false],
  ['NumericLessThan', '10', '9', true],
  ['NumericLessThan', '10', '10', false],
  ['NumericLessThanEquals', '10', '10', true],
  ['NumericGreaterThan', '10', '9', false],
  ['NumericGreaterThanEquals', '10', '10', true],
  ['NumericLessThan', '10', '', false],
  ['NumericLessThan', '10', 'many', false],
  ['NumericLessThan', '10', null, false],
  ['NumericGreaterThan', '10', '0000000000000000000001000', true],
  ['NumericGreaterThan', '10', '99999999999999999999', true],
  ['DateEquals', '2020-01-01T00:00:00Z', '1577836800', true],
  ['DateNotEquals', '2020-01-01', '2020-01-02', true],
  ['DateLessThan', '2020-01-01T00:00:00Z', '2019-12-31T23:59:59Z', true],
  ['DateGreaterThan', '2020-01-01T00:00:00+01:00', '2019-12-31T23:00:00Z', false],
  ['DateGreaterThanEquals', '2020-01-01T00:00:00+01:00', '2019-12-31T23:00:00Z', true],
  ['Bool', 'true', 'True', true],
  ['Bool', 'true', 'false', false],
  ['Bool', 'false', null, false],
  ['BoolIfExists', 'false', null, true],
  ['IpAddress', '10.0.0.0/8', '10.255.0.1', true],
  ['IpAddress', '10.0.0.0/8', '::ffff:10.1.2.3', true],
  ['IpAddress', '10.0.0.0/8', '11.0.0.1', false],
  ['IpAddress', '10.0.0.0/8', null, false],
  ['NotIpAddress', '10.0.0.0/8', '11.0.0.1', true],
  ['NotIpAddress', ['10.0.0.0/8', '11.0.0.0/8'], '11.0.0.1', false],
  ['IpAddress', '2001:db8::/32', '2001:db8:1::1', true],
  ['IpAddress', '0.0.0.0/0', '::1', false],
  ['IpAddress', 'fe80::/10', 'fe80::1%eth0', true],
  ['NotIpAddress', 'fe80::/10', 'fe80::1%2', false],
  ['ArnLike', 'arn:aws:iam::*:user/*', 'arn:aws:iam::1:user/a', true],
  ['ArnEquals', 'arn:aws:iam::*:root', 'arn:aws:iam::1:user/a', false],
  ['ArnLike', 'arn:aws:*:root', 'arn:aws:iam::1:root', false],
  ['ArnNotLike', 'arn:aws:iam::1:*', 'arn:aws:iam::2:root', true],
  ['ArnLike', 'arn:aws:iam::*:user/*', 'https://a.example/', false],
  ['ArnNotLike', 'arn:aws:iam::*:user/*', 'a', true],
  ['ArnLike', 'arn:aws:s3', 'arn:aws:s3::1:bucket', false],
  ['ArnLike', '*', 'arn:aws:s3:::bucket', true],
  ['Null', 'true', null, true],
  ['Null', 'true', [], true],
  ['Null', 'true', '', false],
  ['Null', 'false', 'a', true],
  ['ForAllValues:StringEquals', ['a', 'b'], ['a', 'b', 'a'], true],
  ['ForAllValues:StringEquals', ['a', 'b'], ['a', 'c'], false],
  ['ForAllValues:StringEquals', 'a', null, true],
  ['ForAllValues:StringNotEquals', 'a', ['b', 'a'], false],
  ['ForAnyValue:StringEquals', ['a', 'b'], ['c', 'b'], true],
  ['ForAnyValue:StringEquals', 'a', ['b'], false],
  ['ForAnyValue:StringEquals', 'a', null, false],
  ['ForAnyValue:StringNotEquals', 'a', ['a', 'b'], true],
  ['ForAnyValue:StringEqualsIfExists', 'a', null, true],
];

describe('conditions', () => {
  for (const [operator, wanted, given, expected] of ROWS) {
    it(`${operator} ${wanted} of ${given === null ? 'nothing' : given}: ${expected}`, () => {
      expect(says(operator, wanted, given)).toBe(expected);
    });
  }

  it('operators that S3 does not have are not known', () => {
    for (const name of [
      'Sometimes',
      'NullIfExists',
      'ForAnyValue:Null',
      'IfExists',
      '',
      'ForSomeValues:Bool',
    ]) {
      expect(operatorOf(name)).toBeNull();
    }
  });

  it('a value that could never match is none', () => {
    for (const [operator, value] of [
      ['ipaddress', '10.0.0.0/33'],
      ['ipaddress', '10.0.0'],
      ['notipaddress', '1::2::3'],
      ['ipaddress', '2001:db8::/129'],
      ['numericequals', '0x10'],
      ['numericequals', ''],
      ['datelessthan', 'soon'],
      ['bool', 'yes'],
      ['null', ''],
    ] as const) {
      expect([value, isValidValue(operator, value)]).toEqual([value, false]);
    }
  });
});

describe('wildcards', () => {
  it('stand for what a regular expression of the same meaning takes', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '.'), maxLength: 10 });
    fc.assert(
      fc.property(text, text, (pattern, given) => {
        const source = [...pattern].map((c) => (c === '*' ? '.*' : c === '?' ? '.' : `\\${c}`));
        const expected = new RegExp(`^${source.join('').replace(/\\([ab])/g, '$1')}$`, 's');
        expect(isLike(pattern, given)).toBe(expected.test(given));
      }),
    );
  });

  it('take no longer than the product of both lengths', () => {
    const startedMs = performance.now();
    expect(isLike('*a'.repeat(1000), 'a'.repeat(999).padEnd(1024, 'b'))).toBe(false);
    expect(performance.now() - startedMs).toBeLessThan(500);
  });
});

describe('ranges of addresses', () => {
  it('hold what has their first bits', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), fc.nat(32), (a, b, prefix) => {
        const text = (n: number) => [24, 16, 8, 0].map((s) => (n >>> s) & 255).join('.');
        const range = ipRangeOf(`${text(a)}/${prefix}`);
        const address = ipRangeOf(text(b));
        if (range === null || address === null) throw new Error('it is an address');
        const mask = prefix === 0 ? 0 : (-1 << (32 - prefix)) >>> 0;
        expect(isInRange(address, range)).toBe((a & mask) >>> 0 === (b & mask) >>> 0);
      }),
    );
  });

  it('long and short forms of an address are one', () => {
    for (const [short, long] of [
      ['::', '0:0:0:0:0:0:0:0'],
      ['::1', '0:0:0:0:0:0:0:1'],
      ['2001:db8::1:0', '2001:0DB8:0:0:0:0:1:0'],
      ['::ffff:1.2.3.4', '1.2.3.4'],
    ] as const) {
      expect(ipRangeOf(short)).toEqual(ipRangeOf(long));
    }
    for (const bad of [
      '1.2.3',
      '1.2.3.256',
      '1:2:3:4:5:6:7',
      '1::2:3:4:5:6:7:8:9',
      ':::',
      'g::',
      '',
    ]) {
      expect([bad, ipRangeOf(bad)]).toEqual([bad, null]);
    }
  });
});
