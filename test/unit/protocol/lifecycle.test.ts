import { describe, expect, test } from 'vitest';
import {
  DAY_MS,
  decodeLifecycle,
  dueMs,
  encodeLifecycle,
  expiryOf,
  isSelected,
  type LifecycleRule,
} from '../../../protocol/lifecycle.ts';

const NONE = { prefix: null, tags: [], objectSizeGreaterThan: null, objectSizeLessThan: null };

function rule(more: Partial<LifecycleRule>): LifecycleRule {
  return {
    ...{ id: 'r', status: 'Enabled', prefix: '', filter: null },
    ...{ expiration: { days: 1, dateMs: null, expiredObjectDeleteMarker: null } },
    ...{ noncurrentVersionExpiration: null, abortIncompleteMultipartUpload: null },
    ...more,
  };
}

describe('days', () => {
  test('end at the next midnight UTC, as S3 counts them', () => {
    const at = Date.parse('2014-01-15T10:30:00Z');
    expect(dueMs(at, 3, DAY_MS)).toBe(Date.parse('2014-01-19T00:00:00Z'));
    expect(dueMs(Date.parse('2014-01-15T00:00:00Z'), 1, DAY_MS)).toBe(Date.parse('2014-01-16'));
  });

  test('can be short, and so are their nights', () => {
    expect(dueMs(12_345, 2, 1_000)).toBe(15_000);
  });
});

describe('what a rule is for', () => {
  const subject = { key: 'logs/é', size: 10, tags: [{ name: 't', value: '1' }] };

  test('a prefix is text, of whose bytes keys begin', () => {
    const engineKey = Buffer.from('logs/é').toString('latin1');
    expect(isSelected({ ...NONE, prefix: 'logs/é' }, { ...subject, key: engineKey })).toBe(true);
    expect(isSelected({ ...NONE, prefix: 'logs/e' }, { ...subject, key: engineKey })).toBe(false);
  });

  test('sizes are exclusive, and every tag must be there', () => {
    expect(isSelected({ ...NONE, objectSizeGreaterThan: 10 }, subject)).toBe(false);
    expect(isSelected({ ...NONE, objectSizeGreaterThan: 9 }, subject)).toBe(true);
    expect(isSelected({ ...NONE, objectSizeLessThan: 10 }, subject)).toBe(false);
    expect(isSelected({ ...NONE, objectSizeLessThan: 11 }, subject)).toBe(true);
    const tag = { key: 't', value: '1' };
    expect(isSelected({ ...NONE, tags: [tag] }, subject)).toBe(true);
    expect(isSelected({ ...NONE, tags: [tag, { key: 'u', value: '' }] }, subject)).toBe(false);
  });
});

describe('when the current version goes', () => {
  const subject = { key: 'a', size: 1, tags: [] };

  test('the soonest of the rules that are on says it', () => {
    const days = (id: string, n: number, more: Partial<LifecycleRule> = {}) =>
      rule({ id, expiration: { days: n, dateMs: null, expiredObjectDeleteMarker: null }, ...more });
    const rules = [days('a', 9), days('b', 3), days('c', 1, { status: 'Disabled' })];
    expect(expiryOf({ rules }, subject, 0, DAY_MS)).toEqual({ atMs: 3 * DAY_MS, ruleId: 'b' });
  });

  test('nothing says it where rules are for other keys, or for other things', () => {
    const other = rule({ prefix: 'b' });
    const abort = rule({
      expiration: null,
      abortIncompleteMultipartUpload: { daysAfterInitiation: 1 },
    });
    expect(expiryOf({ rules: [other, abort] }, subject, 0, DAY_MS)).toBeNull();
  });

  test('a configuration comes back from a bucket’s row as it was', () => {
    const rules = [rule({}), rule({ prefix: null, filter: { ...NONE, and: null } })];
    expect(decodeLifecycle(encodeLifecycle({ rules }))).toEqual({ rules });
  });
});
