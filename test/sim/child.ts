import { spawn } from 'node:child_process';
import { afterAll } from 'vitest';
import type { Mutant } from './mutants/mutant.ts';
import { Sandbox } from './mutants/sandbox.ts';
import { ENGINE_FLAGS } from './pool.ts';

export interface RunOutput {
  readonly code: number;
  readonly output: string;
}

/** The sources as they are, compiled: made once for a file of tests. */
let compiled: Sandbox | null = null;
afterAll(() => compiled?.dispose());

/** Runs the simulator's command line in a process of its own; for tests. */
export function runSimulator(args: readonly string[]): Promise<RunOutput> {
  compiled ??= new Sandbox([]);
  return runIn(compiled, args);
}

/** The same with a seeded bug, as `--mutant` does it, without a process that only makes the copy. */
export async function runMutant(
  { name, patches }: Mutant,
  args: readonly string[],
): Promise<RunOutput> {
  compiled ??= new Sandbox([]);
  const sandbox = new Sandbox(patches, compiled);
  try {
    return await runIn(sandbox, ['--mutant', name, ...args, '--sandboxed']);
  } finally {
    sandbox.dispose();
  }
}

function runIn({ program, folder }: Sandbox, args: readonly string[]): Promise<RunOutput> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...ENGINE_FLAGS, program, ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on('close', (code) => resolve({ code: code ?? 2, output }));
  });
}
