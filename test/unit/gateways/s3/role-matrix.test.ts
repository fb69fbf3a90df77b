import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RoleResource, RoleRule } from '../../../../gateways/identity/role.ts';
import { Roles } from '../../../../gateways/identity/roles.ts';
import { Tenants } from '../../../../gateways/identity/tenants.ts';
import { ACTIONS } from '../../../../gateways/s3/policy-actions.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';
import { type Ask, asks, statement } from '../../../kit/s3-policies.ts';
import { type S3Server, startS3Server } from '../../../kit/s3-start.ts';
import { CTX, makeUser, outcomeAs, sendAs, type TestUser } from '../../../kit/s3-users.ts';

/** Every operation of S3, by users with roles of their own, on a bucket of alice's: exactly the stated answer. */

let server: S3Server;
let roles: Roles;
let alice: TestUser;
let count = 0;

beforeAll(async () => {
  server = await startS3Server({ allowUnsigned: false });
  roles = new Roles({ identities: server.identities, clock: REAL_CLOCK });
  alice = await makeUser(server, 'alice');
});
afterAll(() => server.stop());

const rule = (
  effect: 'allow' | 'deny',
  actions: string[],
  ...resources: RoleResource[]
): RoleRule => ({
  ...{ effect, actions, resources },
});

async function bucketOf(owner: TestUser): Promise<string> {
  const Bucket = `role-matrix-${++count}`;
  await owner.s3.createBucket({ Bucket, ObjectLockEnabledForBucket: true });
  for (const Key of ['k', 'source']) await owner.s3.putObject({ Bucket, Key, Body: 'text' });
  return Bucket;
}

async function userWith(...rules: RoleRule[]): Promise<TestUser> {
  const name = `user-${++count}`;
  await roles.put(CTX, name, { description: '', rules });
  return makeUser(server, name, { role: name });
}

/** What a role allows here, in words of the test's own: of an object's key, of listing all of the bucket, of the bucket itself. */
interface Says {
  object(action: string, key: string): boolean;
  listing: boolean;
  bucket(action: string): boolean;
  buckets: boolean;
}

const LISTS = /^List(?:Objects|ObjectsV2|ObjectVersions|MultipartUploads)$/;
const READS = /^(?:Get|Head|List)/;
const SETS_UP = /^PutObject(?:Acl|Retention|LegalHold)$/;

function expected(operation: string, says: Says): boolean {
  if (operation === 'ListBuckets') return says.buckets;
  const row = ACTIONS[operation as keyof typeof ACTIONS];
  const isReading = READS.test(operation);
  if (row === null || row.level === 'bucket') {
    if (LISTS.test(operation)) return says.listing;
    return says.bucket(isReading ? 'bucket:read' : 'bucket:write');
  }
  if (!says.object(isReading ? 'data:read' : 'data:write', 'k')) return false;
  if (SETS_UP.test(operation) && !says.object('bucket:write', 'k')) return false;
  // That there is no such upload is told before its source is read.
  return operation !== 'CopyObject' || says.object('data:read', 'source');
}

/** Those that end what the next ones are asked about come last, and those that change who may. */
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

async function each(bucket: string, who: TestUser, isLetIn: (operation: string) => boolean) {
  let cells = 0;
  for (const one of inOrder(bucket)) {
    const cell = [one.operation, await outcomeAs(server, who.credentials, one)];
    expect(cell).toEqual([one.operation, isLetIn(one.operation) ? 'let in' : 'denied']);
    cells++;
  }
  expect(cells).toBe(Object.keys(ACTIONS).length);
}

const NOTHING: Says = { object: () => false, listing: false, bucket: () => false, buckets: false };
const isData = (action: string) => action.startsWith('data:');

