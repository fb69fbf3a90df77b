import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CommandFailed } from '../failures.ts';
import type { Io } from '../io.ts';

/** `minikv sim`: the simulator as a process of its own, with the same arguments and exit code. */
export function sim(io: Io, args: readonly string[]): Promise<number> {
  const own = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const script = fileURLToPath(new URL(`../../test/sim/run${own}`, import.meta.url));
  if (!existsSync(script))
    throw new CommandFailed(`the simulator is not part of this build (${script})`);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, script, ...args], {
      stdio: 'inherit',
    });
    const stop = (): void => void child.kill('SIGTERM');
    io.signal.addEventListener('abort', stop);
    child.once('error', reject);
    child.once('exit', (code) => {
      io.signal.removeEventListener('abort', stop);
      resolve(code ?? 1);
    });
  });
}
