import { describe, expect, it } from 'vitest';
import { AnswerBudget, ByteBudget } from '../../../protocol/answer-budget.ts';
import { LIMITS } from '../../../protocol/limits.ts';
import type { Item } from '../../../protocol/messages/request.ts';
import { randomInt, seededRandom } from '../../../protocol/random.ts';

function item(value: Uint8Array, key = 'k'): Item {
  return {
    ...{ ref: { tenant: 't', space: 's', key }, value, revision: 1, createRevision: 1 },
    ...{ version: 1, contentType: null, expiresAtMs: null },
  };
}

describe('the budget of an answer', () => {
  it('takes items up to its bound, and after the first that does not fit none', () => {
    const budget = new AnswerBudget({ bytesMax: 10_000 });
    expect(budget.take(item(new Uint8Array(5_000)))).toBeNull();
    expect(budget.take(item(new Uint8Array(5_000)))).toMatchObject({
      ...{ code: 'too_large', definite: true },
    });
    expect(budget.failure?.code).toBe('too_large');
    expect(budget.take(item(new Uint8Array(0)))?.code).toBe('too_large');
  });

  it('is never above batchAnswerBytesMax, and items without values count', () => {
    for (const options of [{}, { bytesMax: 1e12 }]) {
      const budget = new AnswerBudget(options);
      let taken = 0;
      while (budget.take(item(new Uint8Array(0))) === null) taken++;
      expect(taken).toBeGreaterThan(LIMITS.batchOpsMax);
      expect(taken * 64).toBeLessThan(LIMITS.batchAnswerBytesMax);
    }
  });

  it('shares what all answers may hold, gives it back once, and takes nothing after that', () => {
    const shared = new ByteBudget(10_000);
    const [one, two] = [new AnswerBudget({ shared }), new AnswerBudget({ shared })];
    expect(one.take(item(new Uint8Array(6_000)))).toBeNull();
    expect(two.take(item(new Uint8Array(6_000)))).toMatchObject({
      ...{ code: 'overloaded', definite: true },
    });
    one.release();
    one.release();
    expect(shared.heldBytes).toBe(0);
    expect(one.take(item(new Uint8Array(1)))?.code).toBe('unavailable');
    expect(shared.heldBytes).toBe(0);
    expect(new AnswerBudget({ shared }).take(item(new Uint8Array(6_000)))).toBeNull();
  });

  it('counts text as it is escaped: what fits is never longer as JSON', () => {
    const random = seededRandom(3);
    for (let round = 0; round < 200; round++) {
      const isText = round % 2 === 0;
      const value = Buffer.from(
        Array.from({ length: randomInt(random, 0, 3_000) }, () =>
          isText ? randomInt(random, 0, 127) : randomInt(random, 0, 255),
        ),
      );
      const text = value.toString('utf8');
      const isUtf8 = Buffer.from(text, 'utf8').equals(value);
      const shown = JSON.stringify(isUtf8 ? text : value.toString('base64'));
      const shared = new ByteBudget(Number.MAX_SAFE_INTEGER);
      new AnswerBudget({ shared, isText: true }).take(item(value));
      expect(Buffer.byteLength(shown)).toBeLessThanOrEqual(shared.heldBytes);
    }
  });
});
