import { Agent, request } from 'node:http';
import { sleep } from '../../test/kit/wait.ts';

const PAUSE_MS = 4;

export interface SteadyWrite {
  readonly method: string;
  readonly body: string;
  /** After so long without an answer the client gives up and asks again; without: it waits. */
  readonly timeoutMs?: number;
}

/**
 * One client that makes the same write again and again, one request at a time, without an idempotency
 * key, and remembers when it succeeded.
 */
export class SteadyWriter {
  readonly successes: { readonly beganMs: number; readonly endedMs: number }[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #url: string;
  readonly #write: SteadyWrite;
  #running = true;
  readonly #done: Promise<void>;

  constructor(url: string, write: SteadyWrite) {
    this.#url = url;
    this.#write = write;
    this.#done = this.#run();
  }

  /** When the first success was told whose request began after `atMs`. */
  firstBegunAfter(atMs: number): number | null {
    return this.successes.find(({ beganMs }) => beganMs > atMs)?.endedMs ?? null;
  }

  /** Longest time between two successes in the time from `fromMs` to `toMs`, its edges included. */
  longestGap(fromMs: number, toMs: number): number {
    let last = this.successes.findLast(({ endedMs }) => endedMs <= fromMs)?.endedMs ?? fromMs;
    let longest = 0;
    for (const { endedMs } of this.successes) {
      if (endedMs <= fromMs || endedMs > toMs) continue;
      longest = Math.max(longest, endedMs - last);
      last = endedMs;
    }
    return Math.max(longest, toMs - last);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
    this.#agent.destroy();
  }

  async #run(): Promise<void> {
    while (this.#running) {
      const beganMs = performance.now();
      const status = await this.#put().catch(() => 0);
      if (status === 200 || status === 201) {
        this.successes.push({ beganMs, endedMs: performance.now() });
      }
      await sleep(PAUSE_MS);
    }
  }

  #put(): Promise<number> {
    return new Promise((resolve, reject) => {
      const { method, body, timeoutMs } = this.#write;
      const sent = request(this.#url, { method, agent: this.#agent }, (answer) => {
        answer.resume();
        answer.once('end', () => resolve(answer.statusCode ?? 0));
      });
      sent.once('error', reject);
      if (timeoutMs !== undefined) {
        sent.setTimeout(timeoutMs, () => sent.destroy(new Error('no answer in time')));
      }
      sent.end(body);
    });
  }
}
