import { spawn } from 'node:child_process';

/** Runs a program of another project as a user would. */
export interface ShellOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string | Buffer;
  readonly timeoutMs?: number;
}

export interface Finished {
  readonly code: number | null;
  readonly output: string;
}

const OUTPUT_KEPT = 64 * 1024;

/** Never rejects for what the program does: the exit code and what it wrote. */
export function attempt(
  program: string,
  args: readonly string[],
  { env = {}, cwd, input, timeoutMs = 120_000 }: ShellOptions = {},
): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, env: { ...inherited(), ...env } });
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_KEPT);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const timer = setTimeout(() => {
      output += `\nkilled after ${timeoutMs} ms`;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      resolve({ code: null, output: error.message });
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output });
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input ?? '');
  });
}

/** Settings of the one who runs this are not the client's: it has what it is given. */
function inherited(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(?:AWS_|RCLONE_|RESTIC_|TF_)/.test(name),
  );
  return Object.fromEntries(own);
}

/** Gives the output; throws with it when the program fails. */
export async function run(
  program: string,
  args: readonly string[],
  options: ShellOptions = {},
): Promise<string> {
  const { code, output } = await attempt(program, args, options);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: code ${code}\n${output}`);
  return output;
}
