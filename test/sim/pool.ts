import { type ChildProcess, fork } from 'node:child_process';

/** What a worker tells of one seed. `report` is null when every property held. */
export interface SeedOutcome {
  readonly seed: number;
  readonly line: string;
  readonly report: string | null;
  readonly virtualMs: number;
  /** As in TxnModel. */
  readonly transactions: { committed: number; overGroups: number; aborted: number };
}

export interface PoolOptions {
  /** What a worker runs. */
  readonly program: string;
  /** Arguments of a worker: those of this process, and what makes it one. */
  readonly argv: readonly string[];
  readonly workers: number;
  readonly first: number;
  readonly last: number;
  /** Real seconds after which no further seed begins. */
  readonly budgetS: number;
  readonly firstOnly: boolean;
  readonly print: (text: string) => void;
}

/** Much is short-lived: a larger nursery saves a tenth of the processor time. */
export const ENGINE_FLAGS: readonly string[] = ['--max-semi-space-size=32'];

/**
 * Runs a range of seeds over processes. Each gets its next seed when it is done with one, so all cores
 * are busy to the end; seeds begin in order, so what is left after an interruption is one range.
 * Resolves with the exit code.
 */
export class Pool {
  readonly #options: PoolOptions;
  readonly #running = new Map<ChildProcess, number>();
  readonly #failed: number[] = [];
  /** Begun, and cut short by an interruption. */
  readonly #cut: number[] = [];
  readonly #startMs = performance.now();
  #next: number;
  #passed = 0;
  #virtualMs = 0;
  readonly #transactions = { committed: 0, overGroups: 0, aborted: 0 };
  #isStopping = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#next = options.first;
  }

  async run(): Promise<number> {
    const { first, last, workers } = this.#options;
    const stop = (): void => {
      this.#isStopping = true;
      for (const child of this.#running.keys()) child.kill();
    };
    process.once('SIGINT', stop);
    const count = Math.min(workers, last - first + 1);
    await Promise.all(Array.from({ length: count }, () => this.#worker()));
    process.off('SIGINT', stop);
    this.#summary();
    return this.#failed.length > 0 || this.#isStopping ? 1 : 0;
  }

  /** One process after the other: one that ends on its own failed its seed. */
  async #worker(): Promise<void> {
    while (this.#hasMore()) {
      const execArgv = [...process.execArgv, ...ENGINE_FLAGS];
      const child = fork(this.#options.program, [...this.#options.argv], { execArgv });
      const seed = await new Promise<number | undefined>((resolve) => {
        child.on('message', (outcome: SeedOutcome) => {
          this.#note(outcome);
          this.#give(child);
        });
        child.on('exit', () => resolve(this.#running.get(child)));
        this.#give(child);
      });
      this.#running.delete(child);
      if (seed === undefined) continue;
      if (this.#isStopping) {
        this.#cut.push(seed);
        continue;
      }
      this.#failed.push(seed);
      this.#options.print(`seed ${seed}: FAIL its process ended\n${againLine(seed)}`);
    }
  }

  #hasMore(): boolean {
    const { last, budgetS, firstOnly } = this.#options;
    const seconds = (performance.now() - this.#startMs) / 1000;
    const isEnough = seconds > budgetS || (firstOnly && this.#failed.length > 0);
    return !this.#isStopping && !isEnough && this.#next <= last;
  }

  #give(child: ChildProcess): void {
    if (!this.#hasMore()) {
      this.#running.delete(child);
      child.disconnect();
      return;
    }
    const seed = this.#next++;
    this.#running.set(child, seed);
    child.send(seed);
  }

  #note({ seed, line, report, virtualMs, transactions }: SeedOutcome): void {
    const { print } = this.#options;
    print(line);
    this.#virtualMs += virtualMs;
    this.#transactions.committed += transactions.committed;
    this.#transactions.overGroups += transactions.overGroups;
    this.#transactions.aborted += transactions.aborted;
    if (report === null) {
      this.#passed++;
      return;
    }
    this.#failed.push(seed);
    print(report);
  }

  #summary(): void {
    const { last, print } = this.#options;
    const seconds = (performance.now() - this.#startMs) / 1000;
    const count = this.#passed + this.#failed.length;
    const rate = (count / seconds).toFixed(2);
    const speed = Math.round(this.#virtualMs / 1000 / seconds);
    print(
      `${count} seeds: ${this.#passed} ok, ${this.#failed.length} failed; ` +
        `${Math.round(seconds)} s, ${rate} seeds/s, x${speed} real time`,
    );
    const { committed, overGroups, aborted } = this.#transactions;
    print(
      `${committed} transactions, ${overGroups} of them over groups; ${aborted} attempts aborted`,
    );
    for (const seed of this.#failed.sort((a, b) => a - b)) print(againLine(seed));
    const unfinished = Math.min(this.#next, ...this.#cut);
    if (unfinished <= last) print(`not all: go on with --from ${unfinished}`);
  }
}

export function againLine(seed: number): string {
  return `  again: npm run sim -- --seed ${seed} --trace`;
}
