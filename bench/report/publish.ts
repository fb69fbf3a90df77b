import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Results } from '../results.ts';
import { PLOT_FOLDER, renderPage } from './markdown.ts';
import { plotsOf } from './plots.ts';

/** Writes results, and the page and drawings that show the latest ones. */

const PROFILE_BYTES_MAX = 300_000;

/** Without folder and extension; a checkout with changes says so. */
export function stemOf({ date, commit }: Results): string {
  return `${date.slice(0, 10)}-${(commit ?? 'unknown').replace('+', '-changed')}`;
}

/** Returns the path of the JSON file. */
export function writeResults(results: Results, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${stemOf(results)}.json`);
  writeFileSync(path, `${JSON.stringify(results, null, 1)}\n`);
  return path;
}

/** Those that are small enough to be kept, beside the results. */
export function writeProfiles(
  profiles: readonly { readonly found: { readonly path: string }; readonly gzip: Buffer }[],
  results: Results,
  folder: string,
): void {
  for (const { found, gzip } of profiles) {
    if (gzip.length > PROFILE_BYTES_MAX) continue;
    writeFileSync(join(folder, `${stemOf(results)}-${found.path}.cpuprofile.gz`), gzip);
  }
}

/** The results that were measured last, by the time in them. Null when there are none. */
export function latestResults(folder: string): { path: string; results: Results } | null {
  let latest: { path: string; results: Results } | null = null;
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
    const path = join(folder, name);
    const results = JSON.parse(readFileSync(path, 'utf8')) as Results;
    if (latest === null || results.date > latest.results.date) latest = { path, results };
  }
  return latest;
}

/** What belongs under docs/, by path from there. */
export function documentsOf(results: Results, source: string): Map<string, string> {
  const plots = plotsOf(results);
  return new Map([
    ['benchmarks.md', renderPage(results, source, plots)],
    ...plots.map(({ name, svg }): [string, string] => [`${PLOT_FOLDER}/${name}.svg`, svg]),
  ]);
}

/** Writes docs/benchmarks.md and its drawings, and removes those that it has no more. */
export function publish(root: string, path: string, results: Results): void {
  const docs = join(root, 'docs');
  rmSync(join(docs, PLOT_FOLDER), { recursive: true, force: true });
  mkdirSync(join(docs, PLOT_FOLDER), { recursive: true });
  const source = relative(root, path).replaceAll('\\', '/');
  for (const [name, text] of documentsOf(results, source)) writeFileSync(join(docs, name), text);
}
