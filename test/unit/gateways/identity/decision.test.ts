import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  ACTIONS,
  decide,
  decideRange,
  decideSomewhere,
  type Principal,
  type Resource,
  ROLES,
  type Rule,
} from '../../../../gateways/identity/decision.ts';
import { prefixEnd } from '../../../../protocol/bytes.ts';

const NOW = { wallMs: 1_000 };
const KINDS = ['key', 'bucket', 'cluster'] as const;

const nameArb = fc.constantFrom('', 'a', 'ab', 'a/b', 'b');
const resourceArb: fc.Arbitrary<Resource> = fc.record({
  tenant: fc.constantFrom('t1', 't2'),
  kind: fc.constantFrom(...KINDS),
  name: nameArb,
});
const ruleArb: fc.Arbitrary<Rule> = fc.record({
  effect: fc.constantFrom('allow', 'deny'),
  actions: fc.subarray(['*', 'data:*', 'admin:*', ...ACTIONS]),
  resources: fc.array(fc.record({ kind: fc.constantFrom('*', ...KINDS), prefix: nameArb }), {
    maxLength: 3,
  }),
});
const principalArb: fc.Arbitrary<Principal> = fc.record({
  id: fc.constant('key:x'),
  tenant: fc.constantFrom('t1', 't2'),
  rules: fc.array(ruleArb, { maxLength: 5 }),
  isRevoked: fc.boolean(),
  expiresAtMs: fc.constantFrom(null, 999, 1_000, 1_001),
});
const actionArb = fc.constantFrom(...ACTIONS);

function whoIs(rules: readonly Rule[], more: Partial<Principal> = {}): Principal {
  return { id: 'key:x', tenant: 't1', rules, isRevoked: false, expiresAtMs: null, ...more };
}

it('nothing is allowed without a rule that allows it', () => {
  fc.assert(
    fc.property(principalArb, actionArb, resourceArb, (principal, action, resource) => {
      const rules = principal.rules.filter(({ effect }) => effect === 'deny');
      expect(decide({ ...principal, rules }, action, resource, NOW)).not.toBe('allowed');
    }),
  );
});

it('who is revoked, expired or of another tenant is allowed nothing, whatever the rules say', () => {
  fc.assert(
    fc.property(principalArb, actionArb, resourceArb, (principal, action, resource) => {
      const rules = [...principal.rules, ...ROLES.admin];
      const reason = decide({ ...principal, rules }, action, resource, NOW);
      const isOver = principal.expiresAtMs !== null && principal.expiresAtMs <= 1_000;
      if (principal.isRevoked) expect(reason).toBe('revoked');
      else if (isOver) expect(reason).toBe('expired');
      else if (principal.tenant !== resource.tenant) expect(reason).toBe('other_tenant');
      else expect(['allowed', 'denied_by_rule']).toContain(reason);
    }),
  );
});

it('a rule that denies takes away and never gives; one that allows gives and never takes away; their order is nothing', () => {
  fc.assert(
    fc.property(
      principalArb,
      ruleArb,
      actionArb,
      resourceArb,
      (principal, rule, action, resource) => {
        const before = decide(principal, action, resource, NOW);
        const rules = [...principal.rules, rule];
        const after = decide({ ...principal, rules }, action, resource, NOW);
        expect(decide({ ...principal, rules: rules.reverse() }, action, resource, NOW)).toBe(after);
        if (rule.effect === 'deny' && before !== 'allowed') expect(after).not.toBe('allowed');
        if (rule.effect === 'allow' && before === 'allowed') expect(after).toBe('allowed');
      },
    ),
  );
});

it('a rule holds for its actions, kinds and prefixes alone', () => {
  const resources = [{ kind: 'key', prefix: 'a/' }] as const;
  const reader = whoIs([{ effect: 'allow', actions: ['data:read'], resources }]);
  const of = (action: (typeof ACTIONS)[number], kind: Resource['kind'], name: string) =>
    decide(reader, action, { tenant: 't1', kind, name }, NOW);
  expect(of('data:read', 'key', 'a/b')).toBe('allowed');
  expect(of('data:read', 'key', 'a')).toBe('no_rule');
  expect(of('data:read', 'bucket', 'a/b')).toBe('no_rule');
  expect(of('data:write', 'key', 'a/b')).toBe('no_rule');
  const family = whoIs([{ effect: 'allow', actions: ['data:*'], resources }]);
  expect(decide(family, 'data:watch', { tenant: 't1', kind: 'key', name: 'a/' }, NOW)).toBe(
    'allowed',
  );
  expect(decide(family, 'lease:read', { tenant: 't1', kind: 'key', name: 'a/' }, NOW)).toBe(
    'no_rule',
  );
});

