import { expect, it } from 'vitest';
import { exists, isOwn, read, type SourceFile, sources } from './tree.ts';

/** Programs and pages that people start: everything else is there because one of them needs it. */
const ROOTS = ['cli/main.ts', 'client/client.ts'];
const unreached = (
  JSON.parse(read('test/tidy/exemptions.json')) as { unreached: Record<string, string> }
).unreached;

it('every source file is reached from cli/main.ts or is part of the client library', () => {
  const files = new Map(sources().map((file) => [file.path, file]));
  const reached = new Set<string>();
  const open = ROOTS.filter(exists);
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    open.push(...ownImports(files.get(path)));
  }
  const dead = [...files.keys()].filter((path) => !reached.has(path) && !(path in unreached));
  const stale = Object.keys(unreached).filter((path) => reached.has(path) || !files.has(path));
  expect(
    [
      ...dead.map((path) => `${path}: nothing that runs imports it; remove it or use it`),
      ...stale.map((path) => `${path}: remove it from "unreached" in exemptions.json`),
    ].join('\n'),
  ).toBe('');
});

function ownImports(file: SourceFile | undefined): string[] {
  return (file?.imports ?? []).map((seen) => seen.from).filter(isOwn);
}
