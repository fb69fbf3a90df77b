import { posix } from 'node:path';
import { expect, it } from 'vitest';
import { BANNED_NOUNS, NOUN_EXCEPTIONS } from './rules.ts';
import { exists, SOURCE_FOLDERS, sources, walk } from './tree.ts';

it('file names are kebab-case and say what is in them', () => {
  const bad: string[] = [];
  for (const path of [...SOURCE_FOLDERS, 'test', 'bench'].flatMap(walk)) {
    const name = posix.basename(path);
    if (name.endsWith('.ts') && !/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9-]+)*\.ts$/.test(name)) {
      bad.push(`${path}: use kebab-case`);
    }
    if (BANNED_NOUNS.test(name) && !NOUN_EXCEPTIONS.has(path)) {
      bad.push(`${path}: name it after what it does, not manager, helper, util, service or data`);
    }
  }
  for (const path of NOUN_EXCEPTIONS.keys()) {
    if (!exists(path)) bad.push(`${path}: is gone; remove it from NOUN_EXCEPTIONS`);
  }
  expect(bad.join('\n')).toBe('');
});

/**
 * test/unit/a/b.test.ts is about a/b.ts, or about a topic of the folder a (model, crash, laws). Tests
 * of what is under test/ itself drop that first folder: test/unit/check is about test/check.
 */
it('unit tests mirror the source tree', () => {
  const orphans = walk('test/unit')
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => {
      const folder = posix.dirname(path.slice('test/unit/'.length));
      return ![folder, `test/${folder}`].some(exists);
    });
  const say = (path: string) => `${path}: there is no folder of that name to test`;
  expect(orphans.map(say).join('\n')).toBe('');
});

it('tests live under test/', () => {
  const stray = sources().filter((file) => /\.(?:test|spec)\.ts$/.test(file.path));
  expect(stray.map((file) => `${file.path}: move it to test/unit`).join('\n')).toBe('');
});
