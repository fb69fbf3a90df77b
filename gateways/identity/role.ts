import { latin1, utf8 } from '../../protocol/bytes.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Identities, IdentityRow } from '../../protocol/identities.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { isBucketName } from '../../protocol/objects.ts';
import { ACTIONS, isBuiltInRole, ROLES, type Rule, type Selector } from './decision.ts';

/** Roles of one's own: their rules as they are shown and kept, a row each, and as the decision takes them. */

/**
 * What a rule holds for, one of: keys that begin so (`''`: all), a bucket with all that is in it, its objects that
 * begin so, buckets whose names begin so with all that is in them, the cluster, everything. `tenant`: only in this one.
 */
export interface RoleResource {
  readonly keys?: string;
  /** The same, where the bytes are no text. */
  readonly keysBase64?: string;
  readonly bucket?: string;
  /** Beside `bucket`. */
  readonly objects?: string;
  readonly buckets?: string;
  readonly cluster?: true;
  readonly everything?: true;
  readonly tenant?: string;
}

export interface RoleRule {
  readonly effect: 'allow' | 'deny';
  readonly actions: readonly string[];
  readonly resources: readonly RoleResource[];
}

export interface RoleRecord {
  readonly description: string;
  readonly rules: readonly RoleRule[];
  /** Unix ms. */
  readonly changedAtMs: number;
}

const PREFIX = 'role/';
const NAME = /^[A-Za-z0-9_-]{1,63}$/;
const TENANT = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const DESCRIPTION = /^[^\p{Cc}]{0,256}$/u;
const LONE_SURROGATE = /\p{Surrogate}/u;
const PATTERNS: ReadonlySet<string> = new Set([
  ...['*', ...ACTIONS],
  ...ACTIONS.map((action) => `${action.slice(0, action.indexOf(':'))}:*`),
]);
const EVERYTHING: readonly RoleResource[] = [{ everything: true }];

/** 1 to 63 letters, digits, `_` and `-`, and none of the built-in ones. */
export function isOwnRoleName(text: string): boolean {
  return NAME.test(text) && !isBuiltInRole(text);
}

export function roleRowName(name: string): string {
  return PREFIX + name;
}

export function nameOfRoleRow(row: string): string {
  return row.slice(PREFIX.length);
}

/** Null: it was deleted; its row stays, without content. */
export function encodeRoleRow(record: RoleRecord | null): string {
  return JSON.stringify(record === null ? { v: 1 } : { v: 1, record });
}

/** Null: it was deleted. Throws where it is no such row: only this program writes them. */
export function parseRoleRow(text: string): RoleRecord | null {
  const { v, record } = JSON.parse(text) as { v: number; record?: RoleRecord };
  if (v !== 1) throw new Error(`a role's row of version ${v}`);
  return record ?? null;
}

/** What a role is, by name. */
export interface NamedRole {
  readonly rules: readonly Rule[];
  /** It was read from; null: it is built in. `absent`: nobody has made it, or it was deleted, so it allows nothing. */
  readonly row: IdentityRow | null | 'absent';
}

const ABSENT: NamedRole = { rules: [], row: 'absent' };
const BUILT_IN = new Map<string, NamedRole>(
  Object.entries(ROLES).map(([name, rules]) => [name, { rules, row: null }]),
);
const read = new WeakMap<IdentityRow, NamedRole>();

/** As the view has it now: counts only while that is current, but for built-in ones. */
export function roleNamed(identities: Pick<Identities, 'row'>, name: string): NamedRole {
  const builtIn = BUILT_IN.get(name);
  if (builtIn !== undefined) return builtIn;
  const row = identities.row(roleRowName(name));
  if (row === null) return ABSENT;
  const known = read.get(row);
  if (known !== undefined) return known;
  const record = parseRoleRow(row.text);
  const role = { rules: record === null ? [] : record.rules.map(compiled), row };
  read.set(row, role);
  return role;
}

/** Whether one may be given it. */
export function isRoleThere(identities: Pick<Identities, 'row'>, name: string): boolean {
  if (isBuiltInRole(name)) return true;
  const row = isOwnRoleName(name) ? identities.row(roleRowName(name)) : null;
  return row !== null && parseRoleRow(row.text) !== null;
}

/** Whether rules are those of a built-in role: what they allow, they allow for every name. */
export function isBuiltIn(rules: readonly Rule[]): boolean {
  return rules === ROLES.admin || rules === ROLES.read_write || rules === ROLES.read_only;
}

/** The rules of a built-in role as they are shown. */
export function shownRules(rules: readonly Rule[]): readonly RoleRule[] {
  return rules.map(({ effect, actions }) => ({ effect, actions, resources: EVERYTHING }));
}

function compiled({ effect, actions, resources }: RoleRule): Rule {
  return { effect, actions, resources: resources.map(selectorOf) };
}

/** The slash ends a bucket's name: no other bucket's begins so. */
function selectorOf(resource: RoleResource): Selector {
  const { keys, keysBase64, bucket, objects = '', buckets, tenant } = resource;
  const of = tenant === undefined ? {} : { tenant };
  if (keys !== undefined) return { kind: 'key', prefix: latin1(utf8(keys)), ...of };
  if (keysBase64 !== undefined) {
    return { kind: 'key', prefix: Buffer.from(keysBase64, 'base64').toString('latin1'), ...of };
  }
  if (bucket !== undefined) {
    return { kind: 'bucket', prefix: latin1(utf8(`${bucket}/${objects}`)), ...of };
  }
  if (buckets !== undefined) return { kind: 'bucket', prefix: buckets, ...of };
  return { kind: resource.cluster === true ? 'cluster' : '*', prefix: '', ...of };
}

