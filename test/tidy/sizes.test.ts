import { expect, it } from 'vitest';
import { functionsOf } from './lexer.ts';
import {
  FACTORY_LINES_MAX,
  FILE_LINES_MAX,
  FUNCTION_LINES_MAX,
  MEDIAN_FILE_LINES_MAX,
} from './rules.ts';
import { read, sources } from './tree.ts';

interface Exemption {
  readonly lines: number;
  readonly reason: string;
}

interface Exemptions {
  readonly files: Readonly<Record<string, Exemption>>;
  readonly functions: Readonly<Record<string, Exemption>>;
}

/** Each entry is the size it has today: it may shrink, and then the entry shrinks with it. */
const exemptions = JSON.parse(read('test/tidy/exemptions.json')) as Exemptions;
const product = sources();
const tests = sources(['test', 'bench']);

function judge(
  what: string,
  lines: number,
  max: number,
  exemption: Exemption | undefined,
  cure: string,
): string | null {
  if (exemption === undefined)
    return lines > max ? `${what}: ${lines} lines, at most ${max}. ${cure}` : null;
  if (lines > exemption.lines)
    return `${what}: grew from ${exemption.lines} to ${lines} lines. ${cure}`;
  if (lines <= max) return `${what}: ${lines} lines need no exemption any more; remove the entry`;
  if (lines < exemption.lines)
    return `${what}: shrank to ${lines}; lower its entry in exemptions.json`;
  return null;
}

it(`files have at most ${FILE_LINES_MAX} lines`, () => {
  const cure = 'Split it by reason to change, or give test/tidy/exemptions.json a reason';
  const found = [...product, ...tests].map((file) =>
    judge(file.path, file.lineCount, FILE_LINES_MAX, exemptions.files[file.path], cure),
  );
  expect(found.filter((line) => line !== null).join('\n')).toBe('');
});

it(`functions have at most ${FUNCTION_LINES_MAX} lines`, () => {
  const cure = 'Parents branch, their parts compute: move a part out';
  const found: (string | null)[] = [];
  for (const file of product) {
    for (const fn of functionsOf(file.masked)) {
      const exemption = exemptions.functions[`${file.path}#${fn.name}`];
      const what = `${file.path}:${fn.line} ${fn.name}`;
      found.push(judge(what, fn.ownLines, FUNCTION_LINES_MAX, exemption, cure));
      if (fn.lines <= FACTORY_LINES_MAX) continue;
      found.push(
        `${what}: ${fn.lines} lines with the functions in it, at most ${FACTORY_LINES_MAX}`,
      );
    }
  }
  expect(found.filter((line) => line !== null).join('\n')).toBe('');
});

it(`half of all source files have less than ${MEDIAN_FILE_LINES_MAX} lines`, () => {
  const lengths = product.map((file) => file.lineCount).sort((a, b) => a - b);
  expect(lengths[lengths.length >> 1] ?? 0).toBeLessThan(MEDIAN_FILE_LINES_MAX);
});

it('every exemption names something that exists and says why', () => {
  const names = new Set([...product, ...tests].map((file) => file.path));
  const stale = [...Object.entries(exemptions.files), ...Object.entries(exemptions.functions)]
    .filter(([key, { reason }]) => !names.has(key.split('#')[0] as string) || reason.length < 10)
    .map(([key]) => `${key}: remove it from exemptions.json, or give its reason`);
  expect(stale.join('\n')).toBe('');
});
