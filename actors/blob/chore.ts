import type { Clock } from '../../protocol/clock.ts';
import { type ChoreActor, startChoreMachine } from './machine.ts';

/** After a failure. */
const AGAIN_MS = 30_000;

export interface ChoreHost {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  onTrouble(error: unknown): void;
}

/** Work that comes again and again, never twice at once. It tells in how many ms it wants to come again. */
export class Chore {
  readonly #host: ChoreHost;
  readonly #work: () => Promise<number>;
  readonly #actor: ChoreActor;
  #dueMs: number;

  constructor(host: ChoreHost, work: () => Promise<number>, firstMs: number) {
    this.#host = host;
    this.#work = work;
    this.#dueMs = host.clock.monotonicMs() + firstMs;
    this.#actor = startChoreMachine({ work: () => this.#run() });
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#dueMs) this.#actor.send({ type: 'tick' });
  }

  stop(): void {
    this.#actor.stop();
  }

  #run(): void {
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#work().then(
      (againMs) => this.#done(againMs),
      (error: unknown) => {
        this.#host.onTrouble(error);
        this.#done(AGAIN_MS);
      },
    );
  }

  #done(againMs: number): void {
    this.#dueMs = this.#host.clock.monotonicMs() + againMs;
    this.#actor.send({ type: 'done' });
  }
}