const byteArb = fc.constantFrom('', 'a', '\xfe', '\xff');
const nameOf3 = fc.tuple(byteArb, byteArb, byteArb).map((parts) => parts.join(''));
const byteRuleArb: fc.Arbitrary<Rule> = fc.record({
  effect: fc.constantFrom('allow', 'deny'),
  actions: fc.constantFrom(['data:read'], ['data:*'], ['data:write']),
  resources: fc.array(fc.record({ kind: fc.constantFrom('*', 'key', 'bucket'), prefix: nameOf3 }), {
    minLength: 1,
    maxLength: 2,
  }),
});

it('a range is allowed only where every name of it is, and by one rule for all of them', () => {
  const rangeArb = fc.record({ start: nameOf3, end: fc.option(nameOf3) });
  fc.assert(
    fc.property(
      fc.array(byteRuleArb, { maxLength: 4 }),
      rangeArb,
      nameOf3,
      (rules, range, name) => {
        const who = whoIs(rules);
        const on = { tenant: 't1', kind: 'key', ...range } as const;
        const isIn = name >= range.start && (range.end === null || name < range.end);
        const ofName = decide(who, 'data:read', { tenant: 't1', kind: 'key', name }, NOW);
        const ofRange = decideRange(who, 'data:read', on, NOW);
        if (isIn && ofRange === 'allowed') expect(ofName).toBe('allowed');
        if (isIn && ofName === 'denied_by_rule') expect(ofRange).toBe('denied_by_rule');
        const kinds = ['key'] as const;
        const somewhere = decideSomewhere(who, 'data:read', { tenant: 't1', kinds }, NOW);
        if (ofName === 'allowed') expect(somewhere).toBe('allowed');
      },
    ),
    { numRuns: 1_000 },
  );
});

it('all names with a prefix are allowed where a rule allows that prefix and none denies any of them', () => {
  fc.assert(
    fc.property(fc.array(byteRuleArb, { maxLength: 3 }), nameOf3, (rules, prefix) => {
      const all = {
        effect: 'allow',
        actions: ['data:read'],
        resources: [{ kind: 'key', prefix }],
      } as const;
      const on = { tenant: 't1', kind: 'key', start: prefix, end: prefixEnd(prefix) } as const;
      const isDenied = rules.some(
        ({ effect, actions, resources }) =>
          effect === 'deny' &&
          !actions.includes('data:write') &&
          resources.some(
            (one) =>
              one.kind !== 'bucket' &&
              (one.prefix.startsWith(prefix) || prefix.startsWith(one.prefix)),
          ),
      );
      const reason = decideRange(whoIs([...rules, all]), 'data:read', on, NOW);
      expect(reason).toBe(isDenied ? 'denied_by_rule' : 'allowed');
    }),
    { numRuns: 1_000 },
  );
});

it('a rule for one tenant is none in another', () => {
  const resources = [{ kind: 'key', prefix: '', tenant: 't2' }] as const;
  const rules: readonly Rule[] = [{ effect: 'allow', actions: ['*'], resources }];
  const at = (tenant: string) =>
    decide(whoIs(rules, { tenant }), 'data:read', { tenant, kind: 'key', name: 'a' }, NOW);
  expect([at('t1'), at('t2')]).toEqual(['no_rule', 'allowed']);
});

it('there is no name at all where a denial covers whatever is allowed', () => {
  const rule = (effect: Rule['effect'], prefix: string): Rule => ({
    ...{ effect, actions: ['data:*'] },
    resources: [{ kind: 'key', prefix }],
  });
  const somewhere = (...rules: Rule[]) => {
    const who = { id: 'x', tenant: 't1', rules, isRevoked: false, expiresAtMs: null };
    const of = { tenant: 't1', kinds: ['key', 'bucket'] } as const;
    return decideSomewhere(who, 'data:write', of, NOW);
  };
  expect(somewhere(rule('allow', 'a/'), rule('deny', 'a/b'))).toBe('allowed');
  expect(somewhere(rule('allow', 'a/'), rule('deny', 'a/'))).toBe('denied_by_rule');
  expect(somewhere(rule('allow', 'a/'), rule('deny', ''))).toBe('denied_by_rule');
  expect(somewhere(rule('allow', 'a/'), rule('allow', 'b/'), rule('deny', 'a'))).toBe('allowed');
  expect(somewhere(rule('deny', ''))).toBe('no_rule');
  const everything: Rule = { ...rule('allow', ''), resources: [{ kind: '*', prefix: '' }] };
  expect(somewhere(everything, rule('deny', ''))).toBe('allowed');
});
