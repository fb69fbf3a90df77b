import type { Bucket } from '../../protocol/object-access.ts';
import type { BucketRule } from '../../protocol/object-ops.ts';

/** A bucket as the meta group has it. The row of one that is gone stays, so that its epochs go on. */
export interface BucketRow {
  readonly bucket: Bucket;
  /** All groups have the rule, and nothing is left to be done about it. */
  readonly isSettled: boolean;
  /** Drawn for each write: whoever wrote it knows it again. */
  readonly writer: string;
}

const PREFIX = 'bucket/';

/** Bytes of a row at most: configurations are documents of some KiB. */
export const BUCKET_ROW_BYTES_MAX = 256 * 1024;

export function bucketRowName(tenant: string, name: string): string {
  return `${PREFIX}${tenant}/${name}`;
}

/** What the names of a tenant's rows begin with; null: of all tenants'. */
export function bucketRowPrefix(tenant: string | null): string {
  return tenant === null ? PREFIX : `${PREFIX}${tenant}/`;
}

export function encodeBucketRow({ bucket, isSettled, writer }: BucketRow): string {
  return JSON.stringify({ v: 1, ...bucket, isSettled, writer });
}

/** Throws where it is no such row: only this program writes them. */
export function parseBucketRow(json: string): BucketRow {
  const raw = JSON.parse(json) as { v: number } & Bucket & Omit<BucketRow, 'bucket'>;
  if (raw.v !== 1) throw new Error(`a bucket's row of version ${raw.v}`);
  const { rule, createdAtMs, owner, documents, isSettled, writer } = raw;
  return { bucket: { rule, createdAtMs, owner, documents }, isSettled, writer };
}

export function isLive({ bucket }: BucketRow): boolean {
  return bucket.rule.state === 'live';
}

/** The row with another rule, of the next epoch, which groups have yet to hear of. */
export function withRule(
  { bucket }: BucketRow,
  change: Partial<BucketRule>,
  writer: string,
): BucketRow {
  const rule = { ...bucket.rule, ...change, epoch: bucket.rule.epoch + 1 };
  return { bucket: { ...bucket, rule }, isSettled: false, writer };
}
