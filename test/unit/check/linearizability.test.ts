import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Input, Operation, Output, Precondition } from '../../check/history.ts';
import { checkLinearizability } from '../../check/linearizability.ts';

const get: Input = { type: 'get' };
const put = (value: string, condition: Precondition | null = null, expires = false): Input => ({
  type: 'put',
  value,
  condition,
  expires,
});
const del = (condition: Precondition | null = null): Input => ({ type: 'delete', condition });
const ifRevision = (revision: number): Precondition => ({ type: 'revision', revision });
const got = (value: string, revision: number): Output => ({ type: 'got', value, revision });
const nothing: Output = { type: 'got', value: null, revision: 0 };
const written = (revision: number): Output => ({ type: 'put', revision });
const deleted = (revision: number): Output => ({
  type: 'deleted',
  deleted: revision > 0,
  revision,
});
const refused = (revision: number): Output => ({ type: 'precondition_failed', revision });

/** One operation; `ret` null: its outcome is not known. */
function op(
  process: number,
  [call, ret]: readonly [number, number | null],
  input: Input,
  output: Output | null = null,
): Operation {
  return { process, key: 'k', input, output, call, ret: ret ?? Number.POSITIVE_INFINITY };
}

function resultOf(...history: Operation[]): string {
  return checkLinearizability(history).result;
}

describe('valid histories', () => {
  it('an empty history is linearizable', () => expect(resultOf()).toBe('ok'));

  it('a read that overlaps a put may see either side', () => {
    const before = op(2, [2, 4], get, nothing);
    const after = op(2, [2, 4], get, got('a', 10));
    expect(resultOf(op(1, [1, 5], put('a'), written(10)), before)).toBe('ok');
    expect(resultOf(op(1, [1, 5], put('a'), written(10)), after)).toBe('ok');
  });

  it('equal instants count as concurrent', () => {
    expect(resultOf(op(1, [1, 2], put('a'), written(10)), op(2, [2, 3], get, nothing))).toBe('ok');
  });

  it('an indeterminate put may take effect much later', () => {
    const lost = op(1, [1, null], put('a'));
    expect(resultOf(lost, op(2, [2, 3], get, nothing), op(2, [50, 60], get, got('a', 7)))).toBe(
      'ok',
    );
  });

  it('an indeterminate put may never take effect', () => {
    expect(resultOf(op(1, [1, null], put('a')), op(2, [2, 3], get, nothing))).toBe('ok');
  });

  it('a compare shows the revision of an indeterminate put', () => {
    const lost = op(1, [1, null], put('a'));
    const compared = op(2, [5, 6], put('b', ifRevision(7)), written(9));
    expect(resultOf(lost, compared, op(2, [7, 8], get, got('b', 9)))).toBe('ok');
    const refusal = op(2, [5, 6], put('b', { type: 'absent' }), refused(7));
    expect(resultOf(lost, refusal, op(2, [7, 8], get, got('a', 7)))).toBe('ok');
  });

  it('a key with a time to live may become absent, once', () => {
    const ttl = op(1, [1, 2], put('a', null, true), written(10));
    expect(resultOf(ttl, op(2, [3, 4], get, got('a', 10)), op(2, [5, 6], get, nothing))).toBe('ok');
    const again = op(2, [7, 8], get, got('a', 10));
    expect(resultOf(ttl, op(2, [5, 6], get, nothing), again)).toBe('violation');
  });

  it('deletes, refusals and conditions follow each other', () => {
    expect(
      resultOf(
        op(1, [1, 2], put('a', { type: 'absent' }), written(10)),
        op(1, [3, 4], put('b', { type: 'absent' }), refused(10)),
        op(1, [5, 6], put('c', ifRevision(10)), written(11)),
        op(1, [7, 8], del(ifRevision(10)), refused(11)),
        op(1, [9, 10], del({ type: 'exists' }), deleted(12)),
        op(1, [11, 12], del(), deleted(0)),
        op(1, [13, 14], put('d', ifRevision(0)), written(15)),
      ),
    ).toBe('ok');
  });
});

