import { describe, expect, test } from 'vitest';
import { isUploadDue, judgeVersion, type SeenVersion } from '../../../../actors/lifecycle/judge.ts';
import type { LifecycleRule } from '../../../../protocol/lifecycle.ts';
import { markerRecord, NO_HEAD, type ObjectRecord } from '../../../../protocol/objects.ts';
import { revisionAtWallMs, wallMsOfRevision } from '../../../../protocol/revision.ts';

const DAY = 1_000;
/** A midnight of such days. */
const T0 = Date.parse('2026-01-01T00:00:00Z');
const at = (days: number) => revisionAtWallMs(T0 + days * DAY);
const time = (days: number) => ({ nowMs: T0 + days * DAY, dayMs: DAY });

function rule(more: Partial<LifecycleRule>): LifecycleRule {
  return {
    ...{ id: 'r', status: 'Enabled', prefix: '', filter: null, expiration: null },
    ...{ noncurrentVersionExpiration: null, abortIncompleteMultipartUpload: null },
    ...more,
  };
}

const NO_EXPIRATION = { days: null, dateMs: null, expiredObjectDeleteMarker: null };
const AFTER_2 = rule({ expiration: { ...NO_EXPIRATION, days: 2 } });
const NONCURRENT = rule({
  noncurrentVersionExpiration: { noncurrentDays: 2, newerNoncurrentVersions: 1 },
});

function record(days: number, more: Partial<ObjectRecord> = {}): ObjectRecord {
  return { ...markerRecord(at(days), false), isMarker: false, etag: 'e', ...more };
}

function seen(more: Partial<SeenVersion>): SeenVersion {
  return {
    ref: { tenant: 'default', space: 'bucket', key: 'k' },
    ...{ record: record(0), revision: 7, newer: 0, newerNoncurrent: 0, isOldest: true },
    ...more,
  };
}

const why = (rules: LifecycleRule[], one: SeenVersion, days: number) =>
  judgeVersion({ rules }, one, time(days))?.why ?? null;

describe('the current version', () => {
  test('goes when its days are over, and not before', () => {
    expect(why([AFTER_2], seen({}), 1.99)).toBeNull();
    expect(why([AFTER_2], seen({}), 2)).toBe('expired');
  });

  test('goes at a date', () => {
    const dated = rule({ expiration: { ...NO_EXPIRATION, dateMs: T0 + DAY } });
    expect(why([dated], seen({}), 0.5)).toBeNull();
    expect(why([dated], seen({}), 1)).toBe('expired');
  });

  test('stays by a rule that is off, or for others', () => {
    expect(why([{ ...AFTER_2, status: 'Disabled' }], seen({}), 9)).toBeNull();
    expect(why([{ ...AFTER_2, prefix: 'other' }], seen({}), 9)).toBeNull();
  });

  test('is named by its row and its time, so that nothing else is taken', () => {
    expect(judgeVersion({ rules: [AFTER_2] }, seen({}), time(3))?.op).toMatchObject({
      ...{ type: 'expire', seen: 7, newer: 0, newerNoncurrent: 0, dueMs: T0 + 2 * DAY },
    });
  });
});

describe('a marker', () => {
  const marker = seen({ record: markerRecord(at(0), false) });

  test('goes when it is alone: by its own rule at once, by days when they are over', () => {
    const lonely = rule({ expiration: { ...NO_EXPIRATION, expiredObjectDeleteMarker: true } });
    expect(why([lonely], marker, 0)).toBe('marker');
    expect(why([AFTER_2], marker, 1)).toBeNull();
    expect(why([AFTER_2], marker, 2)).toBe('marker');
    expect(why([lonely, AFTER_2], { ...marker, isOldest: false }, 9)).toBeNull();
  });
});

describe('a version that is not current', () => {
  const old = seen({ newer: at(1), newerNoncurrent: 1 });

  test('goes so many days after it stopped being current', () => {
    expect(wallMsOfRevision(old.newer)).toBe(T0 + DAY);
    expect(why([NONCURRENT], old, 2.9)).toBeNull();
    expect(why([NONCURRENT], old, 3)).toBe('noncurrent');
    expect(why([AFTER_2], old, 9)).toBeNull();
  });

  test('stays while it is among the newest ones that are kept', () => {
    expect(why([NONCURRENT], { ...old, newerNoncurrent: 0 }, 9)).toBeNull();
    expect(judgeVersion({ rules: [NONCURRENT] }, old, time(9))?.op.newerNoncurrent).toBe(1);
  });

  test('stays while it is held', () => {
    const untilMs = T0 + 5 * DAY;
    const locked = { ...NO_HEAD, retention: { mode: 'governance' as const, untilMs } };
    expect(why([NONCURRENT], { ...old, record: record(0, { head: locked }) }, 4)).toBeNull();
    expect(why([NONCURRENT], { ...old, record: record(0, { head: locked }) }, 5)).toBe(
      'noncurrent',
    );
    const hold = { ...NO_HEAD, legalHold: true };
    expect(why([NONCURRENT], { ...old, record: record(0, { head: hold }) }, 99)).toBeNull();
  });
});

test('an upload is aborted so many days after it was begun', () => {
  const rules = [rule({ abortIncompleteMultipartUpload: { daysAfterInitiation: 1 }, prefix: 'u' })];
  expect(isUploadDue({ rules }, { key: 'u1', at: at(0.5) }, time(1.9))).toBe(false);
  expect(isUploadDue({ rules }, { key: 'u1', at: at(0.5) }, time(2))).toBe(true);
  expect(isUploadDue({ rules }, { key: 'x', at: at(0.5) }, time(2))).toBe(false);
});
