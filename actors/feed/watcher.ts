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

/** Where a watcher's messages come from besides live events: the initial state, a backfill. */
export interface WatchSource {
  /** Called when the buffer is empty and room is there; fills by `offer` or `tell`. */
  pull(): void;
  stop(): void;
}

/**
 * One watcher's bounded buffer. Events that do not match are dropped at the door; when the reader
 * does not keep up the watch ends with `lagged` and a token from which nothing is missing.
 */
export class Watcher implements Watch {
  readonly options: WatchOptions;
  readonly #buffer: WatchMessage[] = [];
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

  /** Everything at or before this has been offered. */
  get position(): Position {
    return this.#position;
  }

  get ended(): boolean {
    return this.#ended;
  }

  set source(source: WatchSource | null) {
    this.#source = source;
  }

  /** False when the buffer is half full: a pulling source pauses. */
  hasRoom(): boolean {
    return (
      this.#buffer.length < LIMITS.watcherBufferEventsMax / 2 &&
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
    if (
      this.#buffer.length >= LIMITS.watcherBufferEventsMax ||
      (this.#bytes + shared.bytes > LIMITS.watcherBufferBytesMax && this.#buffer.length > 0)
    ) {
      this.end({ type: 'lagged', token: encodeToken(before) });
      return;
    }
    this.#push(options.prev ? shared.withPrev : shared.plain, shared.bytes);
  }

  /** A mark beside the events; moves the position when it has one. */
  tell(message: WatchMessage, position: Position | null): void {
    if (this.#ended) return;
    if (position !== null && comparePositions(position, this.#position) > 0) {
      this.#position = position;
    }
    this.#push(message, 64);
  }

  /** Everything up to here has been looked at. */
  reached(position: Position): void {
    if (!this.#ended && comparePositions(position, this.#position) > 0) this.#position = position;
  }

  /** Tells a reader that has nothing else how far the stream has come. */
  progress(): void {
    if (this.#ended || this.#buffer.length > 0) return;
    const { revision } = this.#position;
    this.#push({ type: 'progress', revision, token: encodeToken(this.#position) }, 64);
  }

  /** Ends the watch with a last message, after what is buffered. */
  end(last: WatchMessage | null): void {
    if (this.#ended) return;
    if (last !== null) this.#push(last, 64);
    this.#ended = true;
    this.#source?.stop();
    this.#onClose(this);
    if (last === null) this.#deliver();
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
      this.#deliver();
      if (this.#waiting !== null) this.#source?.pull();
    });
  }

  close(): void {
    this.#buffer.length = 0;
    this.#bytes = 0;
    this.end(null);
  }

  #push(message: WatchMessage, bytes: number): void {
    this.#buffer.push(message);
    this.#bytes += bytes;
    this.#deliver();
  }

  #deliver(): void {
    const resolve = this.#waiting;
    if (resolve === null) return;
    if (this.#buffer.length > 0) {
      this.#waiting = null;
      this.#bytes = 0;
      resolve(this.#buffer.splice(0));
    } else if (this.#failure !== null) {
      this.#waiting = null;
      this.#reject?.(this.#failure);
    } else if (this.#ended) {
      this.#waiting = null;
      resolve(null);
    }
  }
}
