import * as sdk from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { isS3ErrorCode, S3_ERRORS } from '../../../../gateways/s3/error-table.ts';
import {
  hasErrorBody,
  invalidArgument,
  renderError,
  S3Error,
  s3Error,
  s3ErrorOf,
} from '../../../../gateways/s3/errors.ts';
import { AppError, ERRORS, type ErrorCode, type ErrorRow } from '../../../../protocol/errors.ts';
import { SdkOracle } from '../../../kit/s3-sdk.ts';

const place = { resource: '/bucket/a&b', requestId: 'request-1', hostId: 'host-1' };
const rows = Object.entries(ERRORS) as [ErrorCode, ErrorRow][];

describe('the table', () => {
  it('has a status that fits and a message for every code', () => {
    for (const [code, { status, message }] of Object.entries(S3_ERRORS)) {
      expect(code).toMatch(/^[A-Za-z0-9]+(?:\.[A-Za-z]+)?$/);
      expect([301, 304].includes(status) || (status >= 400 && status < 600)).toBe(true);
      expect(message.length).toBeGreaterThan(5);
    }
    expect(isS3ErrorCode('NoSuchKey')).toBe(true);
    expect(isS3ErrorCode('constructor')).toBe(false);
  });

  it('has what every error of ours is rendered as, with the same status', () => {
    for (const [code, { s3 }] of rows) {
      expect(isS3ErrorCode(s3.code), code).toBe(true);
      if (isS3ErrorCode(s3.code)) expect(S3_ERRORS[s3.code].status, code).toBe(s3.status);
    }
  });
});

describe('an S3Error', () => {
  it('has the message and status of the table', () => {
    expect(s3Error('NoSuchKey')).toMatchObject({
      code: 'NoSuchKey',
      status: 404,
      message: 'The specified key does not exist.',
      extra: {},
      retryAfterMs: null,
    });
    expect(invalidArgument('why', 'max-keys', '-1').extra).toEqual({
      ArgumentName: 'max-keys',
      ArgumentValue: '-1',
    });
  });

  it('is made of an AppError by the table', () => {
    for (const [code, { s3, definite }] of rows) {
      const error = s3ErrorOf(new AppError(code, 'why'));
      expect(error.code).toBe(s3.code);
      expect(error.message.startsWith('The outcome is unknown')).toBe(!definite);
      expect(error.message).toContain('why');
    }
    expect(s3ErrorOf(new AppError('too_large', 'x')).code).toBe('EntityTooLarge');
    expect(s3ErrorOf(new AppError('unavailable', 'x', { retryAfterMs: 40 }))).toMatchObject({
      code: 'ServiceUnavailable',
      status: 503,
      retryAfterMs: 40,
    });
    expect(s3ErrorOf(new AppError('outcome_unknown', 'x'))).toMatchObject({
      code: 'InternalError',
      status: 500,
    });
  });

  it('never calls a refusal what may have happened', () => {
    const error = s3ErrorOf(new AppError('conflict', 'cut off', { definite: false }));
    expect(error).toMatchObject({ code: 'InternalError', status: 500 });
    const unavailable = s3ErrorOf(new AppError('unavailable', 'x', { definite: false }));
    expect(unavailable.code).toBe('ServiceUnavailable');
    expect(unavailable.message).toMatch(/outcome is unknown/);
  });

  it('tells nothing of what else was thrown', () => {
    const cause = new Error('/secret/path');
    const error = s3ErrorOf(cause);
    expect(error).toMatchObject({ code: 'InternalError', status: 500, cause });
    expect(error.message).not.toContain('secret');
    const same = new S3Error('NoSuchKey', 'x', {});
    expect(s3ErrorOf(same)).toBe(same);
  });
});

describe('its document', () => {
  it('has the elements of S3, in order, and no namespace', () => {
    const error = s3Error('NoSuchKey', 'a < b', { Key: 'k\u0001', Size: 5 });
    expect(renderError(error, place)).toBe(
      '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>a &lt; b</Message>' +
        '<Key>k&#x1;</Key><Size>5</Size><Resource>/bucket/a&amp;b</Resource>' +
        '<RequestId>request-1</RequestId><HostId>host-1</HostId></Error>',
    );
  });

  it('is what the SDK throws', async () => {
    const error = s3Error('PreconditionFailed', undefined, { Condition: 'If-Match' });
    const answer = { status: error.status, body: renderError(error, place) };
    const command = new sdk.PutObjectCommand({ Bucket: 'b', Key: 'k', Body: 'x' });
    await expect(new SdkOracle().read(command, answer)).rejects.toMatchObject({
      name: 'PreconditionFailed',
      message: error.message,
      Condition: 'If-Match',
      Resource: '/bucket/a&b',
      RequestId: 'request-1',
    });
  });

  it('is left out for HEAD and 304', () => {
    expect(hasErrorBody('GET', 404)).toBe(true);
    expect(hasErrorBody('HEAD', 404)).toBe(false);
    expect(hasErrorBody('GET', 304)).toBe(false);
  });
});
