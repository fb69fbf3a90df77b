export type KeyState = 'enabled' | 'disabled';

/** A named key as the meta group keeps it. */
export interface NamedKeyRow {
  readonly state: KeyState;
  /** Unix ms. */
  readonly createdAtMs: number;
  /** From version 1 on; the last one wraps. */
  readonly versions: readonly {
    /** Of the root key that it is wrapped under. */
    readonly rootId: string;
    /** Base64; see key-wrap.ts. */
    readonly wrapped: string;
  }[];
}

export function encodeKeyRow({ state, createdAtMs, versions }: NamedKeyRow): string {
  return JSON.stringify({ v: 1, state, createdAtMs, versions });
}

/** Throws where it is no such row: only this program writes them. */
export function parseKeyRow(text: string): NamedKeyRow {
  const { v, ...row } = JSON.parse(text) as { v: number } & NamedKeyRow;
  if (v !== 1) throw new Error(`a key's row of version ${v}`);
  return row;
}
