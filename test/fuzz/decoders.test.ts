import { describe, expect, it } from 'vitest';
import { caseOf, DECODERS, fuzzDecoder } from './decoders.ts';
import { pickOf } from './mutate.ts';
import { Broken, type DecoderTarget } from './target.ts';

const CASES = 120;

describe('decoders of bytes from outside', () => {
  it.each(DECODERS)('$name takes what is valid', async (target) => {
    const drawn =
      target.draw === undefined ? [] : [1, 2, 3].map((seed) => pickOf(seed, target.name));
    const valid = [...target.seeds, ...drawn.map((pick) => target.draw?.(pick) as Uint8Array)];
    expect(valid.length).toBeGreaterThan(0);
    for (const bytes of valid) await target.take(Buffer.from(bytes));
  });

  it.each(DECODERS)('$name answers or refuses whatever comes', async (target) => {
    const untilMs = performance.now() + 5_000;
    const { cases, failure } = await fuzzDecoder(target, { seed: 1, cases: CASES, untilMs });
    expect(failure).toBeNull();
    expect(cases).toBeGreaterThan(0);
  });
});

describe('the fuzzer itself', () => {
  const target: DecoderTarget = {
    ...{ name: 'a target', seeds: [Buffer.from('abc')], isRefusal: () => false },
    take: () => {},
  };
  const failureOf = async (take: DecoderTarget['take'], seed = 7) => {
    const outcome = await caseOf({ ...target, take }, seed);
    return typeof outcome === 'string' ? null : outcome;
  };

  it('finds other errors, values that come back changed, and what takes much memory', async () => {
    const thrown = await failureOf(() => {
      throw new TypeError('of the program');
    });
    expect(thrown?.why).toContain('of the program');
    const broken = await failureOf(async () => {
      throw new Broken('changed');
    });
    expect(broken?.why).toContain('changed');
    const kept: unknown[] = [];
    const large = await failureOf(() => {
      kept.push(new Uint8Array(200 * 1024 * 1024));
    });
    expect(large?.why).toMatch(/it allocated 2\d\d MB/);
  });

  it('finds what takes long', async () => {
    const { user } = process.cpuUsage();
    const take = (): void => {
      while (process.cpuUsage().user - user < 150_000);
    };
    const slow = await caseOf({ ...target, take }, 7, 100);
    expect(slow).toMatchObject({ why: expect.stringMatching(/it took \d{3,} ms/) });
  });

  it('gives the same input for the same seed', async () => {
    const inputs = [];
    for (const seed of [7, 7, 8]) {
      const failure = await failureOf(() => {
        throw new Error('x');
      }, seed);
      inputs.push(failure?.input);
    }
    expect(inputs[0]).toBe(inputs[1]);
    expect(inputs[0]).not.toBe(inputs[2]);
  });
});
