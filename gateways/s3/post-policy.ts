import { AppError } from '../../protocol/errors.ts';
import { parseJson } from '../http/strict-json.ts';
import { s3Error } from './errors.ts';

/**
 * The policy of a form upload: what its author allows whoever holds the form to send.
 *
 *     {"expiration": "2026-12-01T12:00:00.000Z", "conditions": [
 *       {"bucket": "a"}, ["eq", "$acl", "private"], ["starts-with", "$key", "user/"],
 *       ["content-length-range", 1, 1048576]]}
 */
export interface PostPolicy {
  readonly expiresAtMs: number;
  readonly conditions: readonly FieldCondition[];
  /** Of the file, both ends included; null: any length. */
  readonly lengthRange: LengthRange | null;
}

export interface FieldCondition {
  readonly match: 'eq' | 'starts-with';
  /** Lower case. */
  readonly field: string;
  readonly value: string;
  /** As it is in the policy, for the refusal. */
  readonly text: string;
}

export interface LengthRange {
  readonly min: number;
  readonly max: number;
}

function invalid(why: string): Error {
  return s3Error('InvalidPolicyDocument', `Invalid Policy: ${why}`);
}

/** Throws `InvalidPolicyDocument` for what is no policy. */
export function parsePostPolicy(json: Uint8Array): PostPolicy {
  const document = jsonOf(json);
  if (!isObject(document)) throw invalid('Invalid JSON.');
  const { expiration, conditions } = document;
  if (expiration === undefined) throw invalid('Policy missing expiration.');
  if (conditions === undefined) throw invalid('Policy missing conditions.');
  if (!Array.isArray(conditions)) throw invalid("Invalid 'conditions' value: must be a List.");
  const fields: FieldCondition[] = [];
  let lengthRange: LengthRange | null = null;
  for (const condition of conditions as unknown[]) {
    if (isLengthRange(condition)) lengthRange = lengthRangeOf(condition, lengthRange);
    else fields.push(fieldConditionOf(condition));
  }
  return { expiresAtMs: expirationOf(expiration), conditions: fields, lengthRange };
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return parseJson(bytes);
  } catch (error) {
    if (error instanceof AppError) throw invalid('Invalid JSON.');
    throw error;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const ISO = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?Z$/;

function expirationOf(value: unknown): number {
  const match = typeof value === 'string' ? ISO.exec(value) : null;
  const timeMs = match === null ? Number.NaN : Date.parse(value as string);
  // Date.parse takes the 30th of February for the 2nd of March.
  const isReal =
    !Number.isNaN(timeMs) && new Date(timeMs).toISOString().startsWith(`${match?.[1]}`);
  if (!isReal) throw invalid(`Invalid 'expiration' value: ${JSON.stringify(value)}`);
  return timeMs;
}

function isLengthRange(condition: unknown): condition is readonly unknown[] {
  const [operator] = Array.isArray(condition) ? (condition as unknown[]) : [];
  return typeof operator === 'string' && operator.toLowerCase() === 'content-length-range';
}

/** Of several, what all of them allow. */
function lengthRangeOf(condition: readonly unknown[], before: LengthRange | null): LengthRange {
  const [min, max] = condition.slice(1).map(lengthOf);
  if (condition.length !== 3 || min === undefined || max === undefined) {
    throw invalid('Invalid Condition: content-length-range needs two lengths.');
  }
  return { min: Math.max(min, before?.min ?? 0), max: Math.min(max, before?.max ?? max) };
}

function lengthOf(value: unknown): number {
  const length = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0) {
    throw invalid('Invalid Condition: a length must be a number that is not negative.');
  }
  return length;
}

function fieldConditionOf(condition: unknown): FieldCondition {
  const text = JSON.stringify(condition);
  if (Array.isArray(condition)) {
    const [operator, field, value] = condition as unknown[];
    const match = typeof operator === 'string' ? operator.toLowerCase() : '';
    if (match !== 'eq' && match !== 'starts-with') {
      throw invalid(`Invalid Condition: unknown operation in ${text}.`);
    }
    const isWhole = condition.length === 3 && typeof value === 'string';
    if (!isWhole || typeof field !== 'string' || !/^\$./.test(field)) {
      throw invalid(`Invalid Condition: wrong arguments in ${text}.`);
    }
    return { match, field: field.slice(1).toLowerCase(), value, text };
  }
  const entries = isObject(condition) ? Object.entries(condition) : [];
  const [entry] = entries;
  if (entry === undefined || entries.length !== 1) {
    throw invalid(
      'Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.',
    );
  }
  const [field, value] = entry;
  if (typeof value !== 'string') {
    throw invalid('Invalid Simple-Condition: value must be a string.');
  }
  return {
    match: 'eq',
    field: field.toLowerCase(),
    value,
    text: JSON.stringify(['eq', `$${field}`, value]),
  };
}

/** Form fields by lower-case name, without the file. */
export type FormFields = ReadonlyMap<string, string>;

/** What no condition has to speak of. */
const FREE_FIELD = /^(?:policy|signature|x-amz-signature|awsaccesskeyid|file|x-ignore-.*)$/;

/**
 * Holds the form against its policy. `fields` has what is stored: variables such as `${filename}` are filled in.
 * The bucket counts as a field, whether the form has it or not. Throws `AccessDenied`.
 */
export function checkPostPolicy(
  policy: PostPolicy,
  form: { readonly fields: FormFields; readonly bucket: string },
  wallMs: number,
): void {
  const denied = (why: string) => s3Error('AccessDenied', `Invalid according to Policy: ${why}`);
  if (wallMs >= policy.expiresAtMs) throw denied('Policy expired.');
  const fields = new Map(form.fields).set('bucket', form.bucket);
  for (const condition of policy.conditions) {
    if (!isMet(condition, fields.get(condition.field) ?? '')) {
      throw denied(`Policy Condition failed: ${condition.text}`);
    }
  }
  const covered = new Set(policy.conditions.map(({ field }) => field));
  const extra = [...fields.keys()].filter((name) => !covered.has(name) && !FREE_FIELD.test(name));
  if (extra.length > 0) throw denied(`Extra input fields: ${extra.join(', ')}`);
}

function isMet({ match, field, value }: FieldCondition, given: string): boolean {
  if (match === 'eq') return given === value;
  // A list of types: each of them has to begin so.
  if (field === 'content-type') {
    return given.split(',').every((type) => type.trimStart().startsWith(value));
  }
  return given.startsWith(value);
}

/** Throws `EntityTooSmall` or `EntityTooLarge`, once the file's length is known. */
export function checkLengthRange(range: LengthRange, bytes: number): void {
  const sizes = { MinSizeAllowed: String(range.min), MaxSizeAllowed: String(range.max) };
  if (bytes < range.min) {
    throw s3Error('EntityTooSmall', undefined, { ProposedSize: String(bytes), ...sizes });
  }
  if (bytes > range.max) {
    throw s3Error('EntityTooLarge', undefined, { ProposedSize: String(bytes), ...sizes });
  }
}
