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

/** Tests of a whole folder, by what kind they are. */
const OF_A_FOLDER = /\/(?:model|laws|properties|fuzz)$/;

/** test/unit/a/b.test.ts and test/unit/a/b.topic.test.ts belong to a/b.ts, or to the folder a/b. */
it('unit tests mirror the source tree', () => {
  const orphans = walk('test/unit')
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => {
      const mirror = path.slice('test/unit/'.length).replace(/(?:\.[a-z0-9-]+)?\.test\.ts$/, '');
      const folder = mirror.replace(OF_A_FOLDER, '');
      return ![folder, `test/${folder}`].some((base) => exists(`${base}.ts`) || exists(base));
    });
  expect(orphans.map((path) => `${path}: there is no source file of that name`).join('\n')).toBe(
    '',
  );
});

it('tests live under test/', () => {
  const stray = sources().filter((file) => /\.(?:test|spec)\.ts$/.test(file.path));
  expect(stray.map((file) => `${file.path}: move it to test/unit`).join('\n')).toBe('');
});
