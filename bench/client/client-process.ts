import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FromWorker, Job, JobResult } from './job.ts';

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));

/**
 * A process of its own that makes the load: what it costs is told apart from the servers, and its code is
 * compiled once for all rounds.
 */
export class ClientProcess {
  readonly #child: ChildProcess;
  readonly #ready: Promise<unknown>;
  #take: ((message: FromWorker) => void) | null = null;

  constructor() {
    this.#child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), WORKER], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#ready = once(this.#child, 'message').then(() => {
      this.#child.on('message', (message: FromWorker) => this.#take?.(message));
    });
  }

  /** One job at a time. `onWindow` is called when its measured time begins. Throws when the process ends. */
  async run(job: Job, onWindow: () => void = () => {}): Promise<JobResult> {
    await this.#ready;
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => {
        reject(new Error(`the client process ended with code ${code}`));
      };
      if (child.exitCode !== null) return onExit(child.exitCode);
      child.once('exit', onExit);
      this.#take = (message) => {
        if (message.type === 'window') onWindow();
        if (message.type !== 'result') return;
        child.off('exit', onExit);
        resolve(message.result);
      };
      child.send({ type: 'run', job });
    });
  }

  close(): void {
    this.#child.kill();
  }
}
