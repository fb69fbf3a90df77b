import type { ChangeEvent, Item } from '../../protocol/messages/request.ts';
import type { Watch, WatchMessage, WatchOptions } from '../../protocol/service.ts';

/** A watch on the model: a bounded buffer that is read by `next`. */
export class ModelWatch implements Watch {
  readonly #options: WatchOptions;
  readonly #bufferMax: number;
  readonly #onClose: () => void;
  #buffer: WatchMessage[] = [];
  #waiting: ((messages: readonly WatchMessage[] | null) => void) | null = null;
  #lastToken = 'm0';
  #isEnding = false;
  #isClosed = false;

  constructor(options: WatchOptions, bufferMax: number, onClose: () => void) {
    this.#options = options;
    this.#bufferMax = bufferMax;
    this.#onClose = onClose;
  }

  async next(): Promise<readonly WatchMessage[] | null> {
    if (this.#waiting !== null) throw new Error('only one next at a time');
    if (this.#buffer.length > 0) return this.#take();
    if (this.#isClosed || this.#isEnding) return null;
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#buffer = [];
    this.#onClose();
    this.#waiting?.(null);
    this.#waiting = null;
  }

  offer(event: ChangeEvent): void {
    const { prefix, prev, tenant, space } = this.#options;
    const { ref } = event;
    const isWatched = ref.tenant === tenant && ref.space === space && ref.key.startsWith(prefix);
    if (this.#isEnding || !isWatched) return;
    if (this.#buffer.length >= this.#bufferMax) {
      this.end({ type: 'lagged', token: this.#lastToken });
      return;
    }
    this.#lastToken = `m${event.revision}`;
    const shown = prev ? event : { ...event, prev: null };
    this.#push({ type: 'event', event: shown, token: this.#lastToken, initial: false });
  }

  initial(item: Item): void {
    const event: ChangeEvent = {
      ...{ kind: 'put', ref: item.ref, vshard: 0, revision: item.revision, prevRevision: 0 },
      ...{ sequence: 0, item, prev: null },
    };
    this.#push({ type: 'event', event, token: '', initial: true });
  }

  synced(revision: number): void {
    this.#lastToken = `m${revision}`;
    this.#push({ type: 'synced', revision, token: this.#lastToken });
  }

  progress(revision: number): void {
    if (this.#isEnding) return;
    this.#lastToken = `m${revision}`;
    this.#push({ type: 'progress', revision, token: this.#lastToken });
  }

  end(message: WatchMessage): void {
    this.#isEnding = true;
    this.#push(message);
    this.#onClose();
  }

  #push(message: WatchMessage): void {
    this.#buffer.push(message);
    const waiting = this.#waiting;
    if (waiting === null) return;
    this.#waiting = null;
    waiting(this.#take());
  }

  /** At most a few hundred at a time, as the real one pages. */
  #take(): readonly WatchMessage[] {
    return this.#buffer.splice(0, 256);
  }
}
