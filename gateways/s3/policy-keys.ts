import { type Headers, headerOf } from './headers.ts';
import type { Tag } from './tagging.ts';

/** Who asks, as condition keys show it. */
export interface PolicyPrincipal {
  readonly arn: string;
  /** Canonical id: each user is an account of its own. */
  readonly account: string;
  /** Null: it is the account that has no user. */
  readonly userName: string | null;
}

/** A request as the conditions of a policy see it. */
export interface PolicyRequest {
  readonly nowMs: number;
  readonly region: string;
  /** Canonical id of the bucket's owner. */
  readonly resourceAccount: string;
  /** Null: nobody signed. */
  readonly principal: PolicyPrincipal | null;
  /** Null: it is not. */
  readonly signed: {
    readonly by: 'REST-HEADER' | 'REST-QUERY-STRING' | 'POST';
    /** `AWS`: version 2, of a form. */
    readonly version: 'AWS4-HMAC-SHA256' | 'AWS';
    /** Unix ms; null: it does not say. */
    readonly atMs: number | null;
  } | null;
  /** Of the client, as the socket has it. */
  readonly address: string | null;
  readonly isSecure: boolean;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: Headers;
  readonly versionId: string | null;
  /** Of the object as it is. */
  readonly existingTags: readonly Tag[];
  /** Of the object as it is to be. */
  readonly newTags: () => readonly Tag[];
  /** `bucket/key` of the source of a copy, decoded. */
  readonly copySource: () => string | null;
  /** What its body says, by condition key. */
  readonly body: Readonly<Record<string, string>>;
}

type Values = readonly string[] | null;
type Key = (request: PolicyRequest) => Values;

function one(value: string | null | undefined): Values {
  return value === null || value === undefined ? null : [value];
}

const header =
  (name: string): Key =>
  ({ headers }) =>
    one(headerOf(headers, name));

const field =
  (name: string): Key =>
  ({ query }) =>
    one(query.get(name));

/** In the body of the setting itself, or in the header of a put. */
const bodyOrHeader =
  (key: string, name: string): Key =>
  ({ body, headers }) =>
    one(Object.hasOwn(body, key) ? body[key] : headerOf(headers, name));

const typeOf = (principal: PolicyPrincipal | null): string => {
  if (principal === null) return 'Anonymous';
  return principal.userName === null ? 'Account' : 'User';
};

/** True of no request here: there are no sessions, devices, organisations, networks or services in between. */
const absent: Key = () => null;

const HEADER_KEYS = [
  ...['x-amz-acl', 'x-amz-content-sha256', 'x-amz-metadata-directive', 'x-amz-storage-class'],
  ...['x-amz-server-side-encryption', 'x-amz-server-side-encryption-aws-kms-key-id'],
  ...['x-amz-server-side-encryption-customer-algorithm', 'x-amz-website-redirect-location'],
  ...['x-amz-grant-full-control', 'x-amz-grant-read', 'x-amz-grant-read-acp'],
  ...['x-amz-grant-write', 'x-amz-grant-write-acp', 'if-match', 'if-none-match'],
];

const ABSENT_KEYS = [
  ...['calledvia', 'calledviafirst', 'calledvialast', 'federatedprovider', 'multifactorauthage'],
  ...['multifactorauthpresent', 'principalorgid', 'principalorgpaths', 'sourceaccount'],
  ...['principalservicename', 'sourcearn', 'sourceorgid', 'sourcevpc', 'sourcevpce'],
  ...['tokenissuetime', 'vpcsourceip'],
];