const CASES: Readonly<Record<string, { rules(bucket: string): RoleRule[]; says: Says }>> = {
  'everything of the bucket': {
    rules: (bucket) => [rule('allow', ['*'], { bucket })],
    says: { object: () => true, listing: true, bucket: () => true, buckets: true },
  },
  'everything of buckets that begin so': {
    rules: (bucket) => [rule('allow', ['*'], { buckets: bucket.slice(0, -1) })],
    says: { object: () => true, listing: true, bucket: () => true, buckets: true },
  },
  'everything, by a rule for all there is': {
    rules: () => [rule('allow', ['data:*', 'bucket:*'], { everything: true })],
    says: { object: () => true, listing: true, bucket: () => true, buckets: true },
  },
  'reading its objects': {
    rules: (bucket) => [rule('allow', ['data:read'], { bucket })],
    says: { ...NOTHING, object: (action) => action === 'data:read', listing: true },
  },
  'its objects': {
    rules: (bucket) => [rule('allow', ['data:*'], { bucket })],
    says: { ...NOTHING, object: isData, listing: true },
  },
  'writing its objects': {
    rules: (bucket) => [rule('allow', ['data:write'], { bucket })],
    says: { ...NOTHING, object: (action) => action === 'data:write' },
  },
  'seeing how it is set up': {
    rules: (bucket) => [rule('allow', ['bucket:read'], { bucket })],
    says: { ...NOTHING, bucket: (action) => action === 'bucket:read', buckets: true },
  },
  'setting it up': {
    rules: (bucket) => [rule('allow', ['bucket:*'], { bucket })],
    says: { ...NOTHING, bucket: () => true, buckets: true },
  },
  'objects that begin so': {
    rules: (bucket) => [rule('allow', ['*'], { bucket, objects: 'k' })],
    says: { ...NOTHING, object: (_, key) => key === 'k', buckets: true },
  },
  'objects that do not begin so': {
    rules: (bucket) => [rule('allow', ['*'], { bucket, objects: 'other/' })],
    says: { ...NOTHING, buckets: true },
  },
  'all but writing one object': {
    rules: (bucket) => [
      rule('allow', ['*'], { everything: true }),
      rule('deny', ['data:write'], { bucket, objects: 'k' }),
    ],
    says: {
      ...{ listing: true, bucket: () => true, buckets: true },
      object: (action, key) => action !== 'data:write' || key !== 'k',
    },
  },
  'all but reading one object': {
    rules: (bucket) => [
      rule('allow', ['*'], { everything: true }),
      rule('deny', ['data:read'], { bucket, objects: 'k' }),
    ],
    says: {
      ...{ listing: false, bucket: () => true, buckets: true },
      object: (action, key) => action !== 'data:read' || key !== 'k',
    },
  },
  'another bucket, whose name begins so': {
    rules: (bucket) => [rule('allow', ['*'], { bucket: `${bucket}0` })],
    says: { ...NOTHING, buckets: true },
  },
  'keys, which are no buckets': {
    rules: () => [rule('allow', ['*'], { keys: '' }, { cluster: true })],
    says: NOTHING,
  },
};

describe.each(Object.entries(CASES))('a role that allows %s', (_, { rules, says }) => {
  it('gives that and nothing else', async () => {
    const bucket = await bucketOf(alice);
    const who = await userWith(...rules(bucket));
    await each(bucket, who, (operation) => expected(operation, says));
  });
});

