/**
 * Syncs of folders, shared: whoever comes while a sync of the same folder runs waits for the next one, with all
 * others that came. So a burst of new names costs two syncs, not one each, and nobody takes a sync for his own
 * that began before he came.
 */
export class SharedSyncs {
  readonly #sync: (folder: string) => Promise<void>;
  readonly #running = new Map<string, Promise<void>>();
  readonly #next = new Map<string, Promise<void>>();

  constructor(sync: (folder: string) => Promise<void>) {
    this.#sync = sync;
  }

  sync(folder: string): Promise<void> {
    const next = this.#next.get(folder);
    if (next !== undefined) return next;
    const running = this.#running.get(folder);
    if (running === undefined) return this.#run(folder);
    const run = () => {
      this.#next.delete(folder);
      return this.#run(folder);
    };
    const waiting = running.then(run, run);
    this.#next.set(folder, waiting);
    return waiting;
  }

  #run(folder: string): Promise<void> {
    const running = this.#sync(folder).finally(() => {
      if (this.#running.get(folder) === running) this.#running.delete(folder);
    });
    this.#running.set(folder, running);
    return running;
  }
}
