import { beforeEach, describe, expect, it } from 'vitest';
import { RootKeys } from '../../../../gateways/encryption/root-keys.ts';
import { ROLES } from '../../../../gateways/identity/decision.ts';
import { S3Directory } from '../../../../gateways/identity/s3-directory.ts';
import { s3KeyRow, s3UserRow } from '../../../../gateways/identity/s3-user.ts';
import { S3Users } from '../../../../gateways/identity/s3-users.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import { ModelIdentities } from '../../../kit/model-identities.ts';

const CTX = { deadlineMs: 1_000, traceparent: null, idempotency: null };

let identities: ModelIdentities;
let wallMs: number;
const clock = { wallMs: () => wallMs };
const roots = new RootKeys([Buffer.alloc(32, 1)]);
let users: S3Users;
let directory: S3Directory;

beforeEach(() => {
  identities = new ModelIdentities();
  wallMs = 1_000_000;
  users = new S3Users({ identities, roots, random: seededRandom(1), clock });
  directory = new S3Directory({ identities, roots, clock });
});

const wanted = (name: string, email: string | null = null) => ({
  ...{ name, displayName: `the ${name}`, email, role: 'read_write' as const },
});

async function pair(user: string, expiresInMs: number | null = null) {
  const { shown, secretAccessKey } = await users.createKey(CTX, { user, expiresInMs });
  return { id: shown.accessKeyId, secretAccessKey };
}

