import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { problemOf } from '../../gateways/http/problem.ts';
import { METRICS } from '../../observability/metrics.ts';
import { AppError, ERRORS, type ErrorCode, type ErrorRow } from '../../protocol/errors.ts';
import { GENERATED } from './generated.ts';
import { exists, ROOT, read, sources, walk } from './tree.ts';

const FOLDERS = [
  'docs',
  'protocol',
  'storage',
  'actors',
  'gateways',
  'observability',
  'client',
  'cli',
  'console',
];
const PAGES = [...FOLDERS, 'deploy', 'bench', 'test', '.github'].flatMap(walk).filter(isPage);
const ROOT_PAGES = ['README', 'CHANGELOG', 'CONTRIBUTING', 'SECURITY', 'CODE_OF_CONDUCT'];
const pages = [...ROOT_PAGES.map((name) => `${name}.md`).filter(exists), ...PAGES];

function isPage(path: string): boolean {
  return path.endsWith('.md');
}

function expectNone(violations: readonly string[]): void {
  expect(violations.join('\n')).toBe('');
}

describe('generated documents', () => {
  for (const [path, render] of GENERATED) {
    it(`${path} is what the source says; otherwise run npm run fix`, () => {
      expect(exists(path) ? read(path) : '').toBe(render());
    });
  }
});

describe('the error table', () => {
  const rows = Object.entries(ERRORS) as [ErrorCode, ErrorRow][];

  it('names codes in snake_case, with statuses that fit and a title', () => {
    for (const [code, row] of rows) {
      expect(code).toMatch(/^[a-z]+(?:_[a-z]+)*$/);
      expect(row.s3.code).toMatch(/^[A-Z][A-Za-z]+$/);
      for (const status of [row.http, row.s3.status])
        expect(status >= 400 && status < 600).toBe(true);
      expect(row.title.length).toBeGreaterThan(5);
      if (!row.definite) expect(row.http).toBeGreaterThanOrEqual(500);
    }
  });

  it('is what the HTTP edge renders', () => {
    for (const [code, row] of rows) {
      const problem = problemOf(new AppError(code, 'why'), 'request-1');
      expect(problem.status).toBe(row.http);
      expect(problem.body).toMatchObject({ code, definite: row.definite, title: row.title });
    }
  });
});

describe('markdown', () => {
  it('every relative link leads somewhere', () => {
    const broken: string[] = [];
    for (const page of pages) {
      for (const { target, line } of linksOf(read(page))) {
        const path = posix.join(
          posix.dirname(page),
          decodeURIComponent(target.split('#')[0] as string),
        );
        if (target.startsWith('#') || exists(path)) continue;
        broken.push(`${page}:${line}: ${target} does not exist`);
      }
    }
    expectNone(broken);
  });

  it('has one title per page, first', () => {
    expectNone(
      pages
        .filter((page) => !/^(?:<!--[^\n]*-->\s*)?# \S/.test(read(page)))
        .map((page) => `${page}: begin with "# Title"`),
    );
  });

  it("every actor's README lists all its files", () => {
    const missing: string[] = [];
    const folders = new Set(
      walk('actors')
        .map(posix.dirname)
        .filter((f) => f !== 'actors'),
    );
    for (const folder of folders) {
      const readme = `${folder}/README.md`;
      if (!exists(readme)) {
        missing.push(`${readme}: write it: what each file is for`);
        continue;
      }
      const text = read(readme);
      for (const path of walk(folder).filter((p) => p.endsWith('.ts'))) {
        const name = posix.relative(folder, path);
        if (!text.includes(name)) missing.push(`${readme}: say what ${name} is for`);
      }
    }
    expectNone(missing);
  });
});

/** The README's table of promises: each row links a test, as `test/...ts` or `test/...ts#its title`. */
describe('promises', () => {
  it('every promise of the README is backed by a test that exists', () => {
    const table = /^#+ [^\n]*promises[^\n]*\n([\s\S]*?)(?=^#+ |(?![\s\S]))/im.exec(
      read('README.md'),
    )?.[1];
    expect(table, 'README.md needs a heading with "promises" and a table under it').toBeDefined();
    const rows = (table ?? '')
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .slice(2);
    expect(rows.length).toBeGreaterThan(0);
    expectNone(rows.flatMap(promiseFlaws));
  });
});

