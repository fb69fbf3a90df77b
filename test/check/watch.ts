import type { KeyRef } from '../../protocol/vshard.ts';
import { type Change, compareChanges, lowerBound, nameOf, type Truth } from './truth.ts';

/** What one connection of a watcher asked for and saw, in order. */
export interface WatchSession {
  readonly start: /** Changes after this revision. */
    | { readonly from: 'revision'; readonly revision: number }
    /** Goes on after the last message of the session before, by its token. */
    | { readonly from: 'token' }
    /** First the current items, then `synced`, then changes. */
    | { readonly from: 'initial' }
    /**
     * From now on. `mustSeeFrom`: the lowest revision of the changes that were requested after the
     * watch was established, Infinity when there are none. Earlier ones may be seen or not.
     */
    | { readonly from: 'now'; readonly mustSeeFrom: number };
  readonly messages: readonly WatchSeen[];
}

export type WatchSeen =
  | {
      readonly type: 'event';
      readonly kind: 'put' | 'delete' | 'expire';
      readonly ref: KeyRef;
      readonly vshard: number;
      readonly revision: number;
      readonly prevRevision: number;
      readonly value: string | null;
      /** Part of the current state that `initial` begins with. */
      readonly initial: boolean;
    }
  | { readonly type: 'synced'; readonly revision: number }
  | { readonly type: 'progress'; readonly revision: number }
  | { readonly type: 'compacted'; readonly oldestRevision: number }
  | { readonly type: 'lagged' };

/** One watcher over all its connections. */
export interface WatcherSeen {
  readonly name: string;
  readonly tenant: string;
  readonly space: string;
  readonly prefix: string;
  readonly sessions: readonly WatchSession[];
  /** The watcher was given time to see everything: its end must be the end of the history. */
  readonly complete: boolean;
}

export type WatchVerdict =
  | { readonly result: 'ok'; readonly watchers: number; readonly events: number }
  | { readonly result: 'violation'; readonly watcher: string; readonly reason: string };

type EventSeen = Extract<WatchSeen, { type: 'event' }>;

/**
 * Checks watchers against the final history:
 * W1 events come in the one order, each once, each equal to the change in the history;
 * W2 no change that the watch selects is skipped, also across reconnects with a token;
 * W3 `progress R` and `synced R` come after every selected change up to R;
 * W4 the initial items are exactly the versions visible at the `synced` revision;
 * W5 a stream ends only with `compacted`, `lagged` or the connection; nothing follows the first two.
 */
export function checkWatchers(truth: Truth, watchers: readonly WatcherSeen[]): WatchVerdict {
  let events = 0;
  for (const watcher of watchers) {
    const check = new WatcherCheck(truth, watcher);
    const reason = check.run();
    if (reason !== null) return { result: 'violation', watcher: watcher.name, reason };
    events += check.events;
  }
  return { result: 'ok', watchers: watchers.length, events };
}

class WatcherCheck {
  events = 0;
  readonly #truth: Truth;
  readonly #watcher: WatcherSeen;
  readonly #selected: readonly Change[];
  /** The selected change that must come next; null until a start from `now` is pinned down. */
  #next: number | null = 0;
  /** With #next null: the first event must be at or before this one. */
  #latestStart = 0;
  #initial: EventSeen[] | null = null;
  #progressed = 0;

  constructor(truth: Truth, watcher: WatcherSeen) {
    this.#truth = truth;
    this.#watcher = watcher;
    this.#selected = truth.changes.filter((change) => selects(watcher, change.ref));
  }

  run(): string | null {
    for (const [number, session] of this.#watcher.sessions.entries()) {
      const reason = this.#runSession(session);
      if (reason !== null) return `connection ${number + 1}: ${reason}`;
    }
    if (!this.#watcher.complete) return null;
    if (this.#initial !== null) return 'the initial state never ended with synced';
    const missing = this.#selected[this.#next ?? this.#latestStart];
    return missing === undefined ? null : `never saw ${show(missing)}`;
  }

  #runSession(session: WatchSession): string | null {
    this.#begin(session);
    let ended = false;
    for (const message of session.messages) {
      if (ended) return `${message.type} after the end of the watch`;
      const reason = this.#onMessage(message);
      if (reason !== null) return reason;
      ended = message.type === 'compacted' || message.type === 'lagged';
    }
    return null;
  }

  #begin({ start }: WatchSession): void {
    if (start.from === 'token') return;
    this.#initial = start.from === 'initial' ? [] : null;
    this.#next = start.from === 'revision' ? this.#firstAfter(start.revision) : null;
    this.#latestStart = this.#next ?? 0;
    this.#progressed = 0;
    if (start.from === 'now') this.#latestStart = this.#firstAfter(start.mustSeeFrom - 1);
  }

