import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Permission } from '../../../../gateways/s3/acl.ts';
import { ACTIONS } from '../../../../gateways/s3/policy-actions.ts';
import { type Ask, asks, statement } from '../../../kit/s3-policies.ts';
import { type S3Server, startS3Server } from '../../../kit/s3-start.ts';
import { CTX, makeUser, outcomeAs, type TestUser } from '../../../kit/s3-users.ts';

/** Every operation of S3, by everybody, on a bucket and an object of alice's: exactly the stated answer. */

let server: S3Server;
let alice: TestUser;
let buckets = 0;

beforeAll(async () => {
  server = await startS3Server({ allowUnsigned: false });
  alice = await makeUser(server, 'alice');
});
afterAll(() => server.stop());

async function bucketOf(owner: TestUser, ...Statement: object[]): Promise<string> {
  const Bucket = `matrix-${++buckets}`;
  await owner.s3.createBucket({ Bucket, ObjectLockEnabledForBucket: true });
  for (const Key of ['k', 'source']) await owner.s3.putObject({ Bucket, Key, Body: 'text' });
  if (Statement.length > 0) await govern(owner, Bucket, Statement);
  return Bucket;
}

function govern(owner: TestUser, Bucket: string, Statement: object[]) {
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: retarget(Statement, Bucket) });
  return owner.s3.putBucketPolicy({ Bucket, Policy });
}

function retarget(statements: object[], bucket: string): object[] {
  return JSON.parse(JSON.stringify(statements).replaceAll('BUCKET', bucket));
}

const to = (who: TestUser | '*', Effect: string) =>
  statement('BUCKET', Effect, { Principal: who === '*' ? '*' : { AWS: who.arn } });

/** Those that end what the next ones are asked about come last, and those that change who may, or whose it is. */
const LAST = [
  ...['PutBucketAcl', 'PutObjectAcl', 'PutBucketOwnershipControls', 'PutPublicAccessBlock'],
  ...['PutObject', 'PostObject', 'CopyObject', 'PutBucketPolicy'],
  ...['DeleteObject', 'DeleteObjects', 'DeleteBucket', 'DeleteBucketPolicy'],
];

function inOrder(bucket: string): Ask[] {
  const place = ({ operation }: Ask): number => LAST.indexOf(operation);
  const service = { method: 'GET', path: '/', headers: {}, body: '' };
  const all = [...asks(bucket), { operation: 'ListBuckets', ...service }];
  return all.sort((a, b) => place(a) - place(b));
}

/** Asks all of them; `expected` says what each comes to. */
async function each(
  bucket: string,
  who: TestUser['credentials'] | null,
  expected: (operation: string) => string,
): Promise<void> {
  let cells = 0;
  for (const one of inOrder(bucket)) {
    const wanted = expected(one.operation);
    const cell = [one.operation, await outcomeAs(server, who, one)];
    // HEAD has no body that could say why.
    const isHead = one.method === 'HEAD' && wanted.startsWith('403');
    expect(cell).toEqual([one.operation, isHead ? 'denied' : wanted]);
    cells++;
  }
  expect(cells).toBe(Object.keys(ACTIONS).length);
}

const OWN = new Set(['ListBuckets', 'CreateBucket']);
const POLICY = new Set(['GetBucketPolicy', 'PutBucketPolicy', 'DeleteBucketPolicy']);

describe('of a bucket without policy and ACL', () => {
  it('its owner may do everything', async () => {
    await each(await bucketOf(alice), alice.credentials, () => 'let in');
  });

  it('an administrator may do everything, by the account’s keys and by their own', async () => {
    const root = { accessKeyId: 'MINIKVTESTKEY', secretAccessKey: 'a secret that nobody knows' };
    await each(await bucketOf(alice), root, () => 'let in');
    const carol = await makeUser(server, 'carol-admin', { role: 'admin' });
    await each(await bucketOf(alice), carol.credentials, () => 'let in');
  });

  it('another user may do nothing, but with buckets of their own', async () => {
    const bob = await makeUser(server, 'bob');
    await each(await bucketOf(alice), bob.credentials, (operation) =>
      OWN.has(operation) ? 'let in' : 'denied',
    );
  });

  it('nobody may do anything', async () => {
    await each(await bucketOf(alice), null, () => 'denied');
  });
});

