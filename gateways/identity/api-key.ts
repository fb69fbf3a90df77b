import { timingSafeEqual } from 'node:crypto';
import type { Random } from '../../protocol/random.ts';

/** `mkv_<id>_<secret>`: the id is public and finds the row, the secret is shown once. */
export interface ApiKey {
  readonly id: string;
  readonly secret: string;
}

const FORM = /^mkv_([a-z2-7]{5,16})_([A-Za-z0-9_-]{43})$/;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';
const ID_CHARS = 16;
const SECRET_BYTES = 32;
/** Of the administrator's key, which is configured and has no row; drawn ids are longer. */
export const ADMIN_ID = 'admin';

/** Null: that is no key of ours. */
export function parseApiKey(text: string): ApiKey | null {
  const [, id, secret] = FORM.exec(text) ?? [];
  return id === undefined || secret === undefined ? null : { id, secret };
}

export function apiKeyText({ id, secret }: ApiKey): string {
  return `mkv_${id}_${secret}`;
}

export function drawApiKey(random: Random, id: string = drawId(random)): ApiKey {
  return { id, secret: Buffer.from(random.bytes(SECRET_BYTES)).toString('base64url') };
}

function drawId(random: Random): string {
  return [...random.bytes(ID_CHARS)].map((byte) => LETTERS[byte & 31]).join('');
}

/** Takes as long wherever they differ. */
export function isSameSecret(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** A key as the meta group keeps it; the row of one that was deleted stays, without content. */
export interface KeyRecord {
  readonly name: string;
  readonly tenant: string;
  /** Built in or one's own: what it is, is another row. */
  readonly role: string;
  /** Argon2id of the secret, in PHC form. */
  readonly hash: string;
  /** Unix ms; null: never. */
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

const PREFIX = 'key/';

export function keyRowName(id: string): string {
  return PREFIX + id;
}

export function idOfKeyRow(name: string): string {
  return name.slice(PREFIX.length);
}

/** Null: it was deleted. */
export function encodeKeyRecord(record: KeyRecord | null): string {
  return JSON.stringify(record === null ? { v: 1 } : { v: 1, record });
}

/** Null: it was deleted. Throws where it is no such row: only this program writes them. */
export function parseKeyRecord(text: string): KeyRecord | null {
  const { v, record } = JSON.parse(text) as { v: number; record?: KeyRecord };
  if (v !== 1) throw new Error(`an API key's row of version ${v}`);
  return record ?? null;
}