/** Throws `invalid_argument` with the place that is not valid, and `too_large`. */
export function roleFrom(body: unknown): Pick<RoleRecord, 'description' | 'rules'> {
  const { description = '', rules, ...others } = objectOf(body, 'the role');
  refuse(others, 'the role');
  if (typeof description !== 'string' || !DESCRIPTION.test(description)) {
    throw invalid('description must have at most 256 printable characters');
  }
  const read = listOf(rules, 'rules', 'roleRulesMax').map(ruleFrom);
  const record = { description, rules: read };
  if (Buffer.byteLength(JSON.stringify(record)) > LIMITS.roleBytesMax)
    throw tooMany('roleBytesMax');
  return record;
}

function ruleFrom(raw: unknown, at: number): RoleRule {
  const where = `rules[${at}]`;
  const { effect, actions, resources, ...others } = objectOf(raw, where);
  refuse(others, where);
  if (effect !== 'allow' && effect !== 'deny') {
    throw invalid(`${where}: effect must be allow or deny`);
  }
  const names = listOf(actions, `${where}.actions`, 'roleResourcesMax');
  for (const name of names) {
    if (typeof name === 'string' && PATTERNS.has(name)) continue;
    throw invalid(`${where}: there is no action ${JSON.stringify(name)?.slice(0, 64)}`);
  }
  const all = listOf(resources, `${where}.resources`, 'roleResourcesMax');
  if (names.length === 0 || all.length === 0) {
    throw invalid(`${where}: a rule has actions and resources`);
  }
  return {
    ...{ effect, actions: names as string[] },
    resources: all.map((one, i) => resourceFrom(one, `${where}.resources[${i}]`)),
  };
}

const KINDS = ['keys', 'keysBase64', 'bucket', 'buckets', 'cluster', 'everything'] as const;

function resourceFrom(raw: unknown, where: string): RoleResource {
  const fields = objectOf(raw, where);
  const { keys, keysBase64, bucket, objects, buckets, cluster, everything, tenant, ...others } =
    fields;
  refuse(others, where);
  const [named, ...more] = KINDS.filter((name) => fields[name] !== undefined);
  if (named === undefined || more.length > 0) throw invalid(`${where}: one of ${KINDS.join(', ')}`);
  if (objects !== undefined && named !== 'bucket') throw invalid(`${where}: objects of no bucket`);
  const of = tenant === undefined ? {} : { tenant: textOf(tenant, TENANT, `${where}.tenant`) };
  switch (named) {
    case 'keys':
      return { keys: prefixOf(keys, `${where}.keys`), ...of };
    case 'keysBase64':
      return { keysBase64: base64Of(keysBase64, `${where}.keysBase64`), ...of };
    case 'bucket': {
      if (typeof bucket !== 'string' || !isBucketName(bucket)) {
        throw invalid(`${where}.bucket must be the name of a bucket`);
      }
      if (objects === undefined) return { bucket, ...of };
      return { bucket, objects: prefixOf(objects, `${where}.objects`), ...of };
    }
    case 'buckets':
      return { buckets: textOf(buckets, /^[a-z0-9.-]{0,63}$/, `${where}.buckets`), ...of };
    case 'cluster':
    case 'everything':
      if (fields[named] !== true) throw invalid(`${where}.${named} must be true`);
      return named === 'cluster' ? { cluster: true, ...of } : { everything: true, ...of };
  }
}

function prefixOf(raw: unknown, where: string): string {
  if (typeof raw !== 'string' || LONE_SURROGATE.test(raw)) throw invalid(`${where} must be text`);
  if (Buffer.byteLength(raw) > LIMITS.keyBytesMax) throw tooMany('keyBytesMax');
  return raw;
}

function base64Of(raw: unknown, where: string): string {
  const bytes = typeof raw === 'string' ? Buffer.from(raw, 'base64') : null;
  if (bytes === null || bytes.toString('base64') !== raw) {
    throw invalid(`${where} must be standard, padded base64`);
  }
  if (bytes.length > LIMITS.keyBytesMax) throw tooMany('keyBytesMax');
  return raw;
}

function textOf(raw: unknown, form: RegExp, where: string): string {
  if (typeof raw === 'string' && form.test(raw)) return raw;
  throw invalid(`${where} must fit ${form.source}`);
}

function objectOf(raw: unknown, where: string): Record<string, unknown> {
  const isObject = typeof raw === 'object' && raw !== null && !Array.isArray(raw);
  if (isObject && !(raw instanceof Uint8Array)) return raw as Record<string, unknown>;
  throw invalid(`${where} must be an object`);
}

function listOf(
  raw: unknown,
  where: string,
  limit: 'roleRulesMax' | 'roleResourcesMax',
): readonly unknown[] {
  if (!Array.isArray(raw)) throw invalid(`${where} must be a list`);
  if (raw.length > LIMITS[limit]) throw tooMany(limit);
  return raw;
}

function refuse(others: object, where: string): void {
  const [name] = Object.keys(others);
  if (name !== undefined)
    throw invalid(`${where} has no field ${JSON.stringify(name.slice(0, 64))}`);
}

function invalid(message: string): AppError {
  return new AppError('invalid_argument', message);
}

function tooMany(
  limit: 'roleRulesMax' | 'roleResourcesMax' | 'roleBytesMax' | 'keyBytesMax',
): AppError {
  const max = LIMITS[limit];
  return new AppError('too_large', `more than ${limit}, ${max}`, { details: { limit, max } });
}
