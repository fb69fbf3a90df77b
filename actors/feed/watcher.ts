import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent, Position } from '../../protocol/messages/request.ts';
import type { Watch, WatchMessage, WatchOptions } from '../../protocol/service.ts';
import { comparePositions, encodeToken } from '../apply/position.ts';

/** One change as watchers see it: built once, shared by all of them. */
export interface SharedEvent {
  readonly event: ChangeEvent;
  readonly position: Position;
  readonly bytes: number;
  /** The message with and without the previous version. */
  readonly withPrev: WatchMessage;
  readonly plain: WatchMessage;
}

/** Wraps a change. `initial` marks a current item given before `synced`. */
export function shareEvent(event: ChangeEvent, position: Position, initial: boolean): SharedEvent {
  // An initial item is no resume point: others of the same state may not have been given yet.
  const token = initial ? '' : encodeToken(position);
  const bytes =
    256 + event.ref.key.length + (event.item?.value.length ?? 0) + (event.prev?.value.length ?? 0);
  const withPrev: WatchMessage = { type: 'event', event, token, initial };
  const plain: WatchMessage =
    event.prev === null
      ? withPrev
      : { type: 'event', event: { ...event, prev: null }, token, initial };
  return { event, position, bytes, withPrev, plain };
}

/** Messages that are handed over together. Never changed once they may have been read. */
export interface Batch {
  readonly messages: readonly WatchMessage[];
  readonly bytes: number;
}

/** A batch that still grows, of one watcher alone. */
interface OpenBatch {
  readonly messages: WatchMessage[];
  bytes: number;
}

const MARK_BYTES = 64;

/** Where a watcher's messages come from besides live events: the initial state, a backfill. */
export interface WatchSource {
  /** Called when the queue is empty and somebody waits; fills by `offer` or `tell`, then `deliver`s. */
  pull(): void;
  stop(): void;
}

/**
 * One watcher's bounded queue of batches. Live ones come from its channel, shared with others of the same
 * selection; before that it is offered single changes. When the reader does not keep up the watch ends
 * with `lagged` and a token from which nothing is missing. Whoever fills the queue calls `deliver`.
 */
export class Watcher implements Watch {
  readonly options: WatchOptions;
  #queue: Batch[] = [];
  #open: OpenBatch | null = null;
  #events = 0;
  #bytes = 0;
  #position: Position;
  #ended = false;
  #failure: unknown = null;
  #waiting: ((messages: readonly WatchMessage[] | null) => void) | null = null;
  #reject: ((error: unknown) => void) | null = null;
  #source: WatchSource | null = null;
  readonly #onClose: (watcher: Watcher) => void;

  constructor(options: WatchOptions, start: Position, onClose: (watcher: Watcher) => void) {
    this.options = options;
    this.#position = start;
    this.#onClose = onClose;
  }

  /** Everything at or before this has been offered. Of a live watcher: where it went live. */
  get position(): Position {
    return this.#position;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get isIdle(): boolean {
    return this.#queue.length === 0;
  }

  set source(source: WatchSource | null) {
    this.#source = source;
  }

  /** False when the queue is half full: a pulling source pauses. */
  hasRoom(): boolean {
    return (
      this.#events < LIMITS.watcherBufferEventsMax / 2 &&
      this.#bytes < LIMITS.watcherBufferBytesMax / 2
    );
  }

  /** Offers one change, in order. At or before the position: dropped (a repeat). */
  offer(shared: SharedEvent): void {
    if (this.#ended || comparePositions(shared.position, this.#position) <= 0) return;
    const { ref } = shared.event;
    const { options } = this;
    const before = this.#position;
    this.#position = shared.position;
    if (!ref.key.startsWith(options.prefix)) return;
    if (ref.tenant !== options.tenant || ref.space !== options.space) return;
    if (!this.#fits(1, shared.bytes)) {
      this.end({ type: 'lagged', token: encodeToken(before) });
      return;
    }
    this.#push(options.prev ? shared.withPrev : shared.plain, shared.bytes);
  }

  /** Gives a whole batch that follows what was given so far; `before` is a position between the two. */
  give(batch: Batch, before: Position): void {
    if (this.#ended) return;
    if (!this.#fits(batch.messages.length, batch.bytes)) {
      this.end({ type: 'lagged', token: encodeToken(before) });
      return;
    }
    this.#open = null;
    this.#queue.push(batch);
    this.#events += batch.messages.length;
    this.#bytes += batch.bytes;
  }

  /** A mark beside the events; moves the position when it has one. */
  tell(message: WatchMessage, position: Position | null): void {
    if (this.#ended) return;
    if (position !== null && comparePositions(position, this.#position) > 0) {
      this.#position = position;
    }
    this.#push(message, MARK_BYTES);
  }

  /** Everything up to here has been looked at. */
  reached(position: Position): void {
    if (!this.#ended && comparePositions(position, this.#position) > 0) this.#position = position;
  }

  /** Ends the watch with a last message, after what is queued. */
  end(last: WatchMessage | null): void {
    if (this.#ended) return;
    if (last !== null) this.#push(last, MARK_BYTES);
    this.#ended = true;
    this.#source?.stop();
    this.#onClose(this);
    this.deliver();
  }

  fail(error: unknown): void {
    if (this.#ended) return;
    this.#failure = error;
    this.end(null);
  }

  next(): Promise<readonly WatchMessage[] | null> {
    return new Promise((resolve, reject) => {
      this.#waiting = resolve;
      this.#reject = reject;
      this.deliver();
      if (this.#waiting !== null) this.#source?.pull();
    });
  }

  close(): void {
    this.#queue = [];
    this.#open = null;
    this.#events = 0;
    this.#bytes = 0;
    this.end(null);
  }

  /** Hands the oldest batch to a reader that waits. */
  deliver(): void {
    const resolve = this.#waiting;
    if (resolve === null) return;
    const batch = this.#queue.shift();
    if (batch !== undefined) {
      if (batch === this.#open) this.#open = null;
      this.#events -= batch.messages.length;
      this.#bytes -= batch.bytes;
      this.#waiting = null;
      resolve(batch.messages);
    } else if (this.#failure !== null) {
      this.#waiting = null;
      this.#reject?.(this.#failure);
    } else if (this.#ended) {
      this.#waiting = null;
      resolve(null);
    }
  }

  #fits(events: number, bytes: number): boolean {
    return (
      this.#queue.length === 0 ||
      (this.#events + events <= LIMITS.watcherBufferEventsMax &&
        this.#bytes + bytes <= LIMITS.watcherBufferBytesMax)
    );
  }

  #push(message: WatchMessage, bytes: number): void {
    if (this.#open === null) {
      this.#open = { messages: [], bytes: 0 };
      this.#queue.push(this.#open);
    }
    this.#open.messages.push(message);
    this.#open.bytes += bytes;
    this.#events++;
    this.#bytes += bytes;
  }
}
