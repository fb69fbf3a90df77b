import { fromBase64, toBytes, toText } from './bytes.ts';

/** An item as the store sends it. */
export interface RawItem {
  readonly key?: string;
  readonly keyBase64?: string;
  readonly value?: string;
  readonly base64?: string;
  readonly revision: number;
  readonly createRevision?: number;
  readonly version?: number;
  readonly contentType?: string;
  readonly expiresAt?: string;
  readonly lease?: number;
}

export interface ItemFields {
  readonly revision: number;
  readonly createRevision?: number | undefined;
  readonly version?: number | undefined;
  readonly contentType?: string | undefined;
  readonly expiresAt?: Date | undefined;
  readonly lease?: number | undefined;
}

/** A key at one revision. */
export class Item implements ItemFields {
  /** As text; `keyBytes` is exact where the bytes are no UTF-8. */
  readonly key: string;
  readonly keyBytes: Uint8Array;
  /** Empty where values were not asked for. */
  readonly value: Uint8Array;
  readonly revision: number;
  /** Of the first put since the key was last absent; not known of a single `get`. */
  readonly createRevision: number | undefined;
  /** 1 at `createRevision`, one more per put; not known of a single `get`. */
  readonly version: number | undefined;
  readonly contentType: string | undefined;
  readonly expiresAt: Date | undefined;
  /** The lease it is attached to. */
  readonly lease: number | undefined;

  constructor(key: Uint8Array, value: Uint8Array, fields: ItemFields) {
    this.key = toText(key);
    this.keyBytes = key;
    this.value = value;
    this.revision = fields.revision;
    this.createRevision = fields.createRevision;
    this.version = fields.version;
    this.contentType = fields.contentType;
    this.expiresAt = fields.expiresAt;
    this.lease = fields.lease;
  }

  /** The value as UTF-8. */
  text(): string {
    return toText(this.value);
  }

  /** The value as JSON. Throws SyntaxError where it is none. */
  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T;
  }
}

export function keyOf(raw: {
  readonly key?: string | undefined;
  readonly keyBase64?: string | undefined;
}): Uint8Array {
  return raw.keyBase64 === undefined ? toBytes(raw.key ?? '') : fromBase64(raw.keyBase64);
}

export function itemOf(raw: RawItem): Item {
  const value = raw.base64 === undefined ? toBytes(raw.value ?? '') : fromBase64(raw.base64);
  const expiresAt = raw.expiresAt === undefined ? undefined : new Date(raw.expiresAt);
  return new Item(keyOf(raw), value, { ...raw, expiresAt });
}
