import { describe, expect, it, vi } from 'vitest';
import { runMutant } from './child.ts';
import { MUTANTS } from './mutants/registry.ts';

/** Side by side: else the other file of tests is done long before, and half of two cores is idle. */
const AT_ONCE = 2;
vi.setConfig({ maxConcurrency: AT_ONCE });

/** Positive controls: a simulator that finds nothing proves nothing. */
describe('seeded bugs are caught', () => {
  it.concurrent.each(MUTANTS)(
    '$name: $what',
    async (mutant) => {
      const seeds = `1..${mutant.seedsMax}`;
      const args = ['--seeds', seeds, '--workers', '1', '--first'];
      const { code, output } = await runMutant(mutant, args);
      expect(output, 'the mutant could be built').toContain('seed 1:');
      expect(code, `not caught in seeds ${seeds}:\n${output.slice(-4000)}`).toBe(1);
      expect(output).toMatch(/seed \d+ failed: /);
    },
    480_000,
  );
});
