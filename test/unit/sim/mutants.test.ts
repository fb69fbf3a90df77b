import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { COPIED } from '../../sim/mutants/sandbox.ts';

/** Static imports of values; those of types are erased. */
const IMPORT = /^(?:import|export) (?!type\b)[^;]*?from '(\.[^']+)'/gm;
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

it('everything that the simulator imports is in the copy that a mutant is made of', () => {
  const seen = new Set(['test/sim/run.ts']);
  for (const file of seen) {
    for (const [, path = ''] of readFileSync(join(ROOT, file), 'utf8').matchAll(IMPORT)) {
      seen.add(join(file, '..', path));
    }
  }
  expect(seen.size).toBeGreaterThan(100);
  const isCopied = (file: string) =>
    COPIED.some((path) => file === path || file.startsWith(`${path}/`));
  expect([...seen].filter((file) => !isCopied(file))).toEqual([]);
});
