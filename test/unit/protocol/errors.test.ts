import { describe, expect, it } from 'vitest';
import { AppError, ERRORS, type ErrorCode, isErrorCode } from '../../../protocol/errors.ts';

const rows = Object.entries(ERRORS);

describe('the error table', () => {
  it('has a usable row for every code', () => {
    for (const [code, row] of rows) {
      expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
      expect(row.http).toBeGreaterThanOrEqual(400);
      expect(row.http).toBeLessThan(600);
      expect(row.s3.status).toBeGreaterThanOrEqual(400);
      expect(row.s3.code).toMatch(/^[A-Z][A-Za-z]+$/);
      expect(row.title.length).toBeGreaterThan(5);
    }
  });

  it('B10 says definite only where nothing can have happened', () => {
    const indefinite = rows.filter(([, row]) => !row.definite).map(([code]) => code);
    expect(indefinite.sort()).toEqual(['internal', 'outcome_unknown']);
  });

  it('never invites a blind retry of what may have happened', () => {
    for (const [code, row] of rows) {
      if (!row.definite && code !== 'internal') expect(row.retry).toBe('no');
    }
  });

  it('tells S3 clients of our own troubles with a 5xx: the answer to a HEAD has nothing else to say so', () => {
    for (const [code, row] of rows) {
      if (row.http >= 500 && row.http !== 501 && code !== 'quota_exceeded')
        expect(row.s3.status, code).toBeGreaterThanOrEqual(500);
    }
  });

  it('keeps every code: they are for ever', () => {
    const published: ErrorCode[] = ['key_not_found', 'conflict', 'not_leader', 'outcome_unknown'];
    for (const code of published) expect(isErrorCode(code)).toBe(true);
    for (const text of ['', 'toString', '__proto__', 'constructor', 'Internal']) {
      expect(isErrorCode(text)).toBe(false);
    }
  });
});

describe('AppError', () => {
  it('takes what it does not say from the table', () => {
    const error = new AppError('overloaded', 'too busy');
    expect(error).toMatchObject({ code: 'overloaded', definite: true, retryAfterMs: 250 });
    expect(new AppError('conflict', 'again').retryAfterMs).toBeNull();
    expect(new AppError('outcome_unknown', 'who knows').definite).toBe(false);
  });

  it('keeps its cause and details', () => {
    const cause = new Error('below');
    const error = new AppError('compacted', 'too old', {
      cause,
      definite: false,
      retryAfterMs: 5,
      details: { oldestRevision: 7 },
    });
    expect(error.cause).toBe(cause);
    expect(error).toMatchObject({
      definite: false,
      retryAfterMs: 5,
      details: { oldestRevision: 7 },
    });
  });
});
