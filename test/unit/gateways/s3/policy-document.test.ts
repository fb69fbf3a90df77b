import { describe, expect, it } from 'vitest';
import {
  answerOf,
  isPublicPolicy,
  type PolicyQuestion,
} from '../../../../gateways/s3/policy-decision.ts';
import { POLICY_BYTES_MAX, readPolicy } from '../../../../gateways/s3/policy-document.ts';
import { codeOf as refusalOf } from '../../../kit/s3-error-code.ts';

const ALL = {
  Effect: 'Allow',
  Principal: '*',
  Action: 's3:GetObject',
  Resource: 'arn:aws:s3:::bkt/*',
};

function read(statement: object, version = '2012-10-17') {
  return readPolicy(Buffer.from(JSON.stringify({ Version: version, Statement: statement })), 'bkt');
}

const codeOf = (text: string) => refusalOf(() => readPolicy(Buffer.from(text), 'bkt'));
const codeWith = (change: object) =>
  codeOf(JSON.stringify({ Version: '2012-10-17', Statement: [{ ...ALL, ...change }] }));

const MALFORMED: readonly (readonly [string, object])[] = [
  ['another effect', { Effect: 'allow' }],
  ['no effect', { Effect: undefined }],
  ['no principal', { Principal: undefined }],
  ['principal and not', { NotPrincipal: '*' }],
  ['an allowance for all but some', { Principal: undefined, NotPrincipal: { AWS: '1' } }],
  ['a principal of another kind', { Principal: { Nobody: 'x' } }],
  ['a principal that is text', { Principal: 'arn:aws:iam::1:root' }],
  ['a principal with a star inside', { Principal: { AWS: 'arn:aws:iam::1:user/*' } }],
  ['a canonical user that is anybody', { Principal: { CanonicalUser: '*' } }],
  ['an empty principal', { Principal: { AWS: [] } }],
  ['an unknown action', { Action: 's3:Dance' }],
  ['an action of another service', { Action: 'sts:AssumeRole' }],
  ['no action', { Action: undefined }],
  ['an empty list of actions', { Action: [] }],
  ['an action that is a number', { Action: 1 }],
  ['a bucket’s action on objects', { Action: 's3:ListBucket', Resource: 'arn:aws:s3:::bkt/k' }],
  ['an object’s action on a bucket', { Resource: 'arn:aws:s3:::bkt' }],
  ['no resource', { Resource: undefined }],
  ['another bucket', { Resource: 'arn:aws:s3:::other/*' }],
  ['a resource of another service', { Resource: 'arn:aws:sns:::bkt/*' }],
  ['a resource that is no ARN', { Resource: 'bkt/*' }],
  ['a bucket with the name as its beginning', { Resource: 'arn:aws:s3:::bkt2/*' }],
  ['an unknown field', { Actions: 's3:*' }],
  ['a Sid that is no text', { Sid: 1 }],
  ['a condition that is a list', { Condition: [] }],
  ['an unknown operator', { Condition: { Sometimes: { 'aws:Referer': 'a' } } }],
  ['an unknown key', { Condition: { StringEquals: { 's3:weather': 'rain' } } }],
  ['a tag without a name', { Condition: { StringEquals: { 's3:ExistingObjectTag/': 'a' } } }],
  ['a range that is none', { Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/99' } } }],
  ['no value', { Condition: { StringEquals: { 'aws:Referer': [] } } }],
  ['a value that is an object', { Condition: { StringEquals: { 'aws:Referer': {} } } }],
];

const DOCUMENTS: readonly (readonly [string, string])[] = [
  ['no JSON', 'allow all'],
  ['a list', '[]'],
  ['nothing inside', '{}'],
  ['no statements', '{"Statement":[]}'],
  ['a statement that is text', '{"Statement":["Allow"]}'],
  ['another version', JSON.stringify({ Version: '2020-01-01', Statement: [ALL] })],
  ['an unknown field', JSON.stringify({ Statement: [ALL], Statements: [] })],
  ['an Id that is no text', JSON.stringify({ Statement: [ALL], Id: 1 })],
  ['a name twice', '{"Statement":[],"Statement":[]}'],
  ['text before it', ` x${JSON.stringify({ Statement: [ALL] })}`],
];

describe('a policy that is MalformedPolicy', () => {
  for (const [what, change] of MALFORMED) {
    it(what, () => expect(codeWith(change)).toBe('MalformedPolicy'));
  }
  for (const [what, text] of DOCUMENTS) {
    it(what, () => expect(codeOf(text)).toBe('MalformedPolicy'));
  }

  it('more than 20 KiB', () => {
    const sized = (bytes: number) => {
      const text = JSON.stringify({ Id: '', Statement: [ALL] });
      return text.replace('"Id":""', `"Id":"${'x'.repeat(bytes - text.length)}"`);
    };
    expect(readPolicy(Buffer.from(sized(POLICY_BYTES_MAX)), 'bkt').statements).toHaveLength(1);
    expect(codeOf(sized(POLICY_BYTES_MAX + 1))).toBe('MalformedPolicy');
  });
});

describe('what cannot be judged is NotImplemented, and not passed over', () => {
  it('keys and variables of S3 that are not here', () => {
    const variable = `arn:aws:s3:::bkt/$\{aws:username}/*`;
    expect(codeWith({ Resource: variable })).toBe('NotImplemented');
    const key = { 'aws:PrincipalTag/team': 'a' };
    expect(codeWith({ Condition: { StringEquals: key } })).toBe('NotImplemented');
    const referer = { 'aws:Referer': `$\{aws:username}` };
    expect(codeWith({ Condition: { StringEquals: referer } })).toBe('NotImplemented');
    // The older version has no variables: it is text.
    expect(read([{ ...ALL, Resource: variable }], '2008-10-17').statements).toHaveLength(1);
  });
});

const ASKED: PolicyQuestion = { action: 's3:getobject', resource: 'bkt/a/b', principals: [] };
const OWNER = ['abc', 'arn:aws:iam::abc:root'];

function answer(statements: object[], more: Partial<PolicyQuestion> = {}, given: object = {}) {
  const values = new Map(Object.entries(given));
  return answerOf(read(statements), { ...ASKED, ...more }, (key) => values.get(key) ?? null);
}

describe('the answer of a policy', () => {
  it('is silent where no statement speaks of it', () => {
    expect(answer([{ ...ALL, Action: 's3:PutObject' }])).toBe('silent');
    expect(answer([{ ...ALL, Resource: 'arn:aws:s3:::bkt/b/*' }])).toBe('silent');
    expect(answer([{ ...ALL, Principal: { AWS: 'arn:aws:iam::other:root' } }])).toBe('silent');
    const Condition = { StringEquals: { 'aws:Referer': 'a' } };
    expect(answer([{ ...ALL, Condition }])).toBe('silent');
  });

  it('is a denial wherever one is, before or behind an allowance', () => {
    const deny = { ...ALL, Effect: 'Deny', Resource: 'arn:aws:s3:::bkt/a/*' };
    expect(answer([ALL, deny])).toBe('deny');
    expect(answer([deny, ALL])).toBe('deny');
    expect(answer([deny, ALL], { resource: 'bkt/c' })).toBe('allow');
  });

  it('needs all conditions, and one value of each', () => {
    const Condition = {
      StringEquals: { 'aws:Referer': ['a', 'b'], 's3:prefix': 'p' },
      NumericLessThan: { 's3:max-keys': 10 },
    };
    const given = { 'aws:referer': ['b'], 's3:prefix': ['p'], 's3:max-keys': ['9'] };
    expect(answer([{ ...ALL, Condition }], {}, given)).toBe('allow');
    for (const key of Object.keys(given)) {
      expect(answer([{ ...ALL, Condition }], {}, { ...given, [key]: ['10'] })).toBe('silent');
    }
  });

  it('takes actions and resources in any of their forms', () => {
    for (const Action of [
      '*',
      's3:*',
      's3:Get*',
      'S3:GETOBJECT',
      ['s3:PutObject', 's3:GetO?ject'],
    ]) {
      expect(answer([{ ...ALL, Action }])).toBe('allow');
    }
    for (const Resource of [
      '*',
      'arn:aws:s3:::*',
      'arn:aws:s3:::b?t/*/b',
      'arn:aws:s3:::bkt/a/b',
    ]) {
      expect(answer([{ ...ALL, Resource }])).toBe('allow');
    }
    expect(answer([{ ...ALL, Resource: 'arn:aws:s3:::bkt/A/b' }])).toBe('silent');
  });

  it('NotAction, NotResource and NotPrincipal are all else', () => {
    const but = { ...ALL, Action: undefined, NotAction: 's3:Put*' };
    expect(answer([but])).toBe('allow');
    expect(answer([but], { action: 's3:putobject' })).toBe('silent');
    const elsewhere = { ...ALL, Resource: undefined, NotResource: 'arn:aws:s3:::bkt/a/*' };
    expect(answer([elsewhere])).toBe('silent');
    expect(answer([elsewhere], { resource: 'bkt/c' })).toBe('allow');
    const others = { ...ALL, Effect: 'Deny', Principal: undefined, NotPrincipal: { AWS: 'abc' } };
    expect(answer([others])).toBe('deny');
    expect(answer([others], { principals: OWNER })).toBe('silent');
  });

  it('names the account by id, by ARN and as everybody', () => {
    for (const Principal of [
      ...['*', { AWS: '*' }, { AWS: 'abc' }, { CanonicalUser: 'abc' }],
      ...[{ AWS: ['other', 'arn:aws:iam::abc:root'] }, { Service: 'x', AWS: 'abc' }],
    ]) {
      expect(answer([{ ...ALL, Principal }], { principals: OWNER })).toBe('allow');
    }
    for (const Principal of [{ AWS: 'abc' }, { Service: '*' }, { Federated: '*' }]) {
      expect(answer([{ ...ALL, Principal }])).toBe('silent');
    }
  });
});

describe('a policy is public', () => {
  const isPublic = (change: object) => isPublicPolicy(read([{ ...ALL, ...change }]));
  it('where anybody is allowed something', () => {
    expect(isPublic({})).toBe(true);
    for (const Condition of [
      { IpAddress: { 'aws:SourceIp': '0.0.0.0/1' } },
      { IpAddress: { 'aws:SourceIp': ['10.0.0.0/8', '::/0'] } },
      { IpAddressIfExists: { 'aws:SourceIp': '10.0.0.0/8' } },
      { 'ForAllValues:IpAddress': { 'aws:SourceIp': '10.0.0.0/8' } },
      { NotIpAddress: { 'aws:SourceIp': '10.0.0.0/8' } },
      { StringLike: { 'aws:PrincipalArn': 'arn:aws:iam::*' } },
      { StringNotEquals: { 'aws:PrincipalArn': 'arn:aws:iam::abc:root' } },
      { StringEquals: { 'aws:Referer': 'http://a/' } },
    ]) {
      expect([Condition, isPublic({ Condition })]).toEqual([Condition, true]);
    }
  });

  it('and not where it denies, names accounts, or fixes who or where from', () => {
    expect(isPublic({ Effect: 'Deny' })).toBe(false);
    expect(isPublic({ Principal: { AWS: 'abc' } })).toBe(false);
    for (const Condition of [
      { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } },
      { IpAddress: { 'aws:SourceIp': ['10.0.0.0/8', '2001:db8::/32'] } },
      { ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam::abc:root' } },
      { StringEquals: { 'aws:PrincipalAccount': 'abc' } },
    ]) {
      expect([Condition, isPublic({ Condition })]).toEqual([Condition, false]);
    }
  });
});
