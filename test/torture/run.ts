import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Arguments, parseArguments, USAGE } from './arguments.ts';
import { checkFile } from './check-file.ts';
import { findEntry, insideEnv, isInside } from './network/namespaces.ts';
import { torture } from './torture.ts';

/**
 * `npm run torture`: real nodes, real nats-servers, real faults. Exit code 0: enough happened and all of
 * it was right; 1: it was not; 2: the arguments are not valid.
 *
 * The first process enters namespaces of its own where it can, runs itself inside, and removes what
 * is left; with its end everything inside ends, too.
 */
const SELF = fileURLToPath(import.meta.url);
/** What the outer process tells the inner one. */
const FOLDER = 'TORTURE_FOLDER';
const REASON = 'TORTURE_NO_NAMESPACES';

async function main(): Promise<number> {
  let args: Arguments;
  try {
    args = parseArguments(process.argv.slice(2));
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  if (args.check !== null) return checkFile(args.check, args.levelMs);
  const folder = process.env[FOLDER];
  if (folder === undefined) return outside(args);
  return torture(args, folder, isInside() ? null : (process.env[REASON] ?? 'not asked for'));
}

/** Runs the inner process and waits; ends it when it is asked to end itself. */
async function outside(args: Arguments): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'minikv-torture-'));
  const entry = args.loopback ? { prefix: null, reason: '--loopback' } : findEntry();
  const command = [process.execPath, '--import', 'tsx', SELF, ...process.argv.slice(2)];
  const [program = '', ...rest] = [...(entry.prefix ?? []), ...command];
  const env = { ...(entry.prefix === null ? process.env : insideEnv()) };
  const child = spawn(program, rest, {
    stdio: 'inherit',
    env: { ...env, [FOLDER]: folder, [REASON]: entry.reason },
  });
  // A terminal's Ctrl-C reaches the inner process by itself, and it cleans up.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill(entry.prefix === null ? 'SIGTERM' : 'SIGKILL'));
  const code = await new Promise<number>((resolve) => {
    child.once('error', (error) => {
      console.error(error.message);
      resolve(1);
    });
    child.once('exit', (status) => resolve(status ?? 1));
  });
  rmSync(folder, { recursive: true, force: true });
  return code;
}

process.exitCode = await main();
