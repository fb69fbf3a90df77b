import type { Clock } from '../../protocol/clock.ts';
import type { Identities, IdentityRow } from '../../protocol/identities.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Revision } from '../../protocol/types.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import type { RootKeys } from '../encryption/root-keys.ts';
import { mappingsOf } from './certificates.ts';
import type { ClientCertificate } from './client-certificate.ts';
import { type NamedRole, roleNamed } from './role.ts';
import { openS3Secret, s3SecretText } from './s3-secret.ts';
import {
  emailTakenAt,
  isS3KeyId,
  nameOfS3UserRow,
  parseS3KeyRow,
  parseS3UserRow,
  type S3Identity,
  type S3KeyRecord,
  s3KeyRow,
  s3UserRow,
  tenantOfUser,
} from './s3-user.ts';
import { standingOf } from './tenant.ts';

export interface S3DirectoryParts {
  readonly identities: Identities;
  /** Null: this node has none, so it knows no secret. */
  readonly roots: RootKeys | null;
  readonly clock: Pick<Clock, 'wallMs'>;
}

/** An access key that may be used. */
export interface S3Key {
  readonly secretAccessKey: string;
  readonly identity: S3Identity;
}

/** One who has not been deleted. */
export interface KnownS3User {
  readonly id: string;
  readonly displayName: string;
}

interface People {
  readonly byId: ReadonlyMap<string, KnownS3User>;
  readonly byEmail: ReadonlyMap<string, KnownS3User>;
}

const NOBODY: People = { byId: new Map(), byEmail: new Map() };

/**
 * Users of S3 as the node's view of the identities has them (ADR 0038). A key is good only with its user, both in a
 * view that is current; secrets are in clear in memory only.
 */
export class S3Directory {
  readonly #parts: S3DirectoryParts;
  readonly #users = new WeakMap<IdentityRow, KnownIdentity | 'ended'>();
  readonly #keys = new WeakMap<IdentityRow, OpenedKey | 'ended'>();
  #people = NOBODY;
  #peopleOf: Revision = 0;

  constructor(parts: S3DirectoryParts) {
    this.#parts = parts;
  }

  /**
   * Null: there is none, it was revoked, deleted or disabled, its time is over, or its user is gone or disabled. Rejects with `unavailable` where
   * this node cannot tell, and with `not_implemented` where it has not got the root key.
   */
  async keyOf(accessKeyId: string): Promise<S3Key | null> {
    if (!isS3KeyId(accessKeyId)) return null;
    const { identities } = this.#parts;
    const name = s3KeyRow(accessKeyId);
    await identities.current(LIMITS.requestDeadlineMsDefault);
    // It may have been made since.
    if (identities.row(name) === null) await identities.renewed(LIMITS.requestDeadlineMsDefault);
    const row = identities.row(name);
    return row === null ? null : this.#keyIn(accessKeyId, row);
  }

  /**
   * The user that a client's certificate stands for. Null: none of its names is mapped to one, or that one is gone or
   * disabled, or its time is over. Rejects with `unavailable` where this node cannot tell.
   */
  async certified(certificate: ClientCertificate): Promise<S3Identity | null> {
    const { identities, clock } = this.#parts;
    if (certificate.endsAtMs <= clock.wallMs()) return null;
    await identities.current(LIMITS.requestDeadlineMsDefault);
    for (const { s3User, s3UserId } of mappingsOf(identities, certificate)) {
      if (s3User === null) continue;
      if (standingOf(identities, tenantOfUser(s3User)) !== 'active') return null;
      const row = identities.row(s3UserRow(s3User));
      const identity = row === null ? 'ended' : this.#identityOf(row);
      return identity === 'ended' || identity.id !== s3UserId ? null : identity;
    }
    return null;
  }

  /** Resolves when `byId` and `byEmail` say what holds now, or later. Rejects with `unavailable`. */
  renewed(deadlineMs: number): Promise<void> {
    return this.#parts.identities.renewed(deadlineMs);
  }

