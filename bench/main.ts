import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseOptions, USAGE } from './options.ts';
import { othersOf } from './report/cell-summary.ts';
import { bars, noiseLine } from './report/markdown.ts';
import { publish, writeProfiles, writeResults } from './report/publish.ts';
import { runAll } from './run.ts';

/** `npm run bench`: minikv beside its peers. Exit code 1 when a measurement is void. */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const startMs = performance.now();

function say(line: string): void {
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  process.stdout.write(`${seconds.padStart(7)} s  ${line}\n`);
}

/** Results name no folder of a machine. */
function withoutFolders(arg: string): string {
  return arg.replace(/(?<=^|=)\/(?:[^/]*\/)*/, '.../');
}

/** Ends the process with code 2 where the flags are not understood. */
function readOptions(args: readonly string[]): ReturnType<typeof parseOptions> {
  try {
    return parseOptions(args);
  } catch (error) {
    process.stderr.write(`error: ${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options === null) {
    process.stdout.write(USAGE);
    return 0;
  }
  const parent = resolve(ROOT, options.data);
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, 'run-'));
  // Each server that runs has a listener, so that none outlives this process.
  process.setMaxListeners(64);
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => process.exit(130));
  }
  const flags = args.map(withoutFolders);
  const command = ['npm run bench', ...(flags.length > 0 ? ['--', ...flags] : [])].join(' ');
  const { results, profiles } = await runAll({ options, folder, root: ROOT, command, say });
  const isVoid =
    results.failures.length > 0 ||
    results.cells.some(({ samples }) => samples.some(({ flaw }) => flaw !== null));
  process.stdout.write(`\n${bars(results)}\n\n`);
  const others = othersOf(results.cells);
  if (others !== null) say(noiseLine(others).replaceAll('**', ''));
  if (options.out !== null) {
    const path = writeResults(results, resolve(ROOT, options.out));
    writeProfiles(profiles, results, resolve(ROOT, options.out));
    say(`written: ${relative(ROOT, path)}`);
    if (options.isFull) {
      publish(ROOT, path, results);
      say('docs/benchmarks.md shows it');
    }
  }
  if (isVoid) say('what failed or had wrong answers is void, see above');
  return isVoid ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exit(2);
}
