import { latin1, utf8 } from './bytes.ts';

/**
 * Lifecycle rules of a bucket: what its configuration says, and when they take something away. The edge reads and
 * shows them, actors/lifecycle carries them out; both ask here, so that `x-amz-expiration` says what will be.
 */

export interface LifecycleTag {
  readonly key: string;
  readonly value: string;
}

/** Which objects a rule is for: all of these hold. Sizes are in bytes and exclusive. */
export interface LifecycleSelection {
  readonly prefix: string | null;
  readonly tags: readonly LifecycleTag[];
  readonly objectSizeGreaterThan: number | null;
  readonly objectSizeLessThan: number | null;
}

export interface LifecycleFilter extends LifecycleSelection {
  /** Several conditions stand in it, one stands in the filter itself. */
  readonly and: LifecycleSelection | null;
}

/** Exactly one of the three is given. */
export interface LifecycleExpiration {
  readonly dateMs: number | null;
  readonly days: number | null;
  readonly expiredObjectDeleteMarker: boolean | null;
}

export interface NoncurrentVersionExpiration {
  readonly newerNoncurrentVersions: number | null;
  readonly noncurrentDays: number;
}

export interface LifecycleRule {
  readonly abortIncompleteMultipartUpload: { readonly daysAfterInitiation: number } | null;
  readonly expiration: LifecycleExpiration | null;
  readonly filter: LifecycleFilter | null;
  readonly id: string | null;
  readonly noncurrentVersionExpiration: NoncurrentVersionExpiration | null;
  /** From before there were filters; then there is no filter. */
  readonly prefix: string | null;
  readonly status: 'Enabled' | 'Disabled';
}

export interface LifecycleConfiguration {
  readonly rules: readonly LifecycleRule[];
}

/** What a rule is for, wherever it says so. */
export function selectionOf({ filter, prefix }: LifecycleRule): LifecycleSelection {
  const { and = null } = filter ?? {};
  const chosen = and ?? filter;
  return {
    prefix: chosen?.prefix ?? prefix,
    tags: chosen?.tags ?? [],
    objectSizeGreaterThan: chosen?.objectSizeGreaterThan ?? null,
    objectSizeLessThan: chosen?.objectSizeLessThan ?? null,
  };
}

/** As the bucket's row has it, under LIFECYCLE. */
export function encodeLifecycle(configuration: LifecycleConfiguration): string {
  return JSON.stringify(configuration);
}

/** Throws where it is none: only edges of ours write them, after they have checked them. */
export function decodeLifecycle(text: string): LifecycleConfiguration {
  return JSON.parse(text) as LifecycleConfiguration;
}

/** What S3 calls a day. */
export const DAY_MS = 86_400_000;

/** The document of a bucket that has its rules. */
export const LIFECYCLE = 'lifecycle';

/**
 * When something of `atMs` (Unix ms) is `days` old: S3 adds the days and goes on to the next midnight UTC. A day
 * is `dayMs` long, so tests may have short ones, and their midnights.
 */
export function dueMs(atMs: number, days: number, dayMs: number): number {
  return Math.ceil((atMs + days * dayMs) / dayMs) * dayMs;
}

/** What rules ask of an object. `key` is latin1, as in the engine. */
export interface LifecycleSubject {
  readonly key: string;
  readonly size: number;
  readonly tags: readonly { readonly name: string; readonly value: string }[];
}

/** `prefix` of a rule is text, keys are its UTF-8 bytes as latin1. */
export function isSelected(
  { prefix, tags, objectSizeGreaterThan, objectSizeLessThan }: LifecycleSelection,
  subject: LifecycleSubject,
): boolean {
  if (prefix !== null && !subject.key.startsWith(latin1(utf8(prefix)))) return false;
  if (objectSizeGreaterThan !== null && subject.size <= objectSizeGreaterThan) return false;
  if (objectSizeLessThan !== null && subject.size >= objectSizeLessThan) return false;
  return tags.every((tag) =>
    subject.tags.some(({ name, value }) => name === tag.key && value === tag.value),
  );
}

/** When a rule takes away what is current and of `createdAtMs`; null: never. */
export function expiryMs(
  { expiration }: LifecycleRule,
  createdAtMs: number,
  dayMs: number,
): number | null {
  if (expiration === null) return null;
  if (expiration.dateMs !== null) return expiration.dateMs;
  return expiration.days === null ? null : dueMs(createdAtMs, expiration.days, dayMs);
}

export interface Expiry {
  /** Unix ms. */
  readonly atMs: number;
  readonly ruleId: string;
}

/** When an upload that was begun at `atMs` (Unix ms) is aborted, and by which rule: the soonest one. `key` is latin1. */
export function abortOf(
  { rules }: LifecycleConfiguration,
  key: string,
  atMs: number,
  dayMs: number,
): Expiry | null {
  let soonest: Expiry | null = null;
  for (const rule of rules) {
    const abort = rule.abortIncompleteMultipartUpload;
    if (abort === null || rule.status !== 'Enabled') continue;
    if (!isSelected(selectionOf(rule), { key, size: 0, tags: [] })) continue;
    const due = dueMs(atMs, abort.daysAfterInitiation, dayMs);
    if (soonest === null || due < soonest.atMs) soonest = { atMs: due, ruleId: rule.id ?? '' };
  }
  return soonest;
}

/** When the current version of an object goes, and by which rule: the soonest one. */
export function expiryOf(
  { rules }: LifecycleConfiguration,
  subject: LifecycleSubject,
  createdAtMs: number,
  dayMs: number,
): Expiry | null {
  let soonest: Expiry | null = null;
  for (const rule of rules) {
    if (rule.status !== 'Enabled' || !isSelected(selectionOf(rule), subject)) continue;
    const atMs = expiryMs(rule, createdAtMs, dayMs);
    if (atMs === null || (soonest !== null && soonest.atMs <= atMs)) continue;
    soonest = { atMs, ruleId: rule.id ?? '' };
  }
  return soonest;
}
