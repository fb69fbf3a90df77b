import { describe, expect, it } from 'vitest';
import { AMBIENT, AMBIENT_EXCEPTIONS, HOT_BANS, HOT_FILES } from './rules.ts';
import { type SourceFile, sources } from './tree.ts';

const product = sources();
const all = [...product, ...sources(['test', 'bench'])].filter(
  (file) => !file.path.startsWith('test/tidy/'),
);

/** Every match in a text that has the file's line structure, as `path:line: ...`. */
function find(
  file: SourceFile,
  text: string,
  pattern: RegExp,
  say: (hit: string) => string,
): string[] {
  return [...text.matchAll(pattern)].map((match) => {
    const line = text.slice(0, match.index).split('\n').length;
    return `${file.path}:${line}: ${say(match[0].trim())}`;
  });
}

function expectNone(violations: readonly string[]): void {
  expect(violations.join('\n')).toBe('');
}

describe('ambient effects', () => {
  for (const { name, instead } of AMBIENT) {
    it(`${instead}, not /${name}/`, () => {
      expectNone(
        product
          .filter((file) => !file.path.startsWith('cli/'))
          .flatMap((file) =>
            find(
              file,
              file.masked.code,
              new RegExp(name, 'g'),
              (hit) => `${hit}: use ${instead}`,
            ).filter(
              (line) =>
                !AMBIENT_EXCEPTIONS.some((e) => e.path.test(file.path) && e.name.test(line)),
            ),
          ),
      );
    });
  }

  it('every exception is still needed', () => {
    const paths = product.map((file) => file.path);
    const stale = AMBIENT_EXCEPTIONS.filter((e) => !paths.some((path) => e.path.test(path)));
    expectNone(stale.map((e) => `${e.path.source}: remove it from AMBIENT_EXCEPTIONS`));
  });
});

describe('hot files', () => {
  for (const { name, instead } of HOT_BANS) {
    it(`${instead}, not /${name}/`, () => {
      expectNone(
        product
          .filter((file) => HOT_FILES.test(file.path))
          .flatMap((file) =>
            find(file, file.masked.code, new RegExp(name, 'g'), (hit) => `${hit}: use ${instead}`),
          ),
      );
    });
  }
});

describe('language', () => {
  it('no enum and no namespace: Node strips types, it does not compile them', () => {
    const pattern =
      /^[ \t]*(?:export\s+)?(?:declare\s+)?(?:const\s+)?(?:enum|namespace)\s+\w+\s*\{/gm;
    expectNone(
      all.flatMap((file) =>
        find(file, file.masked.code, pattern, (hit) => `${hit}: use a union or a module`),
      ),
    );
  });

  it('no any outside protocol/schema.ts', () => {
    const pattern = /(?::|<|\bas|\||,|=>)\s*any\b(?!\s*[(:])/g;
    expectNone(
      product
        .filter((file) => file.path !== 'protocol/schema.ts')
        .flatMap((file) =>
          find(file, file.masked.code, pattern, () => 'any: use unknown and narrow it'),
        ),
    );
  });

  it('comments promise nothing: no FIXME, and TODO only with its issue number', () => {
    const pattern = /\bFIXME\b|\bXXX\b|\bTODO\b(?!\(#\d+\))/g;
    expectNone(
      all.flatMap((file) =>
        find(
          file,
          file.masked.comments,
          pattern,
          (hit) => `${hit}: do it, or open an issue and write TODO(#123)`,
        ),
      ),
    );
  });

  it('no test is switched off or singled out', () => {
    const pattern = /\b(?:it|test|describe)\s*\.\s*(?:only|skip|todo)\b/g;
    expectNone(
      all.flatMap((file) =>
        find(
          file,
          file.masked.code,
          pattern,
          (hit) => `${hit}: run it, fix it or remove it (skipIf with a reason is fine)`,
        ),
      ),
    );
  });
});
