import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

const STOP_MS_MAX = 30_000;
const OUTPUT_CHARACTERS_MAX = 8_000;
/** Settings of whoever runs the benchmark are not for the servers. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(?:MINIKV|ETCD)_/.test(name)),
);

/** A server that was started for the benchmark, with the end of what it has written. */
export class ServerProcess {
  readonly #child: ChildProcess;
  #output = '';

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: ENVIRONMENT });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString('utf8')).slice(-OUTPUT_CHARACTERS_MAX);
      });
    }
    this.#child.on('error', (error) => {
      this.#output += String(error);
    });
    process.once('exit', this.#onExit);
  }

  readonly #onExit = (): void => {
    this.#child.kill('SIGKILL');
  };

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get isRunning(): boolean {
    const { pid, exitCode, signalCode } = this.#child;
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  output(): string {
    return this.#output;
  }

  /** Polls `check` until it holds. Throws with the server's output when it ends or takes too long. */
  async until(check: () => Promise<boolean>, timeoutMs: number, pollMs = 10): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    while (!(await check().catch(() => false))) {
      const why = !this.isRunning ? 'has ended' : performance.now() > deadlineMs ? 'is late' : null;
      if (why !== null) throw new Error(`a server ${why}:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  /** Ends it and waits; SIGKILL after 30 s. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    process.off('exit', this.#onExit);
    if (!this.isRunning) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill(signal);
    const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS_MAX);
    await gone;
    clearTimeout(late);
  }
}
