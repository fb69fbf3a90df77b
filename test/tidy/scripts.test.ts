import { expect, it } from 'vitest';
import { read } from './tree.ts';

/** Both install what is missing; they run on Node alone. */
const INSTALLS = /^node (?:cli\/start\.mjs|test\/run\.mjs)\b/;

it('every npm script works on a fresh clone: it begins with what installs', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const others = Object.entries(scripts).filter(([, command]) => !INSTALLS.test(command));
  expect(others).toEqual([]);
});