describe('policies and ACLs beside it', () => {
  const everything = { object: () => true, listing: true, bucket: () => true, buckets: true };
  const POLICY = new Set(['GetBucketPolicy', 'PutBucketPolicy', 'DeleteBucketPolicy']);
  const OWN = new Set(['ListBuckets', 'CreateBucket']);
  const govern = (Bucket: string, ...Statement: object[]) => {
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
    return alice.s3.putBucketPolicy({ Bucket, Policy });
  };
  const of = (bucket: string, Effect: string) =>
    JSON.parse(JSON.stringify(statement('BUCKET', Effect)).replaceAll('BUCKET', bucket)) as object;

  it('a policy that denies wins over a role that allows, but for the policy itself', async () => {
    const bucket = await bucketOf(alice);
    const who = await userWith(rule('allow', ['*'], { bucket }));
    await govern(bucket, of(bucket, 'Deny'));
    for (const one of inOrder(bucket)) {
      // A policy that is replaced denies no more.
      if (one.operation === 'PutBucketPolicy' || one.operation === 'DeleteBucket') continue;
      const isOwn = OWN.has(one.operation) || POLICY.has(one.operation);
      const outcome = await outcomeAs(server, who.credentials, one);
      expect([one.operation, outcome]).toEqual([one.operation, isOwn ? 'let in' : 'denied']);
    }
  });

  it('a role that denies wins over a policy and an ACL that allow', async () => {
    const bucket = await bucketOf(alice);
    const who = await userWith(rule('deny', ['*'], { bucket }));
    await alice.s3.putBucketAcl({ Bucket: bucket, ACL: 'public-read-write' });
    await alice.s3.putObjectAcl({ Bucket: bucket, Key: 'k', ACL: 'public-read' });
    await govern(bucket, of(bucket, 'Allow'));
    await each(bucket, who, () => false);
  });

  it('where a role says nothing, a policy gives what it allows', async () => {
    const bucket = await bucketOf(alice);
    const who = await userWith(rule('allow', ['*'], { keys: '' }));
    await govern(bucket, of(bucket, 'Allow'));
    await each(bucket, who, (operation) => !OWN.has(operation));
  });

  it('where a role says nothing, an ACL gives what it grants', async () => {
    const bucket = await bucketOf(alice);
    const who = await userWith(rule('allow', ['*'], { keys: '' }));
    await alice.s3.putBucketAcl({ Bucket: bucket, GrantRead: `id=${who.id}` });
    await alice.s3.putObjectAcl({ Bucket: bucket, Key: 'k', GrantRead: `id=${who.id}` });
    const READ = ['HeadBucket', 'ListObjects', 'ListObjectsV2', 'ListObjectVersions'];
    const given = new Set([...READ, 'ListMultipartUploads', 'GetObject', 'HeadObject']);
    const before = inOrder(bucket).filter(({ operation }) => !LAST.includes(operation));
    for (const one of before) {
      const outcome = await outcomeAs(server, who.credentials, one);
      const wanted = given.has(one.operation) ? 'let in' : 'denied';
      expect([one.operation, outcome]).toEqual([one.operation, wanted]);
    }
  });

  it('owning something is nothing beside a role of one’s own', async () => {
    const everywhere = rule('allow', ['*'], { everything: true });
    const who = await userWith(everywhere);
    const bucket = await bucketOf(who);
    await roles.put(CTX, who.name, {
      description: '',
      rules: [rule('allow', ['*'], { keys: '' })],
    });
    await each(bucket, who, () => false);
    await roles.put(CTX, who.name, { description: '', rules: [everywhere] });
    await each(bucket, who, (operation) => expected(operation, everything));
  });
});

describe('a change of a role', () => {
  it('counts at the next request, and a role that is deleted allows nothing', async () => {
    const bucket = await bucketOf(alice);
    const who = await userWith(rule('allow', ['data:*'], { bucket }));
    const ask = (method: string) =>
      outcomeAs(server, who.credentials, {
        ...{ operation: method, method, path: `/${bucket}/k`, headers: {}, body: 'x' },
      });
    expect([await ask('GET'), await ask('PUT')]).toEqual(['let in', 'let in']);
    await roles.put(CTX, who.name, {
      description: '',
      rules: [rule('allow', ['data:read'], { bucket })],
    });
    expect([await ask('GET'), await ask('PUT')]).toEqual(['let in', 'denied']);
    await roles.delete(CTX, who.name);
    expect([await ask('GET'), await ask('PUT')]).toEqual(['denied', 'denied']);
    // What they have written is theirs, and counts again with a built-in role.
    await server.users.changeUser(CTX, who.name, { role: 'read_write' });
    expect([await ask('GET'), await ask('PUT')]).toEqual(['let in', 'denied']);
    await expect(
      server.users.changeUser(CTX, who.name, { role: 'nobody-made-it' }),
    ).rejects.toThrow('role must be');
  });
});

