import { createHash } from 'node:crypto';
import * as aws from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_TENANT } from '../../../../protocol/vshard.ts';
import {
  type Ask,
  asks,
  FORM,
  govern,
  made,
  outcome,
  send,
  statement,
  TAGS,
} from '../../../kit/s3-policies.ts';
import { refused, type S3Server, startS3Server } from '../../../kit/s3-start.ts';

/** Who does not sign is nobody here. */
let closed: S3Server;

beforeAll(async () => {
  closed = await startS3Server({ allowUnsigned: false });
});
afterAll(() => closed.stop());

describe('what a request needs beyond its operation', () => {
  const get = (path: string, headers = {}) => fetch(closed.url + path, { headers });

  it('an object’s own tags and version decide over reading it', async () => {
    const Bucket = await made(closed, 'by-tag');
    const s3 = closed.client();
    const put = async (Tagging: string) => {
      const { VersionId } = await s3.send(new aws.PutObjectCommand({ Bucket, Key: 'k', Tagging }));
      return VersionId as string;
    };
    const [shut, shown] = [await put('open=no'), await put('open=yes&x=1')];
    await govern(
      ...[closed, Bucket],
      statement(Bucket, 'Allow', {
        Action: ['s3:GetObject', 's3:GetObjectVersion'],
        Resource: `arn:aws:s3:::${Bucket}/*`,
        Condition: { StringEquals: { 's3:ExistingObjectTag/open': 'yes' } },
      }),
    );
    expect((await get(`/${Bucket}/k`)).status).toBe(200);
    expect((await get(`/${Bucket}/k?versionId=${shown}`)).status).toBe(200);
    expect((await get(`/${Bucket}/k?versionId=${shut}`)).status).toBe(403);
    expect((await get(`/${Bucket}/source`)).status).toBe(403);
    expect((await get(`/${Bucket}/none`)).status).toBe(403);
    await govern(
      closed,
      Bucket,
      statement(Bucket, 'Allow', { Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/*` }),
    );
    expect((await get(`/${Bucket}/k`)).status).toBe(200);
    expect((await get(`/${Bucket}/k?versionId=${shown}`)).status).toBe(403);
  });

  it('who may list is told what is not there', async () => {
    const Bucket = await made(
      closed,
      'missing',
      statement('missing', 'Allow', { Action: ['s3:GetObject', 's3:ListBucket'] }),
    );
    expect((await get(`/${Bucket}/none`)).status).toBe(404);
    await govern(
      closed,
      Bucket,
      statement(Bucket, 'Allow', { Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/*` }),
    );
    expect((await get(`/${Bucket}/none`)).status).toBe(403);
  });

  it('headers of a put ask for the ACL, the tags and the lock', async () => {
    const Bucket = await made(closed, 'headers');
    const Action = ['s3:PutObject'];
    const put = async (headers: Record<string, string>) =>
      (await fetch(`${closed.url}/${Bucket}/new`, { method: 'PUT', body: 'x', headers })).status;
    const allow = () =>
      govern(
        closed,
        Bucket,
        statement(Bucket, 'Allow', { Action, Resource: `arn:aws:s3:::${Bucket}/*` }),
      );
    await allow();
    expect(await put({})).toBe(200);
    for (const [action, headers] of [
      ['s3:PutObjectAcl', { 'x-amz-acl': 'private' }],
      ['s3:PutObjectTagging', { 'x-amz-tagging': 'a=b' }],
      ['s3:PutObjectLegalHold', { 'x-amz-object-lock-legal-hold': 'OFF' }],
      [
        's3:PutObjectRetention',
        {
          'x-amz-object-lock-mode': 'GOVERNANCE',
          'x-amz-object-lock-retain-until-date': '2099-01-01T00:00:00Z',
        },
      ],
    ] as const) {
      expect([action, await put(headers)]).toEqual([action, 403]);
      Action.push(action);
      await allow();
      expect([action, await put(headers)]).toEqual([action, 200]);
    }
  });

  it('a bypass of governance is an action of its own, also under a public ACL', async () => {
    const Bucket = await made(
      closed,
      'bypass',
      statement('bypass', 'Allow', {
        Action: 's3:DeleteObject*',
        Resource: 'arn:aws:s3:::bypass/*',
      }),
    );
    const headers = { 'x-amz-bypass-governance-retention': 'true' };
    const remove = (key: string, more = {}) =>
      fetch(`${closed.url}/${Bucket}/${key}`, { method: 'DELETE', headers: more });
    expect((await remove('k', headers)).status).toBe(403);
    expect((await remove('k')).status).toBe(204);
    const s3 = closed.client();
    await s3.send(new aws.DeleteBucketPolicyCommand({ Bucket }));
    await s3.send(new aws.PutBucketAclCommand({ Bucket, ACL: 'public-read-write' }));
    expect((await remove('source', headers)).status).toBe(403);
    expect((await remove('source?versionId=null')).status).toBe(403);
    expect((await remove('source')).status).toBe(204);
  });

  it('a copy needs its source, and the tags that go along', async () => {
    const Bucket = await made(closed, 'copies');
    const s3 = closed.client();
    await s3.send(new aws.PutObjectCommand({ Bucket, Key: 'source', Body: 'x', Tagging: 'a=b' }));
    const Action = ['s3:PutObject'];
    const allow = (more = {}) =>
      govern(
        closed,
        Bucket,
        statement(Bucket, 'Allow', { Action, Resource: `arn:aws:s3:::${Bucket}/*`, ...more }),
      );
    const copy = async (headers = {}, source = `${Bucket}/source`) => {
      const all = { 'x-amz-copy-source': source, ...headers };
      return (await fetch(`${closed.url}/${Bucket}/new`, { method: 'PUT', headers: all })).status;
    };
    await allow();
    expect(await copy()).toBe(403);
    Action.push('s3:GetObject');
    await allow();
    expect(await copy()).toBe(403);
    expect(await copy({ 'x-amz-tagging-directive': 'REPLACE' })).toBe(200);
    Action.push('s3:GetObjectTagging');
    await allow();
    expect(await copy()).toBe(403);
    Action.push('s3:PutObjectTagging');
    await allow();
    expect(await copy()).toBe(200);
    await allow({ Condition: { StringLike: { 's3:x-amz-copy-source': `${Bucket}/so*` } } });
    // The source itself is read by a statement without the condition.
    expect(await copy({}, `/${Bucket}/%73ource`)).toBe(200);
    expect(await copy({}, `${Bucket}/k`)).toBe(403);
  });

  it('a list of deletions is judged key by key', async () => {
    const Resource = 'arn:aws:s3:::by-key/open*';
    const Bucket = await made(
      closed,
      'by-key',
      statement('by-key', 'Allow', { Action: 's3:DeleteObject', Resource }),
    );
    const body = '<Delete><Object><Key>open</Key></Object><Object><Key>k</Key></Object></Delete>';
    const headers = { 'content-md5': createHash('md5').update(body).digest('base64') };
    const answer = await fetch(`${closed.url}/${Bucket}?delete`, { method: 'POST', body, headers });
    const text = await answer.text();
    expect(text).toMatch(/<Deleted><Key>open<\/Key>/);
    expect(text).toMatch(
      /<Error><Key>k<\/Key>(?:<[^>]*>[^<]*<\/[^>]*>)*<Code>AccessDenied|<Error>.*<Code>AccessDenied<\/Code>/,
    );
    expect(text.match(/AccessDenied/g)).toHaveLength(1);
  });

  it('tags, locks and holds in a body count', async () => {
    const allow = (Action: string, key: string, value: string) =>
      statement('bodies', 'Allow', {
        Action,
        Resource: 'arn:aws:s3:::bodies/*',
        Condition: { StringEquals: { [key]: value } },
      });
    await made(closed, 'bodies');
    const all = asks('bodies');
    for (const [operation, key, right, wrong] of [
      ['PutObjectTagging', 's3:RequestObjectTag/a', 'b', 'c'],
      ['PutObjectLegalHold', 's3:object-lock-legal-hold', 'ON', 'OFF'],
      ['PutObjectRetention', 's3:object-lock-mode', 'GOVERNANCE', 'COMPLIANCE'],
    ] as const) {
      const one = all.find((each) => each.operation === operation) as Ask;
      await govern(closed, 'bodies', allow(`s3:${operation}`, key, wrong));
      expect([operation, await outcome(closed, one)]).toEqual([operation, 'denied']);
      await govern(closed, 'bodies', allow(`s3:${operation}`, key, right));
      expect([operation, (await send(closed, one)).status]).toEqual([operation, 200]);
    }
  });

  it('a form is judged by its key, and its author is who signed it', async () => {
    const Resource = 'arn:aws:s3:::forms/k';
    await made(closed, 'forms', statement('forms', 'Allow', { Action: 's3:PutObject', Resource }));
    const form = asks('forms').find(({ operation }) => operation === 'PostObject') as Ask;
    expect((await send(closed, form)).status).toBe(204);
    const other = { ...form, body: FORM.replace('\r\n\r\nk\r\n', '\r\n\r\nother\r\n') };
    expect((await send(closed, other)).status).toBe(403);
    const tagged = `--b\r\nContent-Disposition: form-data; name="tagging"\r\n\r\n${TAGS}\r\n${FORM}`;
    expect((await send(closed, { ...form, body: tagged })).status).toBe(403);
  });
});

describe('who and where from', () => {
  const status = async (server: S3Server, path: string, headers = {}) =>
    (await fetch(server.url + path, { headers })).status;

  it('facts of the request are its own', async () => {
    const Bucket = await made(closed, 'facts');
    const s3 = closed.client();
    const check = async (Condition: object) => {
      await govern(closed, Bucket, statement(Bucket, 'Allow', { Condition }));
      return status(closed, `/${Bucket}?max-keys=5&prefix=a`, {
        'user-agent': 'test',
        referer: 'r',
      });
    };
    for (const Condition of [
      { IpAddress: { 'aws:SourceIp': '127.0.0.0/8' } },
      { StringEquals: { 'aws:UserAgent': 'test', 'aws:Referer': 'r', 's3:prefix': 'a' } },
      { NumericLessThanEquals: { 's3:max-keys': '5' }, Null: { 's3:delimiter': 'true' } },
      { Bool: { 'aws:SecureTransport': 'false' } },
      {
        DateGreaterThan: {
          'aws:CurrentTime': '2020-01-01T00:00:00Z',
          'aws:EpochTime': '1577836800',
        },
      },
      { StringEquals: { 'aws:PrincipalType': 'Anonymous' }, Null: { 's3:authType': 'true' } },
      { StringEqualsIfExists: { 'aws:SourceVpc': 'vpc-1' } },
      { BoolIfExists: { 'aws:MultiFactorAuthPresent': 'false' } },
    ]) {
      expect([Condition, await check(Condition)]).toEqual([Condition, 200]);
    }
    const deny = async (Condition: object) => {
      await govern(closed, Bucket, statement(Bucket, 'Deny', { Condition }));
      const seen = await s3.send(new aws.GetObjectCommand({ Bucket, Key: 'k' })).catch((e) => e);
      return seen.name === 'AccessDenied';
    };
    for (const Condition of [
      { StringEquals: { 's3:authType': 'REST-HEADER', 's3:signatureversion': 'AWS4-HMAC-SHA256' } },
      { NumericLessThan: { 's3:signatureAge': '600000' } },
      { StringEquals: { 'aws:PrincipalType': 'Account' } },
      { ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam::*:root' } },
      { Bool: { 'aws:SecureTransport': 'false' } },
    ]) {
      expect([Condition, await deny(Condition)]).toEqual([Condition, true]);
    }
    expect(await deny({ StringEquals: { 's3:authType': 'REST-QUERY-STRING' } })).toBe(false);
  });

  it('a public access block refuses public policies, or keeps them to the account', async () => {
    const Bucket = await made(closed, 'blocked', statement('blocked', 'Allow'));
    const s3 = closed.client();
    const block = (PublicAccessBlockConfiguration: object) =>
      s3.send(new aws.PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration }));
    expect(await status(closed, `/${Bucket}/k`)).toBe(200);
    await block({ RestrictPublicBuckets: true });
    expect(await status(closed, `/${Bucket}/k`)).toBe(403);
    const Condition = { IpAddress: { 'aws:SourceIp': '127.0.0.0/8' } };
    await govern(closed, Bucket, statement(Bucket, 'Allow', { Condition }));
    expect(await status(closed, `/${Bucket}/k`)).toBe(200);
    await block({ BlockPublicPolicy: true });
    const open = govern(closed, Bucket, statement(Bucket, 'Allow'));
    expect(await refused(open)).toEqual({ name: 'AccessDenied', status: 403 });
    expect(await status(closed, `/${Bucket}/k`)).toBe(200);
  });

  it('the status is told of the policy, or of the ACL', async () => {
    const Bucket = await made(closed, 'status');
    const s3 = closed.client();
    const ask = () => s3.send(new aws.GetBucketPolicyStatusCommand({ Bucket }));
    expect(await refused(ask())).toEqual({ name: 'NoSuchBucketPolicy', status: 404 });
    await s3.send(new aws.PutBucketAclCommand({ Bucket, ACL: 'public-read' }));
    expect((await ask()).PolicyStatus?.IsPublic).toBe(true);
    await s3.send(new aws.PutBucketAclCommand({ Bucket, ACL: 'private' }));
    await govern(
      closed,
      Bucket,
      statement(Bucket, 'Deny', { Action: 's3:DeleteBucket', Resource: `arn:aws:s3:::${Bucket}` }),
    );
    expect((await ask()).PolicyStatus?.IsPublic).toBe(false);
    await govern(closed, Bucket, statement(Bucket, 'Allow', { Action: 's3:ListBucket' }));
    expect((await ask()).PolicyStatus?.IsPublic).toBe(true);
  });

  it('the owner replaces a policy that cannot be read any more', async () => {
    const Bucket = await made(closed, 'unreadable');
    const change = { documents: { policy: '{"Statement":"of a later version"}' } };
    await closed.objects.buckets.change({}, DEFAULT_TENANT, Bucket, change);
    expect(await status(closed, `/${Bucket}/k`)).toBe(400);
    await govern(closed, Bucket, statement(Bucket, 'Allow', { Action: 's3:GetObject*' }));
    expect(await status(closed, `/${Bucket}/k`)).toBe(200);
  });

  it('a policy that is changed holds for the next request', async () => {
    const Bucket = await made(closed, 'changes', statement('changes', 'Allow'));
    for (let i = 0; i < 5; i++) {
      await govern(
        closed,
        Bucket,
        statement(Bucket, 'Deny', { Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/*` }),
      );
      expect(await status(closed, `/${Bucket}/k`)).toBe(403);
      await govern(closed, Bucket, statement(Bucket, 'Allow'));
      expect(await status(closed, `/${Bucket}/k`)).toBe(200);
    }
  });
});
