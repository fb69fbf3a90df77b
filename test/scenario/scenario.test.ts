import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runScenario } from './runner.ts';

/**
 * Stories to read: commands (`> ...`) with what they caused beneath each. After a wanted change of
 * behaviour: `SCENARIO=rewrite npx vitest run test/scenario`, then read the diff.
 */
const FOLDER = new URL('./', import.meta.url);

for (const name of readdirSync(FOLDER).sort()) {
  if (!name.endsWith('.txt')) continue;
  test(name.slice(0, -4).replaceAll('-', ' '), () => {
    const file = new URL(name, FOLDER);
    const text = readFileSync(file, 'utf8');
    const actual = runScenario(text);
    if (process.env['SCENARIO'] === 'rewrite') writeFileSync(file, actual);
    else expect(actual).toBe(text);
  });
}
