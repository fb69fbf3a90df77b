import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FromClient, ObjectJob, ObjectResult } from './job.ts';

const CLIENT = fileURLToPath(new URL('./client.ts', import.meta.url));

/** The process that makes the load, so that what it costs is told apart from the servers. */
export class ObjectLoad {
  readonly #child: ChildProcess;
  readonly #ready: Promise<unknown>;

  constructor() {
    this.#child = fork(CLIENT, [], { execArgv: ['--import', import.meta.resolve('tsx')] });
    this.#ready = once(this.#child, 'message');
  }

  /** Rejects with the first wrong or missing answer. */
  async run(job: ObjectJob): Promise<ObjectResult> {
    await this.#ready;
    const answered = once(this.#child, 'message');
    this.#child.send(job);
    const [message] = (await answered) as [FromClient];
    if (message.type === 'result') return message.result;
    throw new Error(message.type === 'failed' ? message.reason : 'the client began anew');
  }

  close(): void {
    this.#child.kill();
  }
}