describe('violations', () => {
  const a = op(1, [1, 2], put('a'), written(10));
  const b = op(1, [3, 4], put('b'), written(11));

  it('a stale read after a newer put was acknowledged', () => {
    expect(resultOf(a, b, op(2, [5, 6], get, got('a', 10)))).toBe('violation');
  });

  it('a read of absent after a put was acknowledged', () => {
    expect(resultOf(a, op(2, [5, 6], get, nothing))).toBe('violation');
  });

  it('two reads that see an overlapping put and then not', () => {
    const slow = op(1, [1, 100], put('a'), written(10));
    const seen = op(2, [2, 3], get, got('a', 10));
    expect(resultOf(slow, seen, op(3, [4, 5], get, nothing))).toBe('violation');
  });

  it('a lost update: two compares on one revision both succeed', () => {
    const x = op(2, [5, 9], put('x', ifRevision(10)), written(12));
    const y = op(3, [6, 8], put('y', ifRevision(10)), written(13));
    expect(resultOf(a, x, y)).toBe('violation');
  });

  it('a value nobody wrote, and a value before its put began', () => {
    expect(resultOf(a, op(2, [5, 6], get, got('z', 12)))).toBe('violation');
    expect(resultOf(op(2, [1, 2], get, got('a', 10)), op(1, [3, 4], put('a'), written(10)))).toBe(
      'violation',
    );
  });

  it('a put that was refused and is read', () => {
    const refusal = op(1, [3, 4], put('b', { type: 'absent' }), refused(10));
    expect(resultOf(a, refusal, op(2, [5, 6], get, got('b', 11)))).toBe('violation');
  });

  it('revisions that run against the order of puts', () => {
    expect(
      resultOf(op(1, [1, 2], put('a'), written(11)), op(1, [3, 4], put('b'), written(10))),
    ).toBe('violation');
  });

  it('one revision for two values', () => {
    expect(
      resultOf(op(1, [1, 9], put('a'), written(10)), op(2, [1, 9], put('b'), written(10))),
    ).toBe('violation');
  });

  it('an indeterminate put that takes effect twice', () => {
    const lost = op(1, [1, null], put('a'));
    const between = op(2, [4, 5], put('b'), written(11));
    const reads = [op(2, [2, 3], get, got('a', 10)), op(2, [6, 7], get, got('a', 10))] as const;
    expect(resultOf(lost, between, ...reads)).toBe('violation');
  });

  it('an indeterminate delete explains one absence, not one before its call', () => {
    const lost = op(2, [20, null], del());
    expect(resultOf(a, lost, op(3, [21, 22], get, nothing))).toBe('ok');
    expect(resultOf(a, lost, op(3, [10, 11], get, nothing))).toBe('violation');
  });

  it('a delete of nothing while the key is there', () => {
    expect(resultOf(a, op(2, [3, 4], del(), deleted(0)))).toBe('violation');
  });

  it('a refusal for a condition that held', () => {
    expect(resultOf(a, op(2, [3, 4], put('b', ifRevision(10)), refused(10)))).toBe('violation');
  });

  it('names the key and what could not come next', () => {
    const verdict = checkLinearizability([a, op(2, [5, 6], get, nothing)]);
    expect(verdict).toMatchObject({ result: 'violation', key: 'k' });
    if (verdict.result === 'violation') expect(verdict.reason).toContain('p2 get -> absent');
  });

  it('a violation in one key is found among others', () => {
    const other = { ...op(1, [1, 2], put('q'), written(1)), key: 'other' };
    expect(resultOf(other, a, op(2, [5, 6], get, nothing))).toBe('violation');
  });
});

it('lost operations that nobody saw do not blow up the search', () => {
  const history = [op(1, [1, 2], put('a'), written(1))];
  for (let i = 0; i < 40; i++) history.push(op(10 + i, [3, null], put(`lost${i}`)));
  for (let i = 0; i < 40; i++) {
    history.push(op(2, [10 + i * 2, 11 + i * 2], put(`b${i}`), written(10 + i)));
  }
  // No precheck sees this one: absent has no revision.
  expect(checkLinearizability([...history, op(3, [200, 201], get, nothing)])).toMatchObject({
    result: 'violation',
  });
});

it('gives up with unknown, never with ok', () => {
  const history = [op(1, [1, 2], put('a'), written(10)), op(2, [3, 4], get, got('a', 10))];
  expect(checkLinearizability(history, { stepsMax: 1 }).result).toBe('unknown');
});