/** Keys of conditions that requests have an answer to, in lower case. */
const KEYS: ReadonlyMap<string, Key> = new Map<string, Key>([
  ['aws:sourceip', ({ address }) => one(address)],
  ['aws:referer', header('referer')],
  ['aws:useragent', header('user-agent')],
  ['aws:securetransport', ({ isSecure }) => [String(isSecure)]],
  ['aws:currenttime', ({ nowMs }) => [new Date(nowMs).toISOString()]],
  ['aws:epochtime', ({ nowMs }) => [String(Math.floor(nowMs / 1000))]],
  ['aws:requestedregion', ({ region }) => [region]],
  ['aws:principaltype', ({ principal }) => [typeOf(principal)]],
  ['aws:principalarn', ({ principal }) => one(principal?.arn)],
  ['aws:principalaccount', ({ principal }) => one(principal?.account)],
  ['aws:userid', ({ principal }) => one(principal?.account)],
  ['aws:username', ({ principal }) => one(principal?.userName)],
  ['aws:resourceaccount', ({ resourceAccount }) => [resourceAccount]],
  ['aws:principalisawsservice', () => ['false']],
  ['aws:viaawsservice', () => ['false']],
  ...ABSENT_KEYS.map((name): [string, Key] => [`aws:${name}`, absent]),
  ['s3:prefix', field('prefix')],
  ['s3:delimiter', field('delimiter')],
  ['s3:max-keys', field('max-keys')],
  ['s3:versionid', ({ versionId }) => one(versionId)],
  ['s3:authtype', ({ signed }) => one(signed?.by)],
  ['s3:signatureversion', ({ signed }) => one(signed?.version)],
  ['s3:signatureage', ({ nowMs, signed }) => ageOf(nowMs, signed?.atMs ?? null)],
  ['s3:tlsversion', absent],
  ['s3:resourceaccount', ({ resourceAccount }) => [resourceAccount]],
  ['s3:x-amz-copy-source', ({ copySource }) => one(copySource())],
  ['s3:requestobjecttagkeys', ({ newTags }) => newTags().map(({ key }) => key)],
  ['s3:object-lock-mode', bodyOrHeader('s3:object-lock-mode', 'x-amz-object-lock-mode')],
  [
    's3:object-lock-legal-hold',
    bodyOrHeader('s3:object-lock-legal-hold', 'x-amz-object-lock-legal-hold'),
  ],
  ['s3:object-lock-retain-until-date', ({ body, headers }) => one(retainUntil(body, headers))],
  ['s3:object-lock-remaining-retention-days', remainingDays],
  ...HEADER_KEYS.map((name): [string, Key] => [`s3:${name}`, header(name)]),
]);

function ageOf(nowMs: number, atMs: number | null): Values {
  return atMs === null ? null : [String(nowMs - atMs)];
}

function retainUntil(body: PolicyRequest['body'], headers: Headers): string | null {
  return (
    body['s3:object-lock-retain-until-date'] ??
    headerOf(headers, 'x-amz-object-lock-retain-until-date')
  );
}

const DAY_MS = 86_400_000;

function remainingDays({ body, headers, nowMs }: PolicyRequest): Values {
  const untilMs = Date.parse(retainUntil(body, headers) ?? '');
  return Number.isNaN(untilMs) ? null : [String(Math.ceil((untilMs - nowMs) / DAY_MS))];
}

export const EXISTING_TAG = 's3:existingobjecttag/';
const NEW_TAG = 's3:requestobjecttag/';

/** In lower case, but for the name of a tag behind the slash, whose case counts. */
export function conditionKeyOf(key: string): string {
  const slash = key.indexOf('/');
  return slash < 0 ? key.toLowerCase() : key.slice(0, slash).toLowerCase() + key.slice(slash);
}

/** `key` as `conditionKeyOf` gives it. */
export function isKnownKey(key: string): boolean {
  return (
    KEYS.has(key) ||
    (key.startsWith(EXISTING_TAG) && key.length > EXISTING_TAG.length) ||
    (key.startsWith(NEW_TAG) && key.length > NEW_TAG.length)
  );
}

const REFUSED: ReadonlySet<string> = new Set([
  ...[
    's3:locationconstraint',
    's3:dataaccesspointarn',
    's3:accesspointarn',
    's3:objectcreationoperation',
  ],
  ...[
    's3:dataaccesspointaccount',
    's3:inventoryaccessibleoptionalfields',
    's3:x-amz-object-ownership',
  ],
]);

/** Those that S3 has and that cannot be judged here. */
export function isRefusedKey(key: string): boolean {
  return /^aws:[a-z0-9]+(?:\/.+)?$/s.test(key) || REFUSED.has(key);
}

export function valuesOf(request: PolicyRequest, key: string): Values {
  if (key.startsWith(EXISTING_TAG))
    return ofTag(request.existingTags, key.slice(EXISTING_TAG.length));
  if (key.startsWith(NEW_TAG)) return ofTag(request.newTags(), key.slice(NEW_TAG.length));
  return KEYS.get(key)?.(request) ?? null;
}

function ofTag(tags: readonly Tag[], name: string): Values {
  const found = tags.find(({ key }) => key === name);
  return found === undefined ? null : [found.value];
}
