import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { footprintOf } from '../../../../actors/apply/txn-locks.ts';
import { type Prepared, TxnTable } from '../../../../actors/apply/txn-table.ts';
import { txnName } from '../../../../protocol/txn.ts';

const body = { compares: [], then: [], otherwise: null };
const part = { body, comparesAt: [], thenAt: [], otherwiseAt: [] };

describe('what is prepared', () => {
  it('has the lowest revision of all that have not ended, in whatever order they end', () => {
    const step = fc.record({ ends: fc.boolean(), at: fc.nat(1_000), asked: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = new TxnTable();
        let open: Prepared[] = [];
        const isRight = (): void => {
          const revisions = open.map(({ revision }) => revision);
          expect(table.lowest).toBe(Math.min(Number.POSITIVE_INFINITY, ...revisions));
        };
        for (const [i, { ends, at, asked }] of steps.entries()) {
          const ended = ends ? open[at % Math.max(1, open.length)] : undefined;
          if (ended !== undefined) {
            table.remove(ended);
            open = open.filter((one) => one !== ended);
          } else {
            const id = { home: 2, term: 1, start: i + 1 };
            open.push(table.add(id, 1 + at, part, footprintOf(body)) as Prepared);
          }
          if (asked) isRight();
        }
        isRight();
        expect([table.size, table.ended]).toEqual([open.length, steps.length - countAdded(steps)]);
      }),
    );
  });
});

describe('a transaction that is prepared', () => {
  it('is found by its whole name, whatever others there are that began at the same revision', () => {
    const step = fc.record({
      home: fc.integer({ min: 1, max: 2 }),
      term: fc.integer({ min: 1, max: 2 }),
      start: fc.integer({ min: 1, max: 3 }),
      revision: fc.nat(1_000),
    });
    const names = (all: readonly Prepared[]): string[] => all.map(({ id }) => txnName(id)).sort();
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = new TxnTable();
        const open = new Map<string, Prepared>();
        for (const { revision, ...id } of steps) {
          const known = open.get(txnName(id)) ?? null;
          expect(table.get(id)).toBe(known);
          if (known === null) {
            const added = table.add(id, revision, part, footprintOf(body)) as Prepared;
            open.set(txnName(id), added);
          } else {
            table.remove(known);
            open.delete(txnName(id));
            expect(table.get(id)).toBeNull();
          }
          expect(names(table.all())).toEqual(names([...open.values()]));
          expect(table.size).toBe(open.size);
        }
      }),
    );
  });
});

function countAdded(steps: readonly { readonly ends: boolean }[]): number {
  let open = 0;
  let added = 0;
  for (const { ends } of steps) {
    if (ends && open > 0) open--;
    else {
      open++;
      added++;
    }
  }
  return added;
}