it('refuses a recorder that writes one value twice', () => {
  const twice = [op(1, [1, 2], put('a'), written(1)), op(1, [3, 4], put('a'), written(2))];
  expect(() => checkLinearizability(twice)).toThrow('unique');
});

/** What one simulated client does: which operation, how long before and after it takes effect. */
interface Plan {
  readonly kind: 'get' | 'put' | 'delete' | 'cas' | 'create';
  readonly key: number;
  readonly before: number;
  readonly after: number;
  readonly isLost: boolean;
  readonly isStaleCompare: boolean;
}

const plans = fc.array(
  fc.record<Plan>({
    kind: fc.constantFrom('get', 'put', 'delete', 'cas', 'create'),
    key: fc.integer({ min: 0, max: 2 }),
    before: fc.integer({ min: 0, max: 6 }),
    after: fc.integer({ min: 0, max: 6 }),
    isLost: fc.boolean(),
    isStaleCompare: fc.boolean(),
  }),
  { maxLength: 60 },
);

/** Runs the plans against a real register; operation i takes effect at time 10 * i. */
function execute(list: readonly Plan[]): Operation[] {
  const state = new Map<number, { value: string; revision: number }>();
  return list.map((plan, i) => {
    const current = state.get(plan.key);
    const revision = current?.revision ?? 0;
    const at = i * 10;
    let input: Input = get;
    let output: Output = current ? got(current.value, revision) : nothing;
    if (plan.kind === 'delete') {
      input = del();
      output = deleted(revision === 0 ? 0 : 100 + i);
      state.delete(plan.key);
    } else if (plan.kind !== 'get') {
      const compared = plan.isStaleCompare ? 1 : revision;
      const condition = plan.kind === 'cas' ? ifRevision(compared) : { type: 'absent' as const };
      input = put(`v${i}`, plan.kind === 'put' ? null : condition);
      const isMet =
        plan.kind === 'put' || (plan.kind === 'cas' ? compared === revision : revision === 0);
      output = isMet ? written(100 + i) : refused(revision);
      if (isMet) state.set(plan.key, { value: `v${i}`, revision: 100 + i });
    }
    const lost = plan.isLost && i % 5 === 0;
    return {
      process: i,
      key: `k${plan.key}`,
      input,
      output: lost ? null : output,
      call: at - plan.before * 10,
      ret: lost ? Number.POSITIVE_INFINITY : at + 1 + plan.after * 10,
    };
  });
}

describe('generated histories', () => {
  it('what a real register did is linearizable, whatever overlaps and whichever answers are lost', () => {
    fc.assert(
      fc.property(plans, (list) => {
        expect(checkLinearizability(execute(list)).result).toBe('ok');
      }),
      { numRuns: 300 },
    );
  });

  it('a read of an older value than one that was public is caught', () => {
    fc.assert(
      fc.property(plans, fc.nat(), (list, pick) => {
        const history = execute(list);
        const puts = history.filter((o) => o.output?.type === 'put' && o.key === 'k0');
        fc.pre(puts.length >= 2);
        const older = puts[pick % (puts.length - 1)] as Operation;
        const value = older.input.type === 'put' ? older.input.value : '';
        const last = puts[puts.length - 1] as Operation;
        const output = got(value, older.output?.revision ?? 0);
        history.push({ ...op(999, [last.ret + 1, last.ret + 2], get, output), key: 'k0' });
        expect(checkLinearizability(history).result).toBe('violation');
      }),
      { numRuns: 300 },
    );
  });

  it('checks a long history of ten clients fast enough to run after every seed', () => {
    const list = Array.from({ length: 20_000 }, (_, i): Plan => {
      const kinds = ['get', 'put', 'get', 'cas', 'get', 'delete', 'create'] as const;
      const kind = kinds[(i * 7919) % 7] as Plan['kind'];
      const [before, after] = [(i * 31) % 6, (i * 17) % 6] as const;
      return { kind, key: (i * 13) % 60, before, after, isLost: true, isStaleCompare: i % 4 === 0 };
    });
    const history = execute(list);
    const startedAt = performance.now();
    const verdict = checkLinearizability(history);
    const perSecond = Math.round(history.length / ((performance.now() - startedAt) / 1000));
    expect(verdict.result).toBe('ok');
    console.log(`linearizability: ${perSecond} operations per second`);
    expect(perSecond).toBeGreaterThan(2_000);
  });
});