describe('keys that are good no more', () => {
  it('are no keys', async () => {
    const bucket = await bucketOf(alice, to('*', 'Allow'));
    const revoked = await makeUser(server, 'revoked');
    await server.users.revokeKey(CTX, revoked.credentials.accessKeyId);
    const expired = await makeUser(server, 'expired', { expiresInMs: 1 });
    const deleted = await makeUser(server, 'deleted', { role: 'admin' });
    await server.users.deleteKey(CTX, deleted.credentials.accessKeyId);
    const gone = await makeUser(server, 'gone', { role: 'admin' });
    await server.users.deleteUser(CTX, 'gone');
    // Whoever has the name now is another one.
    await makeUser(server, 'gone', { role: 'admin' });
    await new Promise((resolve) => setTimeout(resolve, 5));
    const unknown = { accessKeyId: `AKIA${'A'.repeat(16)}`, secretAccessKey: 'x' };
    const known = [revoked, expired, deleted, gone].map(({ credentials }) => credentials);
    for (const credentials of [...known, unknown]) {
      await each(bucket, credentials, () => '403 InvalidAccessKeyId');
    }
  });

  it('with another secret are refused', async () => {
    const forged = { ...alice.credentials, secretAccessKey: 'x'.repeat(40) };
    await each(await bucketOf(alice), forged, () => '403 SignatureDoesNotMatch');
  });

  it('are not judged by a view that nobody confirms', async () => {
    const bucket = await bucketOf(alice);
    server.identities.isConfirmed = false;
    try {
      for (const one of inOrder(bucket)) {
        const outcome = await outcomeAs(server, alice.credentials, one);
        expect([one.operation, outcome]).toEqual([
          one.operation,
          one.method === 'HEAD' ? '503 ' : '503 ServiceUnavailable',
        ]);
      }
    } finally {
      server.identities.isConfirmed = true;
    }
  });
});

describe('roles', () => {
  it('of a reader keep them from writing what is their own, or given to them', async () => {
    const reader = await makeUser(server, 'reader', { role: 'read_only' });
    const bucket = await bucketOf(alice, to(reader, 'Allow'));
    await each(bucket, reader.credentials, (operation) =>
      /^(?:Get|Head|List)/.test(operation) ? 'let in' : 'denied',
    );
  });
});

describe('policies', () => {
  it('give a user everything, by each name that they have', async () => {
    const names = (who: TestUser) => [
      { AWS: who.arn },
      { AWS: `arn:aws:iam:::user/${who.name}` },
      { AWS: `arn:aws:iam::minikv:user/${who.id}` },
      { AWS: `arn:aws:iam::${who.id}:root` },
      { AWS: who.id },
      { CanonicalUser: who.id },
    ];
    const bob = await makeUser(server, 'named');
    const eve = await makeUser(server, 'not-named');
    for (const Principal of names(bob)) {
      const bucket = await bucketOf(alice, statement('BUCKET', 'Allow', { Principal }));
      for (const one of inOrder(bucket).filter(({ operation }) => !OWN.has(operation))) {
        const cell = [one.operation, await outcomeAs(server, eve.credentials, one)];
        expect(cell).toEqual([one.operation, 'denied']);
      }
      await each(bucket, bob.credentials, () => 'let in');
    }
  });

  it('deny a user what another statement, or an ACL, gives to everybody', async () => {
    const dave = await makeUser(server, 'dave');
    const bucket = await bucketOf(alice, to('*', 'Allow'), to(dave, 'Deny'));
    await alice.s3.putBucketAcl({ Bucket: bucket, ACL: 'public-read-write' });
    await each(bucket, dave.credentials, (operation) => (OWN.has(operation) ? 'let in' : 'denied'));
    const bob = await makeUser(server, 'not-dave');
    await each(bucket, bob.credentials, () => 'let in');
  });

  it('deny the owner, but for the policy itself', async () => {
    const bucket = await bucketOf(alice, to('*', 'Deny'));
    for (const one of inOrder(bucket)) {
      // A policy that is replaced denies no more.
      if (one.operation === 'PutBucketPolicy' || one.operation === 'DeleteBucket') continue;
      const isOwn = OWN.has(one.operation) || POLICY.has(one.operation);
      const outcome = await outcomeAs(server, alice.credentials, one);
      expect([one.operation, outcome]).toEqual([one.operation, isOwn ? 'let in' : 'denied']);
    }
  });

  it('deny all but one, and that one only', async () => {
    const bob = await makeUser(server, 'excepted');
    const eve = await makeUser(server, 'not-excepted');
    const { Principal: _, ...deny } = statement('BUCKET', 'Deny');
    const but = { ...deny, NotPrincipal: { AWS: [bob.arn, alice.arn] } };
    const bucket = await bucketOf(alice, to('*', 'Allow'), but);
    await each(bucket, eve.credentials, (operation) => (OWN.has(operation) ? 'let in' : 'denied'));
    await each(bucket, bob.credentials, () => 'let in');
  });
});

