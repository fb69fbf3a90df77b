import { read, walk } from '../tidy/tree.ts';

/** A test whose title begins with the rows it is for. */
export interface NamedTest {
  readonly rows: readonly string[];
  /** As written; from its first placeholder on, what a report shows may differ. */
  readonly title: string;
  /** Where it is written. */
  readonly path: string;
}

const TITLED =
  /\b(?:it|test)(?:\.\w+(?:\([^\n]*?\))?)*\(\s*(['"`])((?:[BFI]\d\d)(?: [BFI]\d\d)*) ((?:\\.|(?!\1)[^\\])*)\1/g;

/** All named tests of the repository, by row and title. */
export function namedTests(): NamedTest[] {
  return walk('test')
    .filter((path) => path.endsWith('.ts') && !path.startsWith('test/tidy/'))
    .flatMap((path) =>
      [...read(path).matchAll(TITLED)].map((match) => ({
        rows: (match[2] as string).split(' '),
        title: `${match[2]} ${(match[3] as string).replace(/\\(.)/g, '$1')}`,
        path,
      })),
    )
    .sort((a, b) => (a.title < b.title ? -1 : 1));
}

/** Whether a title in a report is this test's. */
export function isTitleOf(test: NamedTest, reported: string): boolean {
  const fixed = test.title.split(/%[sdifjo#]|\$\{|\$[a-z]/)[0] as string;
  return fixed.length === test.title.length ? reported === fixed : reported.startsWith(fixed);
}
