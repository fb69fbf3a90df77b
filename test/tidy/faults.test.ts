import { describe, expect, it } from 'vitest';
import { namedTests } from '../faults/named.ts';
import { lastResults } from '../faults/page.ts';
import { ROWS } from '../faults/rows.ts';

describe('named fault tests', () => {
  const tests = namedTests();

  it('every row that can be met has a test', () => {
    const untested = Object.entries(ROWS)
      .filter(([id, row]) => row.waitsFor === undefined && !tests.some((t) => t.rows.includes(id)))
      .map(([id, row]) => `${id} ${row.what}: write a test whose title begins with ${id}`);
    expect(untested.join('\n')).toBe('');
  });

  it('no test names a row that does not exist', () => {
    const unknown = tests.flatMap(({ rows, path, title }) =>
      rows.filter((id) => ROWS[id] === undefined).map((id) => `${path}: ${id} in "${title}"`),
    );
    expect(unknown.join('\n')).toBe('');
  });

  it('no result is kept of a test that is gone', () => {
    const titles = new Set(tests.map(({ title }) => title));
    const stale = Object.keys(lastResults().outcomes).filter((title) => !titles.has(title));
    expect(stale.map((title) => `${title}: run npm run faults`).join('\n')).toBe('');
  });

  it('two tests have the same title only in one suite of several adapters', () => {
    const seen = new Map<string, string>();
    const twice = tests.flatMap(({ title, path }) => {
      const other = seen.get(title);
      seen.set(title, path);
      return other === undefined ? [] : [`${title}: ${other}, ${path}`];
    });
    expect(twice.join('\n')).toBe('');
  });
});
