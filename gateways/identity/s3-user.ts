import type { IdentityRow } from '../../protocol/identities.ts';
import type { Random } from '../../protocol/random.ts';
import type { Revision } from '../../protocol/types.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import type { Principal } from './decision.ts';

/** Users of S3 and their access keys, as the meta group keeps them: a row each. */

/** Who a request of S3's comes from. */
export interface S3Identity {
  /** Canonical id, 64 hex digits: what ACLs and owners name. */
  readonly id: string;
  readonly displayName: string;
  /** Null: the account itself, whose keys are configured. */
  readonly userName: string | null;
  /** What their role allows: a built-in one at most, one of one's own gives it. */
  readonly access: Principal;
}

export interface S3UserRecord {
  /** Canonical id. Drawn: a user that is made again under a name is another one. */
  readonly id: string;
  readonly displayName: string;
  readonly email: string | null;
  /** Built in or one's own. */
  readonly role: string;
  /** Unix ms. */
  readonly createdAtMs: number;
  /** Missing, or null: they are not, and their keys are good. */
  readonly disabledAtMs?: number | null;
  /** Of the row that took the address; missing: this row. Of two that ask for one address, the lower one has it. */
  readonly emailRevision?: Revision;
}

export interface S3KeyRecord {
  /** In full. */
  readonly userName: string;
  /** Of the user: one who is made again has no part in it. */
  readonly userId: string;
  /** The root key under which the secret is wrapped; it is needed in clear to verify signatures. */
  readonly rootId: string;
  /** Base64; see encryption/key-wrap.ts. */
  readonly wrapped: string;
  /** Unix ms; null: never. */
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  /** Missing, or null: it is not. */
  readonly disabledAtMs?: number | null;
}

const USER = 's3-user/';
const KEY = 's3-key/';
const USER_NAME = /^[A-Za-z0-9_-]{1,63}$/;
const DISPLAY_NAME = /^[^\p{Cc}]{1,128}$/u;
const EMAIL = /^[^\s@,"<>]{1,64}@[^\s@,"<>]{1,190}$/;
const KEY_ID = /^AKIA[A-Z2-7]{16}$/;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const KEY_ID_CHARS = 16;
const ID_BYTES = 32;

/** 1 to 63 letters, digits, `_` and `-`: no canonical id has such a form. */
export function isS3UserName(text: string): boolean {
  return USER_NAME.test(text);
}

export function isDisplayName(text: string): boolean {
  return DISPLAY_NAME.test(text);
}

export function isEmail(text: string): boolean {
  return EMAIL.test(text);
}

export function isS3KeyId(text: string): boolean {
  return KEY_ID.test(text);
}

/** As rows, keys and policies name a user: beside the cluster's own tenant with theirs before it, as IAM has paths. */
export function fullUserName(tenant: string, name: string): string {
  return tenant === DEFAULT_TENANT ? name : `${tenant}/${name}`;
}

export function tenantOfUser(fullName: string): string {
  const end = fullName.indexOf('/');
  return end < 0 ? DEFAULT_TENANT : fullName.slice(0, end);
}

/** By their full name. */
export function s3UserRow(name: string): string {
  return USER + name;
}

export function s3KeyRow(id: string): string {
  return KEY + id;
}

export function nameOfS3UserRow(row: string): string {
  return row.slice(USER.length);
}

export function idOfS3KeyRow(row: string): string {
  return row.slice(KEY.length);
}

export function drawCanonicalId(random: Random): string {
  return Buffer.from(random.bytes(ID_BYTES)).toString('hex');
}

export function drawS3KeyId(random: Random): string {
  return `AKIA${[...random.bytes(KEY_ID_CHARS)].map((byte) => LETTERS[byte & 31]).join('')}`;
}

/** Null: it was deleted; its row stays, without content. */
export function encodeS3Row(record: S3UserRecord | S3KeyRecord | null): string {
  return JSON.stringify(record === null ? { v: 1 } : { v: 1, record });
}

/** Null: it was deleted. Throws where it is no such row: only this program writes them. */
export function parseS3UserRow(text: string): S3UserRecord | null {
  return parsed<S3UserRecord>(text);
}

export function parseS3KeyRow(text: string): S3KeyRecord | null {
  return parsed<S3KeyRecord>(text);
}

/** When this user took their address, in the order of all rows. */
export function emailTakenAt(row: IdentityRow, { emailRevision }: S3UserRecord): Revision {
  return emailRevision ?? row.revision;
}

function parsed<T>(text: string): T | null {
  const { v, record } = JSON.parse(text) as { v: number; record?: T };
  if (v !== 1) throw new Error(`a row of S3's users of version ${v}`);
  return record ?? null;
}
