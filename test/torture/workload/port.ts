import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What the workload's process is told; it answers each with its counts. */
export type ToWorkload = 'pause' | 'resume' | 'count' | 'finish';

/** What its clients do, and where it is written down. */
export interface WorkloadOptions {
  readonly urls: readonly string[];
  readonly history: string;
  readonly seed: number;
  readonly clients: number;
  /** Clients that only do transactions. */
  readonly txnClients: number;
  readonly groups: number;
  /** Between two operations of a client, ms. */
  readonly pauseMs: readonly [number, number];
}

export interface Counts {
  readonly operations: number;
  readonly successes: number;
  readonly unknown: number;
  /** Answers that were no successes, by status and code. */
  readonly answers: readonly (readonly [string, number])[];
  /** How often watchers connected. */
  readonly connections: number;
}

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/** The test's end of the workload's process. */
export class Workload {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when the clients run. */
  static async start(options: WorkloadOptions): Promise<Workload> {
    const args = ['--import', 'tsx', MAIN, JSON.stringify(options)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const workload = new Workload(child);
    await workload.#answer();
    return workload;
  }

  tell(message: ToWorkload): Promise<Counts> {
    const answer = this.#answer();
    this.#child.send(message);
    return answer;
  }

  /** Waits until so many more operations have succeeded; false when that takes too long. */
  async succeeds(count: number, timeoutMs: number): Promise<boolean> {
    const before = (await this.tell('count')).successes;
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline) {
      if ((await this.tell('count')).successes >= before + count) return true;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return false;
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }

  #answer(): Promise<Counts> {
    return new Promise((resolve, reject) => {
      const onMessage = (counts: Counts): void => {
        this.#child.off('exit', onExit);
        resolve(counts);
      };
      const onExit = (): void => {
        this.#child.off('message', onMessage);
        reject(new Error('the workload ended'));
      };
      this.#child.once('message', onMessage);
      this.#child.once('exit', onExit);
    });
  }
}
