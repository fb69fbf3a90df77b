import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseOptions, USAGE } from './options.ts';
import { runAll } from './run.ts';

/** `npm run bench`: minikv beside its peers. Exit code 1 when a measurement is void. */
const args = process.argv.slice(2);
try {
  const options = parseOptions(args);
  if (options === null) process.stdout.write(USAGE);
  else {
    const parent = resolve(options.data);
    mkdirSync(parent, { recursive: true });
    const folder = mkdtempSync(join(parent, 'run-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => process.exit(130));
    }
    const command = ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' ');
    process.exitCode = (await runAll(options, folder, command)) ? 0 : 1;
  }
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exitCode = 2;
}
