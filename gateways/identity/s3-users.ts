import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Identities, IdentityRow } from '../../protocol/identities.ts';
import type { Random } from '../../protocol/random.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import type { RootKeys } from '../encryption/root-keys.ts';
import { noSuchRole } from './api-keys.ts';
import { isRoleThere } from './role.ts';
import { drawS3Secret, openS3Secret, s3SecretText, wrapS3Secret } from './s3-secret.ts';
import {
  checkRoom,
  countOf,
  ownName,
  type ShownS3Key,
  type ShownS3User,
  shownKey,
  shownUser,
} from './s3-shown.ts';
import {
  drawCanonicalId,
  drawS3KeyId,
  emailTakenAt,
  encodeS3Row,
  fullUserName,
  idOfS3KeyRow,
  isS3KeyId,
  isS3UserName,
  nameOfS3UserRow,
  parseS3KeyRow,
  parseS3UserRow,
  type S3KeyRecord,
  type S3UserRecord,
  s3KeyRow,
  s3UserRow,
  tenantOfUser,
} from './s3-user.ts';

export type S3State = 'enabled' | 'disabled';

export interface S3UserChange {
  readonly displayName?: string;
  readonly role?: string;
}

export interface WantedS3User {
  readonly name: string;
  readonly displayName: string;
  readonly email: string | null;
  readonly role: string;
}

interface Parts {
  readonly identities: Identities;
  /** Null: this node has none, and makes no keys. */
  readonly roots: RootKeys | null;
  readonly random: Random;
  readonly clock: Pick<Clock, 'wallMs'>;
}

const ATTEMPTS_MAX = 16;
/** Each change waits until it holds everywhere. */
const REWRAPPED_AT_ONCE = 256;

/** Makes, shows and ends users of S3 and their access keys. What is answered holds on every node from then on. */
export class S3Users {
  readonly #parts: Parts;
  readonly #tenant: string;

  constructor(parts: Parts, tenant: string = DEFAULT_TENANT) {
    this.#parts = parts;
    this.#tenant = tenant;
  }

  /** Those of another tenant: what is others' is not there. */
  ofTenant(tenant: string): S3Users {
    return tenant === this.#tenant ? this : new S3Users(this.#parts, tenant);
  }

  #rowName(name: string): string {
    return s3UserRow(fullUserName(this.#tenant, name));
  }

  #isOwn(fullName: string): boolean {
    return tenantOfUser(fullName) === this.#tenant;
  }

