import { describe, expect, it } from 'vitest';
import { runSimulator } from './child.ts';
import { MUTANTS } from './mutants/registry.ts';

/** Positive controls: a simulator that finds nothing proves nothing. */
describe('seeded bugs are caught', () => {
  it.each(MUTANTS)(
    '$name: $what',
    async ({ name, seedsMax }) => {
      const seeds = `1..${seedsMax}`;
      const args = ['--mutant', name, '--seeds', seeds, '--workers', '1', '--first'];
      const { code, output } = await runSimulator(args);
      expect(output, 'the mutant could be built').toContain('seed 1:');
      expect(code, `not caught in seeds ${seeds}:\n${output.slice(-4000)}`).toBe(1);
      expect(output).toMatch(/seed \d+ failed: /);
    },
    240_000,
  );
});