describe('listings', () => {
  it('are of the prefix that is asked for', async () => {
    const bucket = await bucketOf(alice);
    const who = await userWith(
      rule('allow', ['data:*'], { bucket, objects: '2026/' }),
      rule('deny', ['data:*'], { bucket, objects: '2026/secret/' }),
    );
    const list = (prefix: string) =>
      outcomeAs(server, who.credentials, {
        ...{ operation: 'ListObjectsV2', method: 'GET', headers: {}, body: '' },
        path: `/${bucket}?list-type=2&prefix=${encodeURIComponent(prefix)}`,
      });
    expect(await list('2026/01/')).toBe('let in');
    for (const prefix of ['', '2', '2025/', '2026/', '2026/secret/', '2026/secret/x']) {
      expect([prefix, await list(prefix)]).toEqual([prefix, 'denied']);
    }
  });

  it('of buckets show those that the role may look at, page by page', async () => {
    const names = [];
    for (let i = 0; i < 5; i++) names.push(await bucketOf(alice));
    const [, second, , fourth] = names as [string, string, string, string];
    const who = await userWith(
      rule('allow', ['bucket:read'], { bucket: second }, { bucket: fourth }),
    );
    const seen: (string | undefined)[] = [];
    let token: string | undefined;
    do {
      const sent = token === undefined ? {} : { ContinuationToken: token };
      const page = await who.s3.listBuckets({ MaxBuckets: 1, ...sent });
      expect(page.Buckets?.length ?? 0).toBeLessThanOrEqual(1);
      seen.push(...(page.Buckets ?? []).map(({ Name }) => Name));
      token = page.ContinuationToken;
    } while (token !== undefined);
    expect(seen).toEqual([second, fourth]);
  });

  it('nobody makes a bucket by putting into it, but by their role', async () => {
    // Where nobody has to sign, a put makes its bucket: whoever signs all the same may what their role allows.
    const open = await startS3Server({ allowUnsigned: true });
    try {
      const book = new Roles({ identities: open.identities, clock: REAL_CLOCK });
      const put = async (name: string, rules: RoleRule[]) => {
        await book.put(CTX, name, { description: '', rules });
        const { credentials } = await makeUser(open, name, { role: name });
        const one = { operation: 'PutObject', method: 'PUT', path: '/s3/made/k' };
        return sendAs({ url: open.httpUrl }, credentials, { ...one, headers: {}, body: 'x' });
      };
      expect((await put('keys', [rule('allow', ['*'], { keys: '' })])).status).toBe(403);
      const objects = await put('objects', [rule('allow', ['data:*'], { bucket: 'made' })]);
      expect(objects.text).toContain('NoSuchBucket');
      const settings = await put('settings', [rule('allow', ['bucket:*'], { bucket: 'made' })]);
      expect(settings.status).toBe(403);
      expect((await put('both', [rule('allow', ['*'], { bucket: 'made' })])).status).toBe(200);
      const again = await put('again', [rule('allow', ['data:*'], { bucket: 'made' })]);
      expect(again.status).toBe(200);
    } finally {
      await open.stop();
    }
  });

  it('a copy is read with the right to its source', async () => {
    const [from, to] = [await bucketOf(alice), await bucketOf(alice)];
    const copy = async (who: TestUser) =>
      outcomeAs(server, who.credentials, {
        ...{ operation: 'CopyObject', method: 'PUT', path: `/${to}/copied`, body: '' },
        headers: { 'x-amz-copy-source': `${from}/source` },
      });
    const writer = rule('allow', ['data:*'], { bucket: to });
    expect(await copy(await userWith(writer))).toBe('denied');
    expect(await copy(await userWith(writer, rule('allow', ['data:read'], { bucket: from })))).toBe(
      'let in',
    );
    const without = rule('deny', ['data:read'], { bucket: from, objects: 'sou' });
    expect(await copy(await userWith(rule('allow', ['*'], { everything: true }), without))).toBe(
      'denied',
    );
  });
});

describe('users of a tenant', () => {
  it('may what their role allows of the buckets of their tenant, and of no others', async () => {
    const tenants = new Tenants({ identities: server.identities, clock: REAL_CLOCK });
    await tenants.create(CTX, 'acme');
    const inTenant = { ...server, users: server.users.ofTenant('acme') };
    const make = async (name: string, resource: RoleResource) => {
      await roles.put(CTX, name, { description: '', rules: [rule('allow', ['*'], resource)] });
      return makeUser(inTenant, name, { role: name });
    };
    const all = await make('all-of-acme', { everything: true });
    const other = await make('of-umbrella', { everything: true, tenant: 'umbrella' });
    const alices = await bucketOf(alice);
    await all.s3.createBucket({ Bucket: 'theirs' });
    await all.s3.putObject({ Bucket: 'theirs', Key: 'k', Body: 'x' });
    const get = (who: TestUser, bucket: string) =>
      sendAs(server, who.credentials, {
        ...{ operation: 'GetObject', method: 'GET', path: `/${bucket}/k`, headers: {}, body: '' },
      });
    expect((await get(all, 'theirs')).text).toBe('x');
    expect((await get(all, alices)).text).toContain('NoSuchBucket');
    expect((await get(alice, 'theirs')).text).toContain('NoSuchBucket');
    expect((await get(other, 'theirs')).text).toContain('AccessDenied');
    expect((await all.s3.listBuckets()).Buckets?.map(({ Name }) => Name)).toEqual(['theirs']);
  });
});
