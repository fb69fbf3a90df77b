import type { Position } from '../../protocol/messages/request.ts';
import type { WatchMessage, WatchOptions } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { SharedEvent, Watcher } from './watcher.ts';

/** A batch that has grown so far is handed to its readers' queues, where it counts. */
const BATCH_EVENTS_MAX = 512;
const BATCH_BYTES_MAX = 256 * 1024;

/**
 * The live watchers of one selection (tenant, space, prefix, with or without previous versions). What
 * matches is gathered once; all members get the same array, so an edge encodes it once for all.
 */
export class Channel {
  readonly prev: boolean;
  readonly members = new Set<Watcher>();
  #messages: WatchMessage[] = [];
  #bytes = 0;
  /** Of the batch: nothing of this channel lies between this and its first event. */
  #before: Position | null = null;

  constructor(prev: boolean) {
    this.prev = prev;
  }

  /** Takes a matching change; `before` is the position before it in the merged order. */
  note(shared: SharedEvent, before: Position): void {
    if (this.#messages.length === 0) this.#before = before;
    this.#messages.push(this.prev ? shared.withPrev : shared.plain);
    this.#bytes += shared.bytes;
    if (this.#messages.length < BATCH_EVENTS_MAX && this.#bytes < BATCH_BYTES_MAX) return;
    this.spill();
    // Not with the next round: much may come until then, and readers that take it do not lag.
    for (const member of this.members) member.deliver();
  }

  /** Moves what was gathered to the members' queues. */
  spill(): void {
    const before = this.#before;
    if (before === null) return;
    const batch = { messages: this.#messages, bytes: this.#bytes };
    this.#messages = [];
    this.#bytes = 0;
    this.#before = null;
    for (const member of this.members) member.give(batch, before);
  }
}

/**
 * All channels, found by a key: one look-up for each length of prefix that anybody watches, however
 * many watchers there are.
 */
export class Channels {
  /** By tenant and space, then by length of prefix, then by prefix. */
  readonly #spaces = new Map<string, Map<number, Map<string, Channel[]>>>();
  readonly #byWatcher = new Map<Watcher, Channel>();
  readonly #dirty = new Set<Channel>();

  /** Has something been noted since the last flush? */
  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  /** From the next change on, `watcher` gets what it selects. */
  add(watcher: Watcher): void {
    const channel = this.#open(watcher.options);
    // What was gathered so far came before this watcher, or was offered to it.
    channel.spill();
    channel.members.add(watcher);
    this.#byWatcher.set(watcher, channel);
  }

  delete(watcher: Watcher): void {
    const channel = this.#byWatcher.get(watcher);
    if (channel === undefined) return;
    this.#byWatcher.delete(watcher);
    channel.members.delete(watcher);
    if (channel.members.size === 0) this.#close(watcher.options, channel);
  }

  note(shared: SharedEvent, before: Position): void {
    const { ref } = shared.event;
    const lengths = this.#spaces.get(spaceOf(ref));
    if (lengths === undefined) return;
    for (const [length, prefixes] of lengths) {
      if (ref.key.length < length) continue;
      for (const channel of prefixes.get(ref.key.slice(0, length)) ?? []) {
        channel.note(shared, before);
        this.#dirty.add(channel);
      }
    }
  }

  /** Hands everything out; returns to how many watchers. */
  flush(): number {
    let readers = 0;
    for (const channel of this.#dirty) {
      channel.spill();
      for (const member of channel.members) {
        member.deliver();
        readers++;
      }
    }
    this.#dirty.clear();
    return readers;
  }

  #open({ prefix, prev, ...names }: WatchOptions): Channel {
    const space = spaceOf(names);
    const lengths = this.#spaces.get(space) ?? new Map<number, Map<string, Channel[]>>();
    this.#spaces.set(space, lengths);
    const prefixes = lengths.get(prefix.length) ?? new Map<string, Channel[]>();
    lengths.set(prefix.length, prefixes);
    const channels = prefixes.get(prefix) ?? [];
    prefixes.set(prefix, channels);
    const found = channels.find((channel) => channel.prev === prev);
    if (found !== undefined) return found;
    const opened = new Channel(prev);
    channels.push(opened);
    return opened;
  }

  #close({ prefix, ...names }: WatchOptions, channel: Channel): void {
    const space = spaceOf(names);
    const lengths = this.#spaces.get(space);
    const prefixes = lengths?.get(prefix.length);
    const left = (prefixes?.get(prefix) ?? []).filter((other) => other !== channel);
    this.#dirty.delete(channel);
    if (left.length > 0) prefixes?.set(prefix, left);
    else prefixes?.delete(prefix);
    if (prefixes?.size === 0) lengths?.delete(prefix.length);
    if (lengths?.size === 0) this.#spaces.delete(space);
  }
}

function spaceOf({ tenant, space }: Pick<KeyRef, 'tenant' | 'space'>): string {
  return `${tenant}\0${space}`;
}
