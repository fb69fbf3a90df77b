import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditEvent } from '../../../../protocol/audit.ts';
import { type S3Server, startS3Server } from '../../../kit/s3-start.ts';
import { makeUser, type TestUser } from '../../../kit/s3-users.ts';

const events: AuditEvent[] = [];
const note = (event: AuditEvent) => void events.push(event);
const audit = { hasData: false, note, read: () => ({}) as AsyncIterable<never> };
let server: S3Server;
let ada: TestUser;

beforeAll(async () => {
  server = await startS3Server({}, {}, { audit });
  ada = await makeUser(server, 'ada');
});
afterAll(async () => {
  ada.s3.destroy();
  await server.stop();
});

describe('what S3 writes down', () => {
  it('has each key that may not be deleted, where others may and the answer is 200', async () => {
    const owner = server.client();
    await owner.send(new CreateBucketCommand({ Bucket: 'shared' }));
    for (const Key of ['hers/1', 'mine/1']) {
      await owner.send(new PutObjectCommand({ Bucket: 'shared', Key, Body: 'x' }));
    }
    const Policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        {
          ...{ Effect: 'Allow', Principal: { AWS: ada.arn }, Action: 's3:DeleteObject' },
          Resource: 'arn:aws:s3:::shared/hers/*',
        },
      ],
    });
    await owner.send(new PutBucketPolicyCommand({ Bucket: 'shared', Policy }));
    events.length = 0;
    const Objects = ['hers/1', 'mine/1', 'mine/\r\n2'].map((Key) => ({ Key }));
    const answer = await ada.s3.send(
      new DeleteObjectsCommand({ Bucket: 'shared', Delete: { Objects } }),
    );
    expect(answer.Errors?.map(({ Code }) => Code)).toEqual(['AccessDenied', 'AccessDenied']);
    expect(events).toMatchObject([
      { who: 's3:ada', action: 's3:DeleteObjects', resource: 'shared/mine/1', status: 403 },
      { who: 's3:ada', action: 's3:DeleteObjects', resource: 'shared/mine/\r\n2', status: 403 },
    ]);
  });

  it('has requests for objects only where data is', async () => {
    const get = () =>
      server.client().send(new GetObjectCommand({ Bucket: 'shared', Key: 'mine/1' }));
    events.length = 0;
    await get();
    expect(events).toEqual([]);
    audit.hasData = true;
    await get();
    audit.hasData = false;
    expect(events).toMatchObject([
      { who: 's3:account', action: 's3:GetObject', resource: 'shared/mine/1', status: 200 },
    ]);
  });
});
