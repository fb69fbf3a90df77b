import { describe, expect, it } from 'vitest';
import { addressScope } from '../../../../gateways/limits/address-scope.ts';
import {
  encodeLimit,
  isLimitScope,
  limitRow,
  limitsOf,
  NO_LIMIT,
  parseLimit,
  scopeOfLimitRow,
} from '../../../../gateways/limits/limit-row.ts';

const SCOPES = [
  'key:abcdefgh234567ab',
  's3-user:Ada_1-x',
  's3-account',
  'tenant:acme',
  'bucket:a.b-c.example.org',
  'default',
  'anonymous',
];

describe('rows of limits', () => {
  it.each(SCOPES)('%s has a row of its own, whose name tells it', (scope) => {
    expect(isLimitScope(scope)).toBe(true);
    expect(limitRow(scope)).toMatch(/^[A-Za-z0-9/_-]{1,128}$/);
    expect(scopeOfLimitRow(limitRow(scope))).toBe(scope);
  });

  it.each(['', 'key:', 'key:ABC', 'default:x', 'bucket:A', 'bucket:a_b', 'address:1.2.3.4', 'x'])(
    '%s is none',
    (scope) => expect(isLimitScope(scope)).toBe(false),
  );

  it('keep a limit, or that there is none any more', () => {
    const limit = { ...NO_LIMIT, requestsPerSecond: 5, watchers: 0 };
    expect(parseLimit(encodeLimit(limit))).toEqual(limit);
    expect(parseLimit(encodeLimit(null))).toBeNull();
    const rows = [
      { name: limitRow('default'), text: encodeLimit(limit), revision: 1 },
      { name: limitRow('tenant:a'), text: encodeLimit(null), revision: 2 },
    ];
    expect([...limitsOf(rows)]).toEqual([['default', limit]]);
  });

  it('of another version are not guessed at', () => {
    expect(() => parseLimit('{"v":2}')).toThrow('version 2');
  });
});

describe('whoever shows no credentials', () => {
  it.each([
    ['127.0.0.1', 'address:127.0.0.1'],
    ['::ffff:10.0.0.7', 'address:10.0.0.7'],
    ['2001:db8:0:1:aa:bb:cc:dd', 'address:2001:db8:0:1::'],
    ['2001:DB8:0:1::9', 'address:2001:db8:0:1::'],
    ['2001:db8::1', 'address:2001:db8:0:0::'],
    ['fe80::1%eth0', 'address:fe80:0:0:0::'],
    ['::1', 'address:0:0:0:0::'],
    ['', 'address:'],
  ])('%s is %s', (address, scope) => expect(addressScope(address)).toBe(scope));
});
