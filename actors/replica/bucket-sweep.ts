import { nextBucketSweep } from '../apply/object-upload-list.ts';
import type { Tended } from './chores.ts';
import { type ReplicaContext, trustedWallMs } from './context.ts';

const SWEEP_EVERY_MS = 5_000;
/** Where there was something, more may be left. */
const AGAIN_MS = 100;

/** As leader: takes the uploads of buckets that are gone away, some with each entry (O9). */
export class BucketSweep implements Tended {
  readonly #context: ReplicaContext;
  #dueMs = 0;
  #isSweeping = false;
  #stopped = false;

  constructor(context: ReplicaContext) {
    this.#context = context;
  }

  stop(): void {
    this.#stopped = true;
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.#dueMs && !this.#isSweeping && this.#maySweep();
  }

  /** An upload's end has a revision: it is assigned nothing while a snapshot is being taken. */
  #maySweep(): boolean {
    const context = this.#context;
    if (this.#stopped || !context.isLeader() || context.state.epoch === 0) return false;
    return context.clockTrusted() && !context.clock.isHeld;
  }

  tick(nowMs: number): void {
    this.#dueMs = nowMs + SWEEP_EVERY_MS;
    this.#isSweeping = true;
    const { state, ports } = this.#context;
    const view = state.view();
    const done = (): void => {
      this.#isSweeping = false;
    };
    nextBucketSweep(view)
      .then(
        (sweep) => {
          if (sweep === null || !this.#maySweep()) return done();
          const revision = this.#context.clock.assign(1, trustedWallMs(this.#context));
          this.#context.propose({ type: 'bucketSweep', revision, ...sweep }, (outcome) => {
            done();
            if (outcome.type === 'applied') this.#dueMs = nowMs + AGAIN_MS;
          });
        },
        (error: unknown) => ports.fatal('the applied state could not be read', error),
      )
      .finally(() => view.close());
  }
}
