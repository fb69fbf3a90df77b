import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ImportSeen, importsOf, type Masked, mask } from './lexer.ts';

/** The repository as the checks see it. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const SKIPPED = new Set([
  'node_modules',
  'dist',
  'data',
  'cluster-data',
  '.git',
  '.node',
  'coverage',
]);
/** Other dot files are an editor's or a tool's. */
const DOT_FOLDERS = new Set(['.ci', '.github']);
export const SOURCE_FOLDERS = [
  'protocol',
  'storage',
  'actors',
  'gateways',
  'observability',
  'client',
  'cli',
];

export interface SourceFile {
  /** From the root, with '/'. */
  readonly path: string;
  readonly text: string;
  readonly lineCount: number;
  readonly masked: Masked;
  /** Relative imports are resolved to paths from the root; packages stay as written. */
  readonly imports: readonly ImportSeen[];
}

/** Paths of all files under a folder, sorted. */
export function walk(folder: string): string[] {
  const absolute = join(ROOT, folder);
  if (!existsSync(absolute)) return [];
  const found: string[] = [];
  for (const entry of readdirSync(absolute, { withFileTypes: true })) {
    if (SKIPPED.has(entry.name) || (entry.name.startsWith('.') && !DOT_FOLDERS.has(entry.name)))
      continue;
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) found.push(...walk(path));
    else if (entry.isFile()) found.push(path);
  }
  return found.sort();
}

export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

export function exists(path: string): boolean {
  return existsSync(join(ROOT, path));
}

/** Parsed files of these folders; only TypeScript. */
export function sources(folders: readonly string[] = SOURCE_FOLDERS): SourceFile[] {
  return folders.flatMap((folder) =>
    walk(folder)
      .filter((path) => /\.tsx?$/.test(path) && !path.endsWith('.d.ts'))
      .map((path) => parse(path, read(path))),
  );
}

export function parse(path: string, text: string): SourceFile {
  const masked = mask(text);
  const imports = importsOf(masked).map((seen) => ({ ...seen, from: resolve(path, seen.from) }));
  return { path, text, lineCount: text.split('\n').length - 1, masked, imports };
}

function resolve(path: string, from: string): string {
  return from.startsWith('.') ? posix.join(posix.dirname(path), from) : from;
}

/** Packages and built-ins have no folder of ours in front. */
export function isOwn(from: string): boolean {
  return /\.(?:ts|tsx|mjs|js|json)$/.test(from) && from.includes('/') && !from.startsWith('@');
}

/** The package of an import: 'a/b' -> 'a', '@a/b/c' -> '@a/b', 'node:fs/promises' -> 'node:fs'. */
export function packageOf(from: string): string {
  const parts = from.split('/');
  return from.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] as string);
}
