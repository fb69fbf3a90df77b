import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { longKeyHash } from '../../../gateways/peer/events.ts';
import {
  apiSubject,
  eventSubject,
  helloSubject,
  isClusterName,
  LANES,
  nodeSubject,
} from '../../../protocol/subjects.ts';
import type { NodeId } from '../../../protocol/types.ts';

const subjectOf = (tenant: string, space: string, key: string): string =>
  eventSubject({ tenant, space, key }, longKeyHash);

const latin1 = (maxLength: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString('latin1'));
/** Keys made to collide: few characters, many separators. */
const tricky = fc
  .array(fc.constantFrom('/', '.', '_', 'a', '5', 'f', '2', 'h', '\0', '\xff', '*', '>', ' '), {
    maxLength: 24,
  })
  .map((parts) => parts.join(''));
const key = fc.oneof(latin1(64), tricky, latin1(2_000));
const name = fc.stringMatching(/^[A-Za-z0-9._-]{1,12}$/);

describe('subjects', () => {
  it('name nodes, lanes, hello and the API', () => {
    const subjects = LANES.map((lane) => nodeSubject('c1', 'n1' as NodeId, lane));
    expect(subjects).toEqual([
      'minikv.c1.node.n1.raft',
      'minikv.c1.node.n1.request',
      'minikv.c1.node.n1.blob',
      'minikv.c1.node.n1.snapshot',
    ]);
    expect(helloSubject('c1')).toBe('minikv.c1.hello');
    expect(apiSubject('get')).toBe('minikv.api.get');
  });

  it('cluster names are one token', () => {
    for (const good of ['a', 'c-1', '0', 'a'.repeat(32)]) expect(isClusterName(good)).toBe(true);
    for (const bad of ['', '-a', 'A', 'a.b', 'a b', '*', '>', 'a'.repeat(33), 'é', 'a\n']) {
      expect(isClusterName(bad)).toBe(false);
    }
  });

  it('spell keys out', () => {
    expect(subjectOf('default', 'kv', 'users/42')).toBe('minikv.events.default.kv.users.42');
    expect(subjectOf('default', 'kv', 'a.b_c d')).toBe('minikv.events.default.kv.a_2eb_5fc_20d');
    expect(subjectOf('default', 'kv', '')).toBe('minikv.events.default.kv._');
    expect(subjectOf('default', 'kv', '/a//')).toBe('minikv.events.default.kv._.a._._');
    expect(subjectOf('t.1', 'kv', '\xff')).toBe('minikv.events.t_2e1.kv._ff');
    const deep = subjectOf('t', 'kv', Array.from({ length: 20 }, (_, i) => i).join('/'));
    expect(deep).toBe(
      'minikv.events.t.kv.0.1.2.3.4.5.6.7.8.9.10.11.12.13.14.15_2f16_2f17_2f18_2f19',
    );
    expect(subjectOf('t', 'kv', 'x'.repeat(901))).toMatch(
      /^minikv\.events\.t\.kv\._h[0-9a-f]{32}$/,
    );
  });

  it('of different keys are different', () => {
    const ref = fc.record({ tenant: name, space: name, key });
    fc.assert(
      fc.property(ref, ref, key, (a, b, otherKey) => {
        for (const other of [b, { ...a, key: otherKey }, { ...a, key: `${a.key}/` }]) {
          const isSame =
            a.tenant === other.tenant && a.space === other.space && a.key === other.key;
          const equal =
            subjectOf(a.tenant, a.space, a.key) === subjectOf(other.tenant, other.space, other.key);
          expect(equal).toBe(isSame);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('of many tricky keys never collide', () => {
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(tricky, (text) => {
        const subject = subjectOf('t', 'kv', text);
        expect(seen.get(subject) ?? text).toBe(text);
        seen.set(subject, text);
      }),
      { numRuns: 5_000 },
    );
  });

  it('are valid NATS subjects within the control line, whatever the key', () => {
    fc.assert(
      fc.property(name, name, key, (tenant, space, text) => {
        const subject = subjectOf(tenant, space, text);
        expect(subject).toMatch(/^minikv\.events(\.[A-Za-z0-9_-]+){3,18}$/);
        expect(subject.length).toBeLessThanOrEqual(900);
      }),
      { numRuns: 1_000 },
    );
  });
});
