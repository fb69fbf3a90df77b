import { QUOTA_KINDS, type Quota } from '../../protocol/quotas.ts';

/** A quota as the meta group has it. Its revision is the number of a round: each round begins by writing it anew. */
export interface QuotaRow {
  readonly scope: string;
  /** Drawn when it is set: it is this quota until it is set again. */
  readonly id: string;
  /** Null: it was taken away. The row stays, so that groups which have not heard of that will. */
  readonly quota: Quota | null;
  /** All groups have done what this quota asks of them. */
  readonly isSettled: boolean;
  /** Drawn for each write: whoever wrote it knows it again. */
  readonly writer: string;
}

const PREFIX = 'quota/';

export const QUOTA_ROWS = PREFIX;

export function quotaRowName(scope: string): string {
  return PREFIX + scope;
}

export function encodeQuotaRow({ scope, id, quota, isSettled, writer }: QuotaRow): string {
  return JSON.stringify({ v: 1, scope, id, quota, isSettled, writer });
}

/** Throws where it is no such row: only this program writes them. */
export function parseQuotaRow(json: string): QuotaRow {
  const { v, scope, id, quota, isSettled, writer } = JSON.parse(json) as { v: number } & QuotaRow;
  if (v !== 1) throw new Error(`a quota's row of version ${v}`);
  if (quota === null) return { scope, id, quota, isSettled, writer };
  const bounds = QUOTA_KINDS.map((kind) => [kind, quota[kind] ?? null]);
  return { scope, id, quota: Object.fromEntries(bounds) as Quota, isSettled, writer };
}
