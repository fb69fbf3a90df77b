import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runSimulator } from './child.ts';

/** Real seconds for the range of seeds; set SIM_BUDGET higher for a long run. */
const BUDGET_S = Number(process.env['SIM_BUDGET'] ?? 60);
/** `npm test` has just run this range as a stage of its own: then this shows only that the sources do. */
const IS_PART = process.env['SIM_RANGE_DONE'] === '1';
const RANGE_BUDGET_S = IS_PART ? Math.min(10, BUDGET_S) : BUDGET_S;
/** Virtual seconds of a seed that once failed: its draws are not those of then any more, so `npm test` is content with the first minute. */
const OLD_SEED_S = IS_PART ? 60 : Number.POSITIVE_INFINITY;

const seedLines = readFileSync(new URL('seeds.txt', import.meta.url), 'utf8')
  .split('\n')
  .map((line) => line.replace(/#.*/, '').trim())
  .filter((line) => line !== '');

const hashOf = (output: string): string | undefined =>
  /(?:ok {2}|FAIL) ([0-9a-f]{16})/.exec(output)?.[1];

function shortened(args: readonly string[]): string[] {
  const at = args.indexOf('--seconds') + 1;
  return args.map((arg, i) =>
    i === at && at > 0 ? String(Math.min(Number(arg), OLD_SEED_S)) : arg,
  );
}

describe('whole clusters in virtual time', () => {
  it(
    'seeds 1 to 100 hold every property, as far as the budget goes',
    async () => {
      const args = ['--seeds', '1..100', '--seconds', '200', '--budget', String(RANGE_BUDGET_S)];
      const { code, output } = await runSimulator(args);
      const finished = output.match(/^seed \d+: ok/gm)?.length ?? 0;
      expect(code, output.slice(-8000)).toBe(0);
      expect(finished).toBeGreaterThanOrEqual(2);
    },
    (BUDGET_S + 240) * 1000,
  );

  it(
    'and so they do with snapshots all the time',
    async () => {
      const budget = String(Math.ceil(BUDGET_S / 2));
      const args = ['--small', '--seeds', '601..640', '--seconds', '60', '--budget', budget];
      const { code, output } = await runSimulator(args);
      expect(code, output.slice(-8000)).toBe(0);
      expect(output.match(/^seed \d+: ok/gm)?.length ?? 0).toBeGreaterThanOrEqual(2);
    },
    (BUDGET_S + 240) * 1000,
  );

  it.each(seedLines)(
    'seed that once failed: %s',
    async (line) => {
      const { code, output } = await runSimulator(shortened(line.split(/\s+/)));
      expect(code, output.slice(-8000)).toBe(0);
    },
    240_000,
  );

  it('the same seed gives the same run, message by message', async () => {
    const args = ['--seed', '11', '--seconds', '30'];
    const [first, second] = await Promise.all([runSimulator(args), runSimulator(args)]);
    expect(hashOf(first.output)).toBeDefined();
    expect(hashOf(first.output)).toBe(hashOf(second.output));
    const other = await runSimulator(['--seed', '12', '--seconds', '30']);
    expect(hashOf(other.output)).not.toBe(hashOf(first.output));
  }, 240_000);
});