  #onMessage(message: WatchSeen): string | null {
    switch (message.type) {
      case 'event':
        this.events++;
        return message.initial ? this.#onInitial(message) : this.#onEvent(message);
      case 'synced':
        return this.#onSynced(message.revision);
      case 'progress':
        return this.#onProgress(message.revision);
      default:
        return null;
    }
  }

  #onInitial(event: EventSeen): string | null {
    if (this.#initial === null) return `${show(event)}: initial item outside the initial state`;
    if (!selects(this.#watcher, event.ref)) return `${show(event)} was not asked for`;
    this.#initial.push(event);
    return null;
  }

  #onSynced(revision: number): string | null {
    const seen = this.#initial;
    if (seen === null) return 'synced without an initial state';
    this.#initial = null;
    this.#next = this.#firstAfter(revision);
    const { tenant, space, prefix } = this.#watcher;
    const range = { tenant, space, start: prefix, end: null };
    const expected = this.#truth
      .versionsAt(range, revision)
      .filter((version) => version.key.startsWith(prefix));
    const byKey = new Map(seen.map((event) => [event.ref.key, event]));
    if (byKey.size !== seen.length) return 'a key twice in the initial state';
    for (const version of expected) {
      const event = byKey.get(version.key);
      if (event?.revision !== version.revision || event.value !== version.value) {
        return `initial state @${revision}: ${JSON.stringify(version.key)} is @${version.revision}, got ${event ? show(event) : 'nothing'}`;
      }
    }
    if (seen.length > expected.length)
      return `initial state @${revision} has items that are not there`;
    return null;
  }

  #onEvent(event: EventSeen): string | null {
    if (this.#initial !== null) return `${show(event)} before the initial state was synced`;
    if (!selects(this.#watcher, event.ref)) return `${show(event)} was not asked for`;
    const at = this.#indexOf(event);
    if (at === null) return `${show(event)} is not in the history`;
    if (event.revision <= this.#progressed)
      return `${show(event)} after progress ${this.#progressed}`;
    const expected = this.#next ?? Math.min(at, this.#latestStart);
    if (at < expected) return `${show(event)} came again or out of order`;
    if (at > expected)
      return `${show(event)} came, but ${show(this.#selected[expected])} was skipped`;
    this.#next = at + 1;
    return differs(event, this.#selected[at] as Change);
  }

  #onProgress(revision: number): string | null {
    this.#progressed = Math.max(this.#progressed, revision);
    const seen = this.#next ?? this.#latestStart;
    if (seen >= this.#firstAfter(revision)) return null;
    return `progress ${revision}, but ${show(this.#selected[seen])} was skipped`;
  }

  /** Index of the first selected change above a revision. */
  #firstAfter(revision: number): number {
    return lowerBound(this.#selected, (change) => change.revision > revision);
  }

  #indexOf(event: EventSeen): number | null {
    const at = lowerBound(this.#selected, (change) => compareChanges(change, event) >= 0);
    const change = this.#selected[at];
    return change !== undefined && compareChanges(change, event) === 0 ? at : null;
  }
}

function selects(watcher: WatcherSeen, ref: KeyRef): boolean {
  return (
    ref.tenant === watcher.tenant &&
    ref.space === watcher.space &&
    ref.key.startsWith(watcher.prefix)
  );
}

function differs(event: EventSeen, change: Change): string | null {
  if (event.kind !== change.kind) return `${show(event)} is a ${change.kind} in the history`;
  if (event.value !== change.value) return `${show(event)} has another value than was written`;
  if (event.prevRevision === change.prevRevision) return null;
  return `${show(event)} names @${event.prevRevision} as its predecessor, not @${change.prevRevision}`;
}

function show(change: Pick<Change, 'kind' | 'ref' | 'revision'> | undefined): string {
  if (change === undefined) return 'nothing';
  return `${change.kind} of ${JSON.stringify(nameOf(change.ref))} @${change.revision}`;
}
