import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  ACTIONS,
  decide,
  type Principal,
  type Resource,
  ROLES,
  type Rule,
} from '../../../../gateways/identity/decision.ts';

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
