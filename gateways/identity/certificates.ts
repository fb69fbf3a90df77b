import { createHash } from 'node:crypto';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Identities } from '../../protocol/identities.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { keyRowName, parseKeyRecord } from './api-key.ts';
import type { ClientCertificate } from './client-certificate.ts';
import { parseS3UserRow, s3UserRow } from './s3-user.ts';

/**
 * Whom a client's certificate stands for: a row for each name, by the hash of the name. It may what the API key may
 * that it stands in for, and on S3 what the user may, and no longer than they.
 */
export interface CertificateRecord {
  /** As ClientCertificate has it. */
  readonly name: string;
  /** Of an API key; null: none. */
  readonly keyId: string | null;
  /** Null: none. */
  readonly s3User: string | null;
  /** Of the user: one who is made again under the name is another one. */
  readonly s3UserId: string | null;
  /** Unix ms. */
  readonly createdAtMs: number;
}

export interface ShownCertificate {
  readonly id: string;
  readonly name: string;
  readonly keyId: string | null;
  readonly s3User: string | null;
  readonly createdAtMs: number;
}

const PREFIX = 'certificate/';
const ID_CHARS = 32;
const ID = /^[0-9a-f]{32}$/;
const NAME = /^(?:subject|dns|uri|email|ip):[^\p{Cc}]{1,1000}$/u;

export function certificateIdOf(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, ID_CHARS);
}

/** Null: it was deleted. Throws where it is no such row: only this program writes them. */
export function parseCertificateRecord(text: string): CertificateRecord | null {
  const { v, record } = JSON.parse(text) as { v: number; record?: CertificateRecord };
  if (v !== 1) throw new Error(`a certificate's row of version ${v}`);
  return record ?? null;
}

function encode(record: CertificateRecord | null): string {
  return JSON.stringify(record === null ? { v: 1 } : { v: 1, record });
}

/** Those of its names that somebody mapped, in the certificate's order. In the view as it is. */
export function mappingsOf(
  identities: Pick<Identities, 'row'>,
  { names }: ClientCertificate,
): readonly CertificateRecord[] {
  const found: CertificateRecord[] = [];
  for (const name of names) {
    const row = identities.row(PREFIX + certificateIdOf(name));
    const record = row === null ? null : parseCertificateRecord(row.text);
    if (record !== null && record.name === name) found.push(record);
  }
  return found;
}

export interface WantedCertificate {
  readonly name: string;
  readonly keyId: string | null;
  readonly s3User: string | null;
}

/** Makes, shows and deletes mappings. What is answered holds on every node from then on. */
export class Certificates {
  readonly #identities: Identities;
  readonly #clock: Pick<Clock, 'wallMs'>;

  constructor(identities: Identities, clock: Pick<Clock, 'wallMs'>) {
    this.#identities = identities;
    this.#clock = clock;
  }

  /** Rejects with `conflict` where the name is mapped already. */
  async create(ctx: RequestContext, wanted: WantedCertificate): Promise<ShownCertificate> {
    const { name, keyId, s3User } = wanted;
    if (!NAME.test(name)) {
      throw new AppError(
        'invalid_argument',
        'name must be subject:, dns:, uri:, email: or ip: and a name',
      );
    }
    if (keyId === null && s3User === null) {
      throw new AppError('invalid_argument', 'key, s3_user or both are needed: whom it stands for');
    }
    const identities = this.#identities;
    if ((await this.list(ctx)).length >= LIMITS.apiKeysMax) {
      const details = { limit: 'apiKeysMax', max: LIMITS.apiKeysMax };
      throw new AppError('too_large', 'there are as many mappings as there may be keys', {
        details,
      });
    }
    const s3UserId = this.#check(keyId, s3User);
    const record = { name, keyId, s3User, s3UserId, createdAtMs: this.#clock.wallMs() };
    const rowName = PREFIX + certificateIdOf(name);
    const before = identities.row(rowName);
    const isTaken = before !== null && parseCertificateRecord(before.text) !== null;
    const row = { name: rowName, text: encode(record), revision: before?.revision ?? 0 };
    if (isTaken || !(await identities.put(ctx, row))) {
      throw new AppError('conflict', 'this name is mapped already');
    }
    return shown(record);
  }

  /** By id. */
  async list(ctx: RequestContext): Promise<readonly ShownCertificate[]> {
    await this.#identities.renewed(ctx.deadlineMs);
    return this.#identities.rows(PREFIX).flatMap(({ text }) => {
      const record = parseCertificateRecord(text);
      return record === null ? [] : [shown(record)];
    });
  }

  /** Once this has resolved, no node takes the certificate for it. */
  async delete(ctx: RequestContext, id: string): Promise<void> {
    const identities = this.#identities;
    await identities.renewed(ctx.deadlineMs);
    const row = ID.test(id) ? identities.row(PREFIX + id) : null;
    if (row === null || parseCertificateRecord(row.text) === null) {
      throw new AppError('not_found', 'there is no such mapping');
    }
    if (await identities.put(ctx, { ...row, text: encode(null) })) return;
    throw new AppError('conflict', 'others are changing this mapping');
  }

  /** The id of the user. Whom it names has to be there: a slip would be found only when nobody gets in. */
  #check(keyId: string | null, s3User: string | null): string | null {
    const key = keyId === null ? null : this.#identities.row(keyRowName(keyId));
    if (keyId !== null && (key === null || parseKeyRecord(key.text) === null)) {
      throw new AppError('not_found', 'there is no such key');
    }
    if (s3User === null) return null;
    const row = this.#identities.row(s3UserRow(s3User));
    const user = row === null ? null : parseS3UserRow(row.text);
    if (user === null) throw new AppError('not_found', 'there is no such user of S3');
    return user.id;
  }
}

function shown({ name, keyId, s3User, createdAtMs }: CertificateRecord): ShownCertificate {
  return { id: certificateIdOf(name), name, keyId, s3User, createdAtMs };
}
