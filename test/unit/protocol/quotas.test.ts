import { describe, expect, test } from 'vitest';
import { parseQuotaScope, quotaScopeText } from '../../../protocol/quotas.ts';

describe('scopes of quotas', () => {
  test.each([
    ['tenant:acme', { kind: 'tenant', tenant: 'acme' }],
    ['bucket:photos', { kind: 'bucket', tenant: 'default', bucket: 'photos' }],
    ['bucket:acme/a.b-c', { kind: 'bucket', tenant: 'acme', bucket: 'a.b-c' }],
    ['prefix:default/a/b', { kind: 'prefix', tenant: 'default', prefix: 'a/b' }],
    ['prefix:t/\u00fc\n', { kind: 'prefix', tenant: 't', prefix: '\u00c3\u00bc\n' }],
  ])('%s', (text, parsed) => {
    expect(parseQuotaScope(text)).toEqual(parsed);
    expect(quotaScopeText(parsed as never)).toBe(text);
  });

  test('one scope has one text', () => {
    const parsed = parseQuotaScope('bucket:default/photos');
    expect(parsed && quotaScopeText(parsed)).toBe('bucket:photos');
  });

  test.each([
    ...['', 'tenant:', 'tenant:a b', 'tenant:a/b', 'bucket:A', 'bucket:a', 'bucket:../photos'],
    ...['prefix:default', 'prefix:default/', 'prefix:/a', 'prefix:default/\ud800', 'key:a'],
    `prefix:default/${'\u00fc'.repeat(65)}`,
  ])('%j is none', (text) => {
    expect(parseQuotaScope(text)).toBeNull();
  });
});
