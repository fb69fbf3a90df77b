import { ipRangeOf } from './ip-ranges.ts';
import { type Condition, type ConditionValues, holds } from './policy-conditions.ts';
import type { Policy, Selection, Statement } from './policy-document.ts';
import { EXISTING_TAG } from './policy-keys.ts';
import { isLike } from './wildcard.ts';

/** What somebody wants to do with a bucket or an object. */
export interface PolicyQuestion {
  /** `s3:getobject`: in lower case. */
  readonly action: string;
  /** `bucket` or `bucket/key`. */
  readonly resource: string;
  /** All names of who asks; none: nobody signed. */
  readonly principals: readonly string[];
}

export type PolicyAnswer = 'allow' | 'deny' | 'silent';

/** A deny wins over any allow. */
export function answerOf(
  { statements }: Policy,
  question: PolicyQuestion,
  values: ConditionValues,
): PolicyAnswer {
  let answer: PolicyAnswer = 'silent';
  for (const statement of statements) {
    if (!speaksOf(statement, question)) continue;
    if (!statement.conditions.every((condition) => holds(condition, values))) continue;
    if (statement.effect === 'Deny') return 'deny';
    answer = 'allow';
  }
  return answer;
}

/** Whether a statement denies it, under whatever conditions. */
export function mayBeDenied({ statements }: Policy, question: PolicyQuestion): boolean {
  return statements.some(
    (statement) => statement.effect === 'Deny' && speaksOf(statement, question),
  );
}

/** Whether the answer depends on the tags that the object has. */
export function asksForTags({ statements }: Policy, question: PolicyQuestion): boolean {
  return statements.some(
    (statement) =>
      statement.conditions.some(({ key }) => key.startsWith(EXISTING_TAG)) &&
      speaksOf(statement, question),
  );
}

function speaksOf(statement: Statement, question: PolicyQuestion): boolean {
  const { actions, resources, principals } = statement;
  return (
    selects(actions, (pattern) => isLike(pattern, question.action)) &&
    selects(resources, (pattern) => isLike(pattern, question.resource)) &&
    selects(principals, (named) => named === '*' || question.principals.includes(named))
  );
}

function selects({ isNot, patterns }: Selection, fits: (pattern: string) => boolean): boolean {
  return patterns.some(fits) !== isNot;
}

/** Whether it allows something to everybody, whose address and identity are not fixed ("public" as S3 has it). */
export function isPublicPolicy({ statements }: Policy): boolean {
  return statements.some(
    ({ effect, principals, conditions }) =>
      effect === 'Allow' && principals.patterns.includes('*') && !conditions.some(isRestriction),
  );
}

const FIXED_KEYS: ReadonlySet<string> = new Set([
  ...['aws:principalarn', 'aws:principalaccount', 'aws:principalorgid', 'aws:userid'],
  ...['aws:sourcearn', 'aws:sourceaccount', 'aws:sourcevpc', 'aws:sourcevpce', 'aws:username'],
]);
const FIXED_OPERATORS: ReadonlySet<string> = new Set([
  ...['stringequals', 'stringequalsignorecase', 'stringlike', 'arnequals', 'arnlike'],
]);

function isRestriction({ operator, ifExists, quantifier, key, values }: Condition): boolean {
  // Both hold where the request says nothing.
  if (ifExists || quantifier === 'all') return false;
  if (key === 'aws:sourceip') return operator === 'ipaddress' && values.every(isNarrow);
  return (
    FIXED_KEYS.has(key) &&
    FIXED_OPERATORS.has(operator) &&
    values.every((value) => !/[*?]/.test(value))
  );
}

/** A range that leaves somebody out. */
function isNarrow(text: string): boolean {
  const range = ipRangeOf(text);
  return range !== null && range.prefix >= (range.bits === 32 ? 8 : 32);
}