describe('an access key', () => {
  it('has the form of AWS’s, is found with its secret and its user, and only the wrapped secret is kept', async () => {
    const { id: canonical } = await users.createUser(CTX, wanted('ada'));
    const { id, secretAccessKey } = await pair('ada');
    expect(canonical).toMatch(/^[0-9a-f]{64}$/);
    expect(id).toMatch(/^AKIA[A-Z2-7]{16}$/);
    expect(secretAccessKey).toMatch(/^[A-Za-z0-9_-]{40}$/);
    const identity = { id: canonical, displayName: 'the ada', userName: 'ada' };
    expect(await directory.keyOf(id)).toMatchObject({ secretAccessKey, identity });
    const kept = identities.rows('').map(({ text }) => text);
    expect(kept).toHaveLength(2);
    expect(kept.join()).not.toContain(secretAccessKey);
    expect(kept.join()).not.toContain(
      Buffer.from(secretAccessKey, 'base64url').toString('base64').slice(0, 36),
    );
    expect(JSON.stringify(await users.listKeys(CTX))).not.toContain(secretAccessKey);
  });

  it('is good until it is revoked, deleted or over, or its user is gone', async () => {
    await users.createUser(CTX, wanted('ada'));
    const ended = {
      revoked: await pair('ada'),
      deleted: await pair('ada'),
      expired: await pair('ada', 5_000),
      other: await pair('ada'),
    };
    for (const { id } of Object.values(ended)) expect(await directory.keyOf(id)).not.toBeNull();
    await users.revokeKey(CTX, ended.revoked.id);
    expect(await directory.keyOf(ended.revoked.id)).toBeNull();
    expect(await users.revokeKey(CTX, ended.revoked.id)).toMatchObject({ revokedAtMs: 1_000_000 });
    await users.deleteKey(CTX, ended.deleted.id);
    expect(await directory.keyOf(ended.deleted.id)).toBeNull();
    await expect(users.getKey(CTX, ended.deleted.id)).rejects.toMatchObject({ code: 'not_found' });
    wallMs += 4_999;
    expect(await directory.keyOf(ended.expired.id)).not.toBeNull();
    wallMs += 1;
    expect(await directory.keyOf(ended.expired.id)).toBeNull();
    expect(await directory.keyOf(ended.other.id)).not.toBeNull();
    await users.deleteUser(CTX, 'ada');
    expect(await directory.keyOf(ended.other.id)).toBeNull();
    expect(await users.listKeys(CTX)).toEqual([]);
  });

  it('is not good while it or its user is disabled, and is again after that', async () => {
    const { id: canonical } = await users.createUser(CTX, wanted('ada', 'ada@example.org'));
    const [one, two] = [await pair('ada'), await pair('ada')];
    await users.setKeyState(CTX, one.id, 'disabled');
    expect(await directory.keyOf(one.id)).toBeNull();
    expect(await directory.keyOf(two.id)).not.toBeNull();
    await users.setUserState(CTX, 'ada', 'disabled');
    await users.setKeyState(CTX, one.id, 'enabled');
    for (const { id } of [one, two]) expect(await directory.keyOf(id)).toBeNull();
    // Who has given them something, or looks who owns what, finds them still.
    expect(directory.byId(canonical)).not.toBeNull();
    expect(directory.byEmail('ada@example.org')?.id).toBe(canonical);
    await users.setUserState(CTX, 'ada', 'enabled');
    for (const { id, secretAccessKey } of [one, two]) {
      expect(await directory.keyOf(id)).toMatchObject({ secretAccessKey });
    }
    await users.revokeKey(CTX, one.id);
    await expect(users.setKeyState(CTX, one.id, 'enabled')).rejects.toMatchObject({
      code: 'precondition_failed',
    });
    expect(await directory.keyOf(one.id)).toBeNull();
  });

  it('is worth what its user’s role is now', async () => {
    await users.createUser(CTX, wanted('ada'));
    const { id } = await pair('ada');
    await users.changeUser(CTX, 'ada', { role: 'read_only', displayName: 'Ada' });
    const key = await directory.keyOf(id);
    expect(key?.identity).toMatchObject({ displayName: 'Ada', access: { rules: ROLES.read_only } });
  });

  it('is of the user that it was made for, and not of one who is made again under the name', async () => {
    const first = await users.createUser(CTX, wanted('ada'));
    const { id } = await pair('ada');
    const row = identities.row(s3KeyRow(id));
    await users.deleteUser(CTX, 'ada');
    const again = await users.createUser(CTX, wanted('ada'));
    expect(again.id).not.toBe(first.id);
    // As if the end of the key had not been written.
    const now = identities.row(s3KeyRow(id));
    await identities.put(CTX, { ...now, ...row, revision: now?.revision ?? 0 } as never);
    expect(await directory.keyOf(id)).toBeNull();
    expect(await users.listKeys(CTX)).toEqual([]);
  });

  it('opens under its own root key and its own name only', async () => {
    await users.createUser(CTX, wanted('ada'));
    const [one, two] = [await pair('ada'), await pair('ada')];
    const other = new RootKeys([Buffer.alloc(32, 2)]);
    for (const roots of [other, null]) {
      const elsewhere = new S3Directory({ identities, roots, clock });
      await expect(elsewhere.keyOf(one.id)).rejects.toMatchObject({ code: 'not_implemented' });
    }
    const both = new RootKeys([Buffer.alloc(32, 2), Buffer.alloc(32, 1)]);
    const rotated = new S3Directory({ identities, roots: both, clock });
    expect(await rotated.keyOf(one.id)).toMatchObject({ secretAccessKey: one.secretAccessKey });
    const [from, to] = [identities.row(s3KeyRow(one.id)), identities.row(s3KeyRow(two.id))];
    await identities.put(CTX, { ...to, text: from?.text } as never);
    await expect(directory.keyOf(two.id)).rejects.toMatchObject({ code: 'not_implemented' });
  });

  it('is wrapped anew under another root key, and then needs the old one no more', async () => {
    await users.createUser(CTX, wanted('ada'));
    const pairs = [await pair('ada'), await pair('ada'), await pair('ada')];
    await users.revokeKey(CTX, pairs[2]?.id ?? '');
    const [next, old] = [Buffer.alloc(32, 2), Buffer.alloc(32, 1)];
    const both = { identities, roots: new RootKeys([next, old]), random: seededRandom(5), clock };
    expect(await new S3Users(both).rewrap(CTX)).toEqual({ keys: 3, rewrapped: 3 });
    expect(await new S3Users(both).rewrap(CTX)).toEqual({ keys: 3, rewrapped: 0 });
    const without = new S3Directory({ identities, roots: new RootKeys([next]), clock });
    for (const { id, secretAccessKey } of pairs.slice(0, 2)) {
      expect(await without.keyOf(id)).toMatchObject({ secretAccessKey });
    }
    expect(await without.keyOf(pairs[2]?.id ?? '')).toBeNull();
    await expect(directory.keyOf(pairs[0]?.id ?? '')).rejects.toMatchObject({
      code: 'not_implemented',
    });
  });

  it('is told by a current view only, and looked for anew before it is unknown', async () => {
    await users.createUser(CTX, wanted('ada'));
    const { id } = await pair('ada');
    let asked = 0;
    const renewed = identities.renewed.bind(identities);
    identities.renewed = () => {
      asked++;
      return renewed();
    };
    expect(await directory.keyOf(id)).not.toBeNull();
    expect(asked).toBe(0);
    expect(await directory.keyOf(`AKIA${'B'.repeat(16)}`)).toBeNull();
    expect(asked).toBe(1);
    // What has another form is nobody's, without a question.
    for (const odd of ['', 'AKIA', `AKIA${'a'.repeat(16)}`, `AKIA${'A'.repeat(12)}/../`]) {
      expect(await directory.keyOf(odd)).toBeNull();
    }
    expect(asked).toBe(1);
    identities.isConfirmed = false;
    await expect(directory.keyOf(id)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('needs a user and a root key', async () => {
    await expect(pair('nobody')).rejects.toMatchObject({ code: 'not_found' });
    const without = new S3Users({ identities, roots: null, random: seededRandom(1), clock });
    await without.createUser(CTX, wanted('ada'));
    await expect(without.createKey(CTX, { user: 'ada', expiresInMs: null })).rejects.toMatchObject({
      code: 'not_implemented',
    });
  });
});

describe('a user', () => {
  it('has a name and an address that no other has', async () => {
    const { id } = await users.createUser(CTX, wanted('ada', 'Ada@Example.org'));
    await expect(users.createUser(CTX, wanted('ada'))).rejects.toMatchObject({ code: 'duplicate' });
    await expect(users.createUser(CTX, wanted('eve', 'ADA@example.org'))).rejects.toMatchObject({
      code: 'duplicate',
    });
    expect(directory.byEmail('ADA@EXAMPLE.ORG')).toEqual({ id, displayName: 'the ada' });
    expect(directory.byId(id)).toEqual({ id, displayName: 'the ada' });
    await users.deleteUser(CTX, 'ada');
    expect(directory.byEmail('ada@example.org')).toBeNull();
    expect(directory.byId(id)).toBeNull();
    await expect(users.getUser(CTX, 'ada')).rejects.toMatchObject({ code: 'not_found' });
    const eve = await users.createUser(CTX, wanted('eve', 'ada@example.org'));
    expect(directory.byEmail('ada@example.org')?.id).toBe(eve.id);
  });

  it('who asks for an address at the same time as another: one has it, at every moment', async () => {
    for (let round = 0; round < 20; round++) {
      const email = `r${round}@example.org`;
      const names = [0, 1, 2, 3].map((n) => `u${round}-${n}`);
      const made = await Promise.allSettled(
        names.map((name) => users.createUser(CTX, wanted(name, email))),
      );
      const kept = made.filter(({ status }) => status === 'fulfilled');
      expect(kept).toHaveLength(1);
      const [only] = (await users.listUsers(CTX)).filter((user) => user.email === email);
      expect(directory.byEmail(email)?.id).toBe(only?.id);
    }
  });

  it('keeps their address through changes, also against one who asks for it at the same time', async () => {
    const first = await users.createUser(CTX, wanted('ada', 'a@example.org'));
    const row = identities.row(s3UserRow('ada'));
    // Another who did not see them: second in the order of rows, until those of the first are written anew.
    const record = { ...first, id: 'e'.repeat(64), createdAtMs: 1 };
    const text = JSON.stringify({ v: 1, record });
    await identities.put(CTX, { name: s3UserRow('eve'), text, revision: 0 });
    expect(directory.byEmail('a@example.org')?.id).toBe(first.id);
    for (const state of ['disabled', 'enabled'] as const) {
      await users.setUserState(CTX, 'ada', state);
      expect(identities.row(s3UserRow('ada'))?.revision).not.toBe(row?.revision);
      expect(directory.byEmail('a@example.org')?.id).toBe(first.id);
    }
  });

  it('is looked up once per change of the view', async () => {
    const { id } = await users.createUser(CTX, wanted('ada'));
    let scans = 0;
    const rows = identities.rows.bind(identities);
    identities.rows = (prefix) => {
      scans++;
      return rows(prefix);
    };
    for (let i = 0; i < 10; i++) expect(directory.byId(id)).not.toBeNull();
    expect(scans).toBe(1);
    await identities.put(CTX, { name: s3UserRow('ada'), text: '{"v":1}', revision: 1 });
    expect(directory.byId(id)).toBeNull();
    expect(scans).toBe(2);
  });
});