const GIVEN: Readonly<Record<Permission, readonly string[]>> = {
  FULL_CONTROL: [],
  READ: [
    ...['HeadBucket', 'ListObjects', 'ListObjectsV2', 'ListObjectVersions'],
    'ListMultipartUploads',
  ],
  READ_ACP: ['GetBucketAcl'],
  WRITE: [
    ...['PutObject', 'PostObject', 'DeleteObject', 'DeleteObjects'],
    ...['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'],
  ],
  WRITE_ACP: ['PutBucketAcl'],
};
const GIVEN_BY_OBJECT: Readonly<Record<Permission, readonly string[]>> = {
  FULL_CONTROL: [],
  READ: ['GetObject', 'HeadObject'],
  READ_ACP: ['GetObjectAcl'],
  WRITE: [],
  WRITE_ACP: ['PutObjectAcl'],
};
const PERMISSIONS = Object.keys(GIVEN) as Permission[];

function givenBy(table: typeof GIVEN, permission: Permission): readonly string[] {
  return permission === 'FULL_CONTROL' ? Object.values(table).flat() : table[permission];
}

const header = {
  ...{ FULL_CONTROL: 'GrantFullControl', READ: 'GrantRead', READ_ACP: 'GrantReadACP' },
  ...{ WRITE: 'GrantWrite', WRITE_ACP: 'GrantWriteACP' },
} as const;

describe.each(PERMISSIONS)('an ACL that gives %s', (permission) => {
  it('of the bucket, to a user', async () => {
    const bob = await makeUser(server, `bucket-${permission}`);
    const bucket = await bucketOf(alice);
    const given = { [header[permission]]: `id=${bob.id}` };
    await alice.s3.putBucketAcl({ Bucket: bucket, ...given });
    const eve = await makeUser(server, `not-bucket-${permission}`);
    const own = (operation: string) => (OWN.has(operation) ? 'let in' : 'denied');
    const allowed = new Set(givenBy(GIVEN, permission));
    for (const one of inOrder(bucket)) {
      const byOther = [one.operation, await outcomeAs(server, eve.credentials, one)];
      expect(byOther).toEqual([one.operation, own(one.operation)]);
      const wanted = allowed.has(one.operation) ? 'let in' : own(one.operation);
      // What takes the ACL away is asked with one that stays.
      const same = {
        [`x-amz-grant-${permission.toLowerCase().replace('_', '-')}`]: `id=${bob.id}`,
      };
      const asked = one.operation === 'PutBucketAcl' ? { ...one, headers: same } : one;
      // Its source is not theirs: what they may write is told by the other writes.
      if (/Copy$|^Copy/.test(one.operation)) continue;
      expect([one.operation, await outcomeAs(server, bob.credentials, asked)]).toEqual([
        one.operation,
        wanted,
      ]);
    }
  });

  it('of an object, to a user by address', async () => {
    if (permission === 'WRITE') return expect(givenBy(GIVEN_BY_OBJECT, permission)).toEqual([]);
    const email = `${permission.toLowerCase()}@example.org`;
    const bob = await makeUser(server, `object-${permission}`, { email });
    const bucket = await bucketOf(alice);
    const given = { [header[permission]]: `emailAddress="${email.toUpperCase()}"` };
    await alice.s3.putObjectAcl({ Bucket: bucket, Key: 'k', ...given });
    const allowed = new Set(givenBy(GIVEN_BY_OBJECT, permission));
    for (const one of inOrder(bucket)) {
      const isLetIn = allowed.has(one.operation) || OWN.has(one.operation);
      const outcome = await outcomeAs(server, bob.credentials, one);
      expect([one.operation, outcome]).toEqual([one.operation, isLetIn ? 'let in' : 'denied']);
    }
  });
});
