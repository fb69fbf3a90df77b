import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { MUTANTS } from '../sim/mutants/registry.ts';
import { SMALL_LIMITS } from '../sim/small-limits.ts';
import { patchesOf } from '../torture/mutants.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const PATCHES = [
  ...MUTANTS.flatMap(({ name, patches }) => patches.map((patch) => [name, patch] as const)),
  ...SMALL_LIMITS.map((patch) => ['--small', patch] as const),
  ...patchesOf('fsync-skipped').map((patch) => ['fsync-skipped', patch] as const),
];

/** A mutant whose place has moved is no mutant: found here in a second, not where it is to be caught. */
it.each(PATCHES)('%s finds its place once', (_name, { file, find }) => {
  expect(readFileSync(join(ROOT, file), 'utf8').split(find)).toHaveLength(2);
});
