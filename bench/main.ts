import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseOptions, USAGE } from './options.ts';
import { runAll } from './run.ts';

/** `npm run bench`: minikv beside its peers. Exit code 1 when a measurement is void. */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const startMs = performance.now();

function say(line: string): void {
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  process.stdout.write(`${seconds.padStart(7)} s  ${line}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options === null) {
    process.stdout.write(USAGE);
    return 0;
  }
  const parent = resolve(ROOT, options.data);
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, 'run-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => process.exit(130));
  }
  const command = ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' ');
  const results = await runAll({ options, folder, root: ROOT, command, say });
  const isVoid = results.cells.some(({ samples }) => samples.some(({ flaw }) => flaw !== null));
  if (isVoid) say('measurements with wrong answers are void, see above');
  return isVoid ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exit(2);
}
