import { describe, expect, it } from 'vitest';
import { addressScope } from '../../../../gateways/limits/address-scope.ts';
import {
  encodeLimit,
  limitRow,
  limitScope,
  limitsOf,
  NO_LIMIT,
  parseLimit,
  scopeOfLimitRow,
} from '../../../../gateways/limits/limit-row.ts';
import { SCOPE_CHARS_MAX } from '../../../../protocol/demand.ts';

const SCOPES = [
  'key:abcdefgh234567ab',
  's3-user:Ada_1-x',
  's3-account',
  'tenant:acme',
  's3-user:acme/Ada_1-x',
  'bucket:a.b-c.example.org',
  'bucket:acme/a.b-c.example.org',
  'prefix:acme/app/',
  'prefix:default/a/b:c. ünï',
  `prefix:${'t'.repeat(32)}/${'ü'.repeat(64)}`,
  'default',
  'anonymous',
];

describe('rows of limits', () => {
  it.each(SCOPES)('%s has a row of its own, whose name tells it', (scope) => {
    expect(limitScope(scope)).toBe(scope);
    expect(limitRow(scope)).toMatch(/^[A-Za-z0-9/_-]{1,240}$/);
    expect(scope.length).toBeLessThanOrEqual(SCOPE_CHARS_MAX);
    expect(scopeOfLimitRow(limitRow(scope))).toBe(scope);
  });

  it.each([
    ...['', 'key:', 'key:ABC', 'default:x', 'bucket:A', 'bucket:a_b', 'address:1.2.3.4', 'x'],
    ...['prefix:', 'prefix:acme', 'prefix:acme/', 'prefix:/a', 'prefix:ACME/a', 'tenant:a/b'],
    ...['bucket:a/b/ccc', 's3-user:a/b/c', `prefix:a/${'ü'.repeat(65)}`, 'prefix:a/\ud800'],
  ])('%j is none', (scope) => expect(limitScope(scope)).toBeNull());

  it('are of the tenant default, whether or not it is named', () => {
    expect(limitScope('bucket:default/logs')).toBe('bucket:logs');
    expect(limitScope('s3-user:default/ada')).toBe('s3-user:ada');
    expect(limitScope('prefix:default/a')).toBe('prefix:default/a');
  });

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
