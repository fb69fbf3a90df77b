import { AppError } from '../../protocol/errors.ts';
import { parseJson } from '../http/strict-json.ts';
import { s3Error } from './errors.ts';
import { ACTION_NAMES } from './policy-actions.ts';
import { type Condition, isValidValue, operatorOf } from './policy-conditions.ts';
import { conditionKeyOf, isKnownKey, isRefusedKey } from './policy-keys.ts';
import { isLike } from './wildcard.ts';

/** A bucket's policy, read and checked. */
export interface Policy {
  readonly statements: readonly Statement[];
}

/** What a statement speaks of; `isNot`: of all else. */
export interface Selection {
  readonly isNot: boolean;
  readonly patterns: readonly string[];
}

export interface Statement {
  readonly effect: 'Allow' | 'Deny';
  /** `*` is everybody. */
  readonly principals: Selection;
  /** Lower case. */
  readonly actions: Selection;
  /** `bucket` or `bucket/key`. */
  readonly resources: Selection;
  readonly conditions: readonly Condition[];
}

export const POLICY_BYTES_MAX = 20 * 1024;

type Fields = Readonly<Record<string, unknown>>;

function malformed(why: string) {
  return s3Error('MalformedPolicy', why);
}

/** Throws MalformedPolicy, and NotImplemented for what cannot be judged here. */
export function readPolicy(json: Uint8Array, bucket: string): Policy {
  if (json.length > POLICY_BYTES_MAX) {
    throw malformed('Policy exceeds the maximum allowed document size.');
  }
  const document = jsonOf(json);
  if (!isRecord(document)) {
    throw malformed('Policies must be valid JSON and the first byte must be {');
  }
  checkFields(document, ['Version', 'Id', 'Statement']);
  const { Version: version = '2008-10-17', Statement: statement, Id: id = '' } = document;
  if (version !== '2012-10-17' && version !== '2008-10-17') {
    throw malformed('The policy must contain a valid version string');
  }
  if (typeof id !== 'string') throw malformed('Id must be a string');
  const statements = Array.isArray(statement) ? (statement as unknown[]) : [statement];
  if (statement === undefined || statements.length === 0) {
    throw malformed('Missing required field Statement');
  }
  const hasVariables = version === '2012-10-17';
  return { statements: statements.map((each) => statementOf(each, bucket, hasVariables)) };
}