  /** Rejects with `duplicate` where the name or the address is another's, and with `too_large`. */
  async createUser(
    ctx: RequestContext,
    { name, displayName, email, role }: WantedS3User,
  ): Promise<ShownS3User> {
    const { identities, random, clock } = this.#parts;
    const users = await this.listUsers(ctx);
    checkRoom(countOf(identities.rows(s3UserRow('')), parseS3UserRow), 's3UsersMax');
    if (!isRoleThere(identities, role)) throw noSuchRole(role);
    const address = email?.toLowerCase() ?? null;
    if (address !== null && users.some((user) => user.email === address)) throw emailTaken();
    const id = drawCanonicalId(random);
    const record = { id, displayName, email: address, role, createdAtMs: clock.wallMs() };
    const before = identities.row(this.#rowName(name));
    const isFree = before === null || parseS3UserRow(before.text) === null;
    const row = {
      name: this.#rowName(name),
      text: encodeS3Row(record),
      revision: before?.revision ?? 0,
    };
    if (!isFree || !(await identities.put(ctx, row))) {
      throw new AppError('duplicate', 'there is a user of this name');
    }
    if (address !== null) await this.#keepFirst(ctx, name, record);
    return shownUser(name, record);
  }

  /**
   * Two may have asked for one address at once. Their rows are in one order: whoever is second sees the first one here, and
   * goes away again.
   */
  async #keepFirst(ctx: RequestContext, name: string, { id, email }: S3UserRecord): Promise<void> {
    const { identities } = this.#parts;
    await identities.renewed(ctx.deadlineMs);
    const own = identities.row(this.#rowName(name));
    const record = own === null ? null : parseS3UserRow(own.text);
    if (own === null || record?.id !== id) return;
    const takenAt = emailTakenAt(own, record);
    const isSecond = identities.rows(s3UserRow('')).some((row) => {
      const other = parseS3UserRow(row.text);
      if (!this.#isOwn(nameOfS3UserRow(row.name))) return false;
      return other?.email === email && emailTakenAt(row, other) < takenAt;
    });
    if (!isSecond) return;
    await identities.put(ctx, { ...own, text: encodeS3Row(null) });
    throw emailTaken();
  }

  /** By name. */
  async listUsers(ctx: RequestContext): Promise<readonly ShownS3User[]> {
    const { identities } = this.#parts;
    await identities.renewed(ctx.deadlineMs);
    return identities.rows(s3UserRow('')).flatMap((row) => {
      const record = parseS3UserRow(row.text);
      const fullName = nameOfS3UserRow(row.name);
      const isShown = record !== null && this.#isOwn(fullName);
      return isShown ? [shownUser(ownName(fullName), record)] : [];
    });
  }

  async getUser(ctx: RequestContext, name: string): Promise<ShownS3User> {
    const { identities } = this.#parts;
    await identities.renewed(ctx.deadlineMs);
    return shownUser(name, userIn(identities, this.#tenant, name));
  }

  /** Once this has resolved, every node judges them by what they are now. */
  changeUser(ctx: RequestContext, name: string, change: S3UserChange): Promise<ShownS3User> {
    return this.#changeUser(ctx, name, (before) => {
      const { displayName = before.displayName, role = before.role } = change;
      const isGiven = role !== before.role;
      if (isGiven && !isRoleThere(this.#parts.identities, role)) throw noSuchRole(role);
      const isSame = displayName === before.displayName && role === before.role;
      return isSame ? before : { ...before, displayName, role };
    });
  }

  /** Disabled, none of their keys is taken by any node; what they own and were given stays theirs. */
  setUserState(ctx: RequestContext, name: string, state: S3State): Promise<ShownS3User> {
    const nowMs = this.#parts.clock.wallMs();
    return this.#changeUser(ctx, name, (before) => inState(before, state, nowMs));
  }

  async #changeUser(
    ctx: RequestContext,
    name: string,
    change: (before: S3UserRecord) => S3UserRecord,
  ): Promise<ShownS3User> {
    const { identities } = this.#parts;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      await identities.renewed(ctx.deadlineMs);
      const before = userIn(identities, this.#tenant, name);
      const row = identities.row(this.#rowName(name)) as IdentityRow;
      const next = change(before);
      if (next === before) {
        // Whoever changed it may not have waited yet.
        await identities.settled();
        return shownUser(name, next);
      }
      const text = encodeS3Row({ ...next, emailRevision: emailTakenAt(row, before) });
      if (await identities.put(ctx, { ...row, text })) return shownUser(name, next);
    }
    throw new AppError('conflict', 'others are changing this user');
  }

  /** Once this has resolved, no node takes any of their keys. What they own stays, and is the administrator's to see to. */
  async deleteUser(ctx: RequestContext, name: string): Promise<void> {
    const { identities } = this.#parts;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      await identities.renewed(ctx.deadlineMs);
      userIn(identities, this.#tenant, name);
      const row = identities.row(this.#rowName(name)) as IdentityRow;
      if (!(await identities.put(ctx, { ...row, text: encodeS3Row(null) }))) continue;
      const keys = identities.rows(s3KeyRow(''));
      const own = keys.filter(
        ({ text }) => parseS3KeyRow(text)?.userName === fullUserName(this.#tenant, name),
      );
      await Promise.all(own.map((key) => identities.put(ctx, { ...key, text: encodeS3Row(null) })));
      return;
    }
    throw new AppError('conflict', 'others are changing this user');
  }

  /** The secret is shown this once. Rejects with `not_found` without such a user, `not_implemented` without a root key. */
  async createKey(
    ctx: RequestContext,
    { user, expiresInMs }: { readonly user: string; readonly expiresInMs: number | null },
  ): Promise<{ readonly secretAccessKey: string; readonly shown: ShownS3Key }> {
    const { identities, random, clock } = this.#parts;
    const roots = this.#rootsOf();
    await identities.renewed(ctx.deadlineMs);
    checkRoom(countOf(identities.rows(s3KeyRow('')), parseS3KeyRow), 's3AccessKeysMax');
    const { id: userId } = userIn(identities, this.#tenant, user);
    for (;;) {
      const accessKeyId = drawS3KeyId(random);
      const secret = drawS3Secret(random);
      const createdAtMs = clock.wallMs();
      const record: S3KeyRecord = {
        ...{ userName: fullUserName(this.#tenant, user), userId, createdAtMs, revokedAtMs: null },
        ...wrapS3Secret(roots, accessKeyId, secret, random),
        expiresAtMs: expiresInMs === null ? null : createdAtMs + expiresInMs,
      };
      const row = { name: s3KeyRow(accessKeyId), text: encodeS3Row(record), revision: 0 };
      if (!(await identities.put(ctx, row))) continue;
      return { secretAccessKey: s3SecretText(secret), shown: shownKey(accessKeyId, record) };
    }
  }

  /** Of users that are there, by id. */
  async listKeys(ctx: RequestContext): Promise<readonly ShownS3Key[]> {
    const { identities } = this.#parts;
    await identities.renewed(ctx.deadlineMs);
    return identities.rows(s3KeyRow('')).flatMap((row) => {
      const record = parseS3KeyRow(row.text);
      const hasUser = record !== null && this.#isOwn(record.userName) && isOf(identities, record);
      return hasUser ? [shownKey(idOfS3KeyRow(row.name), record)] : [];
    });
  }

  async getKey(ctx: RequestContext, id: string): Promise<ShownS3Key> {
    return shownKey(id, (await this.#key(ctx, id)).record);
  }

  /** Once this has resolved, no node takes the key. Of one that is revoked already too. */
  async revokeKey(ctx: RequestContext, id: string): Promise<ShownS3Key> {
    const revokedAtMs = this.#parts.clock.wallMs();
    const record = await this.#change(ctx, id, (before) =>
      before.revokedAtMs === null ? { ...before, revokedAtMs } : before,
    );
    return shownKey(id, record as S3KeyRecord);
  }

  /**
   * Disabled, no node takes it until it is enabled again: so it can be seen that nobody needs it any more. Rejects with
   * `precondition_failed` where it was revoked.
   */
  async setKeyState(ctx: RequestContext, id: string, state: S3State): Promise<ShownS3Key> {
    const nowMs = this.#parts.clock.wallMs();
    const record = await this.#change(ctx, id, (before) => {
      if (before.revokedAtMs === null) return inState(before, state, nowMs);
      throw new AppError('precondition_failed', 'this key has been revoked, for good');
    });
    return shownKey(id, record as S3KeyRecord);
  }

  /** The same, and it is shown no more. */
  async deleteKey(ctx: RequestContext, id: string): Promise<void> {
    await this.#change(ctx, id, () => null);
  }

  /** Wraps every secret under the newest root key; the old one may go then. Rejects where this node has not got it. */
  async rewrap(
    ctx: RequestContext,
  ): Promise<{ readonly keys: number; readonly rewrapped: number }> {
    const { random } = this.#parts;
    const roots = this.#rootsOf();
    const { identities } = this.#parts;
    await identities.renewed(ctx.deadlineMs);
    // Of all tenants.
    const keys = identities.rows(s3KeyRow('')).flatMap((row) => {
      const record = parseS3KeyRow(row.text);
      const isKept = record !== null && isOf(identities, record);
      return isKept ? [{ id: idOfS3KeyRow(row.name), tenant: tenantOfUser(record.userName) }] : [];
    });
    let rewrapped = 0;
    const one = async (id: string, tenant: string): Promise<void> => {
      let isChanged = false;
      await this.ofTenant(tenant).#change(ctx, id, (before) => {
        isChanged = before.rootId !== roots.currentId;
        if (!isChanged) return before;
        const secret = openS3Secret(roots, id, before);
        return { ...before, ...wrapS3Secret(roots, id, secret, random) };
      });
      if (isChanged) rewrapped++;
    };
    for (let at = 0; at < keys.length; at += REWRAPPED_AT_ONCE) {
      const some = keys.slice(at, at + REWRAPPED_AT_ONCE);
      await Promise.all(some.map(({ id, tenant }) => one(id, tenant)));
    }
    return { keys: keys.length, rewrapped };
  }

  async #change(
    ctx: RequestContext,
    id: string,
    change: (before: S3KeyRecord) => S3KeyRecord | null,
  ): Promise<S3KeyRecord | null> {
    const { identities } = this.#parts;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const { row, record } = await this.#key(ctx, id);
      const next = change(record);
      if (next === record) {
        // Whoever changed it may not have waited yet.
        await identities.settled();
        return next;
      }
      if (await identities.put(ctx, { ...row, text: encodeS3Row(next) })) return next;
    }
    throw new AppError('conflict', 'others are changing this key');
  }

  async #key(
    ctx: RequestContext,
    id: string,
  ): Promise<{ readonly row: IdentityRow; readonly record: S3KeyRecord }> {
    const { identities } = this.#parts;
    await identities.renewed(ctx.deadlineMs);
    const row = isS3KeyId(id) ? identities.row(s3KeyRow(id)) : null;
    const record = row === null ? null : parseS3KeyRow(row.text);
    const isOwn = record !== null && this.#isOwn(record.userName);
    if (row === null || !isOwn || !isOf(identities, record)) {
      throw new AppError('not_found', 'there is no such access key');
    }
    return { row, record };
  }

  #rootsOf(): RootKeys {
    const { roots } = this.#parts;
    if (roots !== null) return roots;
    throw new AppError(
      'not_implemented',
      'this node has no root key (encryption-root-key) to keep the secret under',
    );
  }
}

function userIn(identities: Identities, tenant: string, name: string): S3UserRecord {
  const fullName = fullUserName(tenant, name);
  const row = isS3UserName(name) ? identities.row(s3UserRow(fullName)) : null;
  const record = row === null ? null : parseS3UserRow(row.text);
  if (record === null) throw new AppError('not_found', 'there is no such user');
  return record;
}

function isOf(identities: Identities, { userName, userId }: S3KeyRecord): boolean {
  const row = identities.row(s3UserRow(userName));
  return row !== null && parseS3UserRow(row.text)?.id === userId;
}

/** The same record where it is in that state already. */
function inState<R extends S3UserRecord | S3KeyRecord>(
  before: R,
  state: S3State,
  nowMs: number,
): R {
  const isDisabled = (before.disabledAtMs ?? null) !== null;
  if (isDisabled === (state === 'disabled')) return before;
  return { ...before, disabledAtMs: state === 'disabled' ? nowMs : null };
}

function emailTaken(): AppError {
  return new AppError('duplicate', 'another user has this address');
}