function promiseFlaws(row: string): string[] {
  const links = linksOf(row).filter(({ target }) => target.startsWith('test/'));
  if (links.length === 0) return [`README.md: no test is linked in ${row}`];
  return links.flatMap(({ target }) => {
    const [path, title] = target.split('#') as [string, string | undefined];
    if (!exists(path)) return [`README.md: ${path} does not exist`];
    if (title === undefined) return [];
    const wanted = slug(decodeURIComponent(title));
    const titles = [
      ...read(path).matchAll(/\b(?:it|test|describe)\S*\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g),
    ];
    const found = titles.some((match) => slug(match[2] as string) === wanted);
    return found ? [] : [`README.md: ${path} has no test "${title}"`];
  });
}

function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

/** Relative links and images; code blocks and code spans are left out. */
function linksOf(text: string): { target: string; line: number }[] {
  const blank = (code: string): string => code.replace(/[^\n]/g, ' ');
  const prose = text.replace(/^```[\s\S]*?^```/gm, blank).replace(/`[^`\n]*`(?!\])/g, blank);
  return [...prose.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)]
    .filter((match) => !/^[a-z]+:/.test(match[1] as string))
    .map((match) => ({
      target: match[1] as string,
      line: prose.slice(0, match.index).split('\n').length,
    }));
}

describe('metrics', () => {
  it('every name that is reported is in the catalogue: others are dropped', () => {
    const call = /\b[tT]elemetry\??\.(?:count|gauge|timeMs)\(\s*'([^']+)'/g;
    const unknown = sources().flatMap((file) =>
      [...file.masked.uncommented.matchAll(call)]
        .filter((match) => !Object.hasOwn(METRICS, match[1] as string))
        .map((match) => `${file.path}: ${match[1]} is not in observability/metrics.ts`),
    );
    expectNone(unknown);
  });
});

describe('the repository stands alone', () => {
  const TEXT =
    /\.(?:ts|tsx|js|mjs|json|md|yml|yaml|toml|conf|html|css|sh)$|^(?:Dockerfile|NOTICE)$|^\.ci\//;
  /** Folders of the machine it was written on. `/home/node` is the user of the container image. */
  const OUTSIDE = /(?<![\w./:*-])\/(?:home\/(?!node\b)|root\/|Users\/|work\/)[\w.-]+/g;

  it('no file names a path outside it', () => {
    const found: string[] = [];
    for (const path of walk('.').filter((p) => TEXT.test(p) && p !== 'package-lock.json')) {
      if (path.startsWith('test/tidy/')) continue;
      for (const match of read(path).matchAll(OUTSIDE)) found.push(`${path}: ${match[0]}`);
      if (ROOT.length > 8 && read(path).includes(ROOT)) found.push(`${path}: ${ROOT}`);
    }
    expectNone(found);
  });

  it('npm ci works on every platform: the lock file has all optional packages', () => {
    type Lock = { packages: Record<string, { optionalDependencies?: Record<string, string> }> };
    const { packages } = JSON.parse(read('package-lock.json')) as Lock;
    const known = new Set(Object.keys(packages).map((path) => path.split('node_modules/').pop()));
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies)
        .filter((name) => !known.has(name))
        .map(
          (name) => `${path} wants ${name}: take a version of it that is there for all platforms`,
        ),
    );
    expectNone(missing);
  });

  it('package-lock.json names no registry but the public one', () => {
    const hosts = [...read('package-lock.json').matchAll(/"resolved": "[a-z+]+:\/\/([^/"]+)/g)];
    const other = new Set(hosts.map((match) => match[1]).filter((h) => h !== 'registry.npmjs.org'));
    expectNone(
      [...other].map((host) => `package-lock.json: ${host}; npm ci must work for everyone`),
    );
  });
});