  /** As the node knew it last; others' users are nobody. */
  byId(id: string, tenant: string = DEFAULT_TENANT): KnownS3User | null {
    return this.#known().byId.get(`${tenant} ${id}`) ?? null;
  }

  byEmail(email: string, tenant: string = DEFAULT_TENANT): KnownS3User | null {
    return this.#known().byEmail.get(`${tenant} ${email.toLowerCase()}`) ?? null;
  }

  #keyIn(id: string, row: IdentityRow): S3Key | null {
    const key = this.#opened(id, row);
    if (key === 'ended') return null;
    const { record, secretAccessKey } = key;
    const { expiresAtMs } = record;
    if (expiresAtMs !== null && expiresAtMs <= this.#parts.clock.wallMs()) return null;
    const { identities } = this.#parts;
    if (standingOf(identities, tenantOfUser(record.userName)) !== 'active') return null;
    const userRow = identities.row(s3UserRow(record.userName));
    const identity = userRow === null ? 'ended' : this.#identityOf(userRow);
    if (identity === 'ended' || identity.id !== record.userId) return null;
    return { secretAccessKey, identity };
  }

  /** Once per row: a change of it is another row. */
  #opened(id: string, row: IdentityRow): OpenedKey | 'ended' {
    const known = this.#keys.get(row);
    if (known !== undefined) return known;
    const record = parseS3KeyRow(row.text);
    const isOver =
      record === null || record.revokedAtMs !== null || (record.disabledAtMs ?? null) !== null;
    const opened = isOver
      ? 'ended'
      : { record, secretAccessKey: s3SecretText(openS3Secret(this.#parts.roots, id, record)) };
    this.#keys.set(row, opened);
    return opened;
  }

  /** Once per row of the user and of their role. */
  #identityOf(row: IdentityRow): S3Identity | 'ended' {
    const known = this.#users.get(row);
    if (known === 'ended') return known;
    const { identities } = this.#parts;
    if (known !== undefined) {
      const isSame =
        known.role.row === null || known.role === roleNamed(identities, known.roleName);
      if (isSame) return known.identity;
    }
    const record = parseS3UserRow(row.text);
    if (record === null || (record.disabledAtMs ?? null) !== null) {
      this.#users.set(row, 'ended');
      return 'ended';
    }
    const userName = nameOfS3UserRow(row.name);
    const { id, displayName, role: roleName } = record;
    const role = roleNamed(identities, roleName);
    const person = { id: `s3:${userName}`, tenant: tenantOfUser(userName), rules: role.rules };
    const access = { ...person, isRevoked: false, expiresAtMs: null };
    const identity = { id, displayName, userName, access };
    this.#users.set(row, { identity, role, roleName });
    return identity;
  }

  #known(): People {
    const { identities } = this.#parts;
    const revision = identities.revision();
    if (revision === this.#peopleOf) return this.#people;
    const byId = new Map<string, KnownS3User>();
    const byEmail = new Map<string, KnownS3User>();
    // An address that two have is his who was there first: the other one is about to be taken away.
    const users = identities.rows(s3UserRow('')).flatMap((row) => {
      const record = parseS3UserRow(row.text);
      const tenant = tenantOfUser(nameOfS3UserRow(row.name));
      return record === null ? [] : [{ ...record, tenant, takenAt: emailTakenAt(row, record) }];
    });
    for (const { id, displayName, email, tenant } of users.sort((a, b) => a.takenAt - b.takenAt)) {
      byId.set(`${tenant} ${id}`, { id, displayName });
      const address = `${tenant} ${email}`;
      if (email !== null && !byEmail.has(address)) byEmail.set(address, { id, displayName });
    }
    this.#people = { byId, byEmail };
    this.#peopleOf = revision;
    return this.#people;
  }
}

interface KnownIdentity {
  readonly identity: S3Identity;
  readonly role: NamedRole;
  readonly roleName: string;
}

interface OpenedKey {
  readonly record: S3KeyRecord;
  readonly secretAccessKey: string;
}