function jsonOf(json: Uint8Array): unknown {
  try {
    return parseJson(json);
  } catch (error) {
    if (error instanceof AppError) throw malformed('This policy contains invalid Json');
    throw error;
  }
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkFields(fields: Fields, known: readonly string[]): void {
  for (const name of Object.keys(fields)) {
    if (!known.includes(name)) throw malformed(`Unknown field ${name.slice(0, 64)}`);
  }
}

const FIELDS = [
  ...['Sid', 'Effect', 'Principal', 'NotPrincipal', 'Action', 'NotAction', 'Resource'],
  ...['NotResource', 'Condition'],
];

function statementOf(value: unknown, bucket: string, hasVariables: boolean): Statement {
  if (!isRecord(value)) throw malformed('Invalid Statement');
  checkFields(value, FIELDS);
  const { Effect: effect, Condition: condition = {}, Sid: sid = '' } = value;
  if (effect !== 'Allow' && effect !== 'Deny') {
    throw malformed(`Invalid effect: ${String(effect).slice(0, 64)}`);
  }
  if (typeof sid !== 'string') throw malformed('Sid must be a string');
  const principals = selectionOf(value, 'Principal', principalsOf);
  if (principals.isNot && effect === 'Allow') {
    throw malformed('Allow with NotPrincipal is not allowed.');
  }
  const actions = selectionOf(value, 'Action', (given) =>
    textsOf(given, 'Action').map((name) => name.toLowerCase()),
  );
  const resources = selectionOf(value, 'Resource', (given) =>
    textsOf(given, 'Resource').map((arn) => resourceOf(arn, bucket)),
  );
  checkActions(actions, resources, bucket);
  const conditions = conditionsOf(condition);
  if (hasVariables) checkVariables([...resources.patterns, ...conditions.flatMap((c) => c.values)]);
  return { effect, principals, actions, resources, conditions };
}

function selectionOf(
  statement: Fields,
  name: string,
  read: (value: unknown) => readonly string[],
): Selection {
  const [positive, negative] = [statement[name], statement[`Not${name}`]];
  if ((positive === undefined) === (negative === undefined)) {
    throw malformed(`Missing required field ${name}`);
  }
  const patterns = read(positive ?? negative);
  if (patterns.length === 0) throw malformed(`${name} must not be empty`);
  return { isNot: positive === undefined, patterns };
}

function textsOf(value: unknown, name: string): readonly string[] {
  const texts = Array.isArray(value) ? (value as unknown[]) : [value];
  if (texts.every((text) => typeof text === 'string' && text !== '')) return texts as string[];
  throw malformed(`${name} must be a string or a list of strings`);
}

const PRINCIPAL_KINDS = ['AWS', 'CanonicalUser', 'Service', 'Federated'];
/** An account by its id, one of its identities by its ARN, or everybody. */
const AWS_PRINCIPAL = /^(?:\*|[\w+=,.@-]{1,128}|arn:aws[\w-]*:(?:iam|sts)::[\w+=,.@-]*:[^*?]+)$/;

const CANONICAL_USER = /^[\w-]{1,128}$/;

/** Those that are not of this account are nobody here. */
function principalsOf(value: unknown): readonly string[] {
  if (value === '*') return ['*'];
  if (!isRecord(value)) throw malformed('Invalid principal in policy');
  return Object.entries(value).flatMap(([kind, given]) => {
    if (!PRINCIPAL_KINDS.includes(kind)) throw malformed('Invalid principal in policy');
    const texts = textsOf(given, 'Principal');
    const isAws = kind === 'AWS';
    // A star is everybody for AWS only.
    const form = isAws ? AWS_PRINCIPAL : kind === 'CanonicalUser' ? CANONICAL_USER : /^/;
    if (!texts.every((text) => form.test(text))) throw malformed('Invalid principal in policy');
    return texts.map((text) => (isAws || kind === 'CanonicalUser' ? text : `${kind}:${text}`));
  });
}

const ARN = 'arn:aws:s3:::';

/** What is behind the prefix of the ARN. Throws where it is of another bucket. */
function resourceOf(arn: string, bucket: string): string {
  const resource = arn === '*' ? '*' : arn.startsWith(ARN) ? arn.slice(ARN.length) : '';
  const [named = ''] = resource.split('/');
  if (!isLike(named, bucket)) throw malformed('Policy has invalid resource');
  return resource;
}

/** An action that no resource of its statement has would never be allowed, or denied. */
function checkActions(actions: Selection, resources: Selection, bucket: string): void {
  const takes = {
    bucket: resources.isNot || resources.patterns.some((pattern) => isLike(pattern, bucket)),
    object: resources.isNot || resources.patterns.some((pattern) => /[/*]/.test(pattern)),
  };
  for (const action of actions.patterns) {
    const named = (level: 'bucket' | 'object'): boolean =>
      [...ACTION_NAMES[level]].some((name) => isLike(action, name));
    const [isBuckets, isObjects] = [named('bucket'), named('object')];
    if (!isBuckets && !isObjects) throw malformed('Policy has invalid action');
    const isApplied = (isBuckets && takes.bucket) || (isObjects && takes.object);
    if (!actions.isNot && !isApplied) {
      throw malformed('Action does not apply to any resource(s) in statement');
    }
  }
}

function conditionsOf(value: unknown): Condition[] {
  if (!isRecord(value)) throw malformed('Invalid Condition');
  return Object.entries(value).flatMap(([name, keys]) => {
    const operator = operatorOf(name);
    if (operator === null) throw malformed(`Invalid Condition type : ${name.slice(0, 64)}`);
    if (!isRecord(keys)) throw malformed('Invalid Condition');
    return Object.entries(keys).map(([given, wanted]): Condition => {
      const key = conditionKeyOf(given);
      checkKey(key);
      const values = valuesOf(wanted);
      if (!values.every((each) => isValidValue(operator.operator, each))) {
        throw malformed(`Invalid value of ${name.slice(0, 64)}`);
      }
      return { ...operator, key, values };
    });
  });
}

/** One that is passed over would allow, or not deny, what its author meant to except. */
function checkKey(key: string): void {
  if (isKnownKey(key)) return;
  if (!isRefusedKey(key)) throw malformed('Policy has an invalid condition key');
  throw s3Error('NotImplemented', `Conditions on ${key.slice(0, 128)} are not implemented`);
}

function valuesOf(value: unknown): string[] {
  const values = Array.isArray(value) ? (value as unknown[]) : [value];
  if (values.length === 0) throw malformed('Invalid Condition value');
  return values.map((each) => {
    if (typeof each === 'string' || typeof each === 'number' || typeof each === 'boolean') {
      return String(each);
    }
    throw malformed('Invalid Condition value');
  });
}

/** As text they would name something else than their author meant. */
function checkVariables(texts: readonly string[]): void {
  if (!texts.some((text) => /\$\{/.test(text))) return;
  throw s3Error('NotImplemented', 'Policy variables are not implemented');
}
