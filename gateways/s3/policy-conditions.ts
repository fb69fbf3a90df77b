import { ipRangeOf, isInRange } from './ip-ranges.ts';
import { isLike } from './wildcard.ts';

/** What a request says about a condition's key; null: nothing. */
export type ConditionValues = (key: string) => readonly string[] | null;

/** One operator with one key: all of a statement's have to hold. */
export interface Condition extends Operator {
  /** As `conditionKeyOf` gives it. */
  readonly key: string;
  readonly values: readonly string[];
}

export interface Operator {
  /** Lower case, without quantifier and `IfExists`. */
  readonly operator: string;
  readonly test: (given: string, wanted: string) => boolean;
  /** It holds where the test fails for all values. */
  readonly isNegated: boolean;
  readonly ifExists: boolean;
  /** `ForAnyValue:`, `ForAllValues:`, for keys with several values. */
  readonly quantifier: 'any' | 'all' | null;
}

type Test = Operator['test'];

/** Of any length: a limit must hold for 0000000000000001001 too. */
const NUMBER = /^[+-]?\d+(?:\.\d+)?$/;
const ISO_DATE = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?$/;

function numberOf(text: string): number {
  return NUMBER.test(text) ? Number(text) : Number.NaN;
}

/** Seconds since 1970, or a date of ISO 8601. */
function dateOf(text: string): number {
  if (/^\d{1,12}$/.test(text)) return Number(text) * 1000;
  return ISO_DATE.test(text) ? Date.parse(text) : Number.NaN;
}

function isInIpRange(given: string, wanted: string): boolean {
  // The zone says by which of our own links it came (fe80::1%eth0).
  const [address, range] = [ipRangeOf(given.replace(/%.*$/, '')), ipRangeOf(wanted)];
  return address !== null && range !== null && isInRange(address, range);
}

/** The first five of an ARN's colons part it: a star is in one part. Null: it is none. */
function arnParts(text: string): string[] | null {
  const parts = text.split(':');
  return parts.length < 6 ? null : [...parts.slice(0, 5), parts.slice(5).join(':')];
}

function isArnLike(given: string, wanted: string): boolean {
  const [own, patterns] = [arnParts(given), arnParts(wanted)];
  if (own === null || patterns === null) return own !== null && wanted === '*';
  return patterns.every((pattern, i) => isLike(pattern, own[i] as string));
}

const same: Test = (given, wanted) => given === wanted;
const sameCase: Test = (given, wanted) => given.toLowerCase() === wanted.toLowerCase();

function ordered(kind: string, parsed: (text: string) => number): [string, Test][] {
  const compare =
    (holds: (a: number, b: number) => boolean): Test =>
    (given, wanted) =>
      holds(parsed(given), parsed(wanted));
  return [
    [`${kind}equals`, compare((a, b) => a === b)],
    [`${kind}lessthan`, compare((a, b) => a < b)],
    [`${kind}lessthanequals`, compare((a, b) => a <= b)],
    [`${kind}greaterthan`, compare((a, b) => a > b)],
    [`${kind}greaterthanequals`, compare((a, b) => a >= b)],
  ];
}

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['stringequals', same],
  ['stringequalsignorecase', sameCase],
  ['stringlike', (given, wanted) => isLike(wanted, given)],
  ['arnequals', isArnLike],
  ['arnlike', isArnLike],
  ['bool', sameCase],
  ['binaryequals', same],
  ['ipaddress', isInIpRange],
  ...ordered('numeric', numberOf),
  ...ordered('date', dateOf),
]);

const NEGATED: ReadonlyMap<string, string> = new Map([
  ['stringnotequals', 'stringequals'],
  ['stringnotequalsignorecase', 'stringequalsignorecase'],
  ['stringnotlike', 'stringlike'],
  ['arnnotequals', 'arnequals'],
  ['arnnotlike', 'arnlike'],
  ['numericnotequals', 'numericequals'],
  ['datenotequals', 'dateequals'],
  ['notipaddress', 'ipaddress'],
]);

const IF_EXISTS = 'ifexists';

/** Null: there is no such operator. */
export function operatorOf(text: string): Operator | null {
  const lower = text.toLowerCase();
  const [, set = null, rest = ''] = /^(?:for(all|any)values?:)?(.*)$/s.exec(lower) ?? [];
  const ifExists = rest.endsWith(IF_EXISTS);
  const name = ifExists ? rest.slice(0, -IF_EXISTS.length) : rest;
  const quantifier = set as Operator['quantifier'];
  if (name === 'null' && !ifExists && quantifier === null) {
    return { operator: name, test: sameCase, isNegated: false, ifExists, quantifier };
  }
  const positive = NEGATED.get(name);
  const test = TESTS.get(positive ?? name);
  if (test === undefined) return null;
  return { operator: name, test, isNegated: positive !== undefined, ifExists, quantifier };
}

/** Whether a policy may compare with this value: one that could never match is a mistake. */
export function isValidValue(operator: string, value: string): boolean {
  if (operator === 'ipaddress' || operator === 'notipaddress') return ipRangeOf(value) !== null;
  if (operator.startsWith('numeric')) return !Number.isNaN(numberOf(value));
  if (operator.startsWith('date')) return !Number.isNaN(dateOf(value));
  if (operator === 'bool' || operator === 'null') return /^(?:true|false)$/i.test(value);
  return true;
}

export function holds(condition: Condition, values: ConditionValues): boolean {
  const { operator, test, isNegated, ifExists, quantifier, key } = condition;
  const given = values(key);
  const isAbsent = given === null || given.length === 0;
  if (operator === 'null') return condition.values.some((v) => sameCase(v, String(isAbsent)));
  if (isAbsent) return ifExists || (quantifier === null ? isNegated : quantifier === 'all');
  const fits = (value: string): boolean =>
    condition.values.some((wanted) => test(value, wanted)) !== isNegated;
  return quantifier === 'any' || (quantifier === null && !isNegated)
    ? given.some(fits)
    : given.every(fits);
}
