import { AppError } from '../../protocol/errors.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import type { Watch, WatchMessage, WatchOptions } from '../../protocol/service.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import type { WatchSeen, WatchSession } from '../check/watch.ts';
import { type ClusterPort, type Connection, NodeDown, NodeLost } from './cluster-port.ts';
import type { History } from './history.ts';

const OPEN_MS = 3000;
/** A watch that stays silent this long is given up and resumed elsewhere. */
const SILENCE_MS = 8000;
/** Mean time on one node before the watcher moves on by itself. */
const STAY_MS_MEAN = 15_000;

type OpenSession = WatchSession & { readonly establishedMs: number };

/** A client that watches a prefix through changing nodes and keeps everything it was told. */
export class Watcher {
  readonly #name: string;
  readonly #prefix: string;
  readonly #cluster: ClusterPort;
  readonly #history: History;
  readonly #random: Random;
  readonly #sessions: OpenSession[] = [];
  #token: string | null = null;
  /** Everything up to here has been seen. */
  #reached = 0;
  #stopped = false;

  constructor(
    name: string,
    prefix: string,
    cluster: ClusterPort,
    history: History,
    random: Random,
  ) {
    this.#name = name;
    this.#prefix = prefix;
    this.#cluster = cluster;
    this.#history = history;
    this.#random = random;
  }

  get reached(): number {
    return this.#reached;
  }

  get name(): string {
    return this.#name;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Puts what was seen into the history; `complete` when it was given time to see all. */
  finish(complete: boolean): void {
    this.#history.watchers.push({
      name: this.#name,
      tenant: DEFAULT_TENANT,
      space: KV_SPACE,
      prefix: this.#prefix,
      sessions: this.#sessions.map((session) => this.#pinned(session)),
      complete,
    });
  }

  /** A watch from now on must show what was requested after it had been established. */
  #pinned({ start, messages, establishedMs }: OpenSession): WatchSession {
    if (start.from !== 'now') return { start, messages };
    let mustSeeFrom = Number.POSITIVE_INFINITY;
    for (const { key, call, output } of this.#history.operations) {
      if (call <= establishedMs || !key.startsWith(this.#prefix)) continue;
      const changed = output?.type === 'put' || (output?.type === 'deleted' && output.deleted);
      if (changed) mustSeeFrom = Math.min(mustSeeFrom, output.revision);
    }
    return { start: { from: 'now', mustSeeFrom }, messages };
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      const node = randomInt(this.#random, 0, this.#cluster.nodeCount - 1);
      try {
        this.#history.detail(this.#name, () => `connects to node ${node + 1}`);
        await this.#session(await this.#cluster.connect(node));
      } catch (error) {
        if (
          !(error instanceof NodeDown || error instanceof NodeLost || error instanceof AppError)
        ) {
          throw error;
        }
        // Too late to resume: it begins anew, as after the message of that name.
        if (error instanceof AppError && error.code === 'compacted') this.#token = null;
      }
      await this.#cluster.sleep(20 + this.#random.next() * 200);
    }
  }

  /** One connection: opens or resumes the watch and reads it for a while. */
  async #session(connection: Connection): Promise<void> {
    const { options, start } = this.#begin();
    const context = { deadlineMs: OPEN_MS, traceparent: null, idempotency: null };
    const watch = await connection.call(OPEN_MS + 500, (service) =>
      service.watch(context, options),
    );
    const messages: WatchSeen[] = [];
    this.#sessions.push({ start, messages, establishedMs: this.#cluster.nowMs() });
    const untilMs = this.#cluster.nowMs() - Math.log(1 - this.#random.next()) * STAY_MS_MEAN;
    try {
      while (!this.#stopped && this.#cluster.nowMs() < untilMs) {
        if (!(await this.#read(connection, watch, messages))) return;
        if (this.#random.next() < 0.02) await this.#cluster.sleep(this.#random.next() * 1000);
      }
    } finally {
      watch.close();
    }
  }

  #begin(): { options: WatchOptions; start: WatchSession['start'] } {
    const base = { tenant: DEFAULT_TENANT, space: KV_SPACE, prefix: this.#prefix };
    const prev = this.#random.next() < 0.3;
    if (this.#token !== null) {
      const from = { token: this.#token };
      return { options: { ...base, from, initial: false, prev }, start: { from: 'token' } };
    }
    const draw = this.#random.next();
    if (draw < 0.4) {
      const options = { ...base, from: null, initial: true, prev };
      return { options, start: { from: 'initial' } };
    }
    const publicRevision = this.#history.publicRevision;
    if (draw < 0.7 || publicRevision === 0) {
      const options = { ...base, from: null, initial: false, prev };
      return { options, start: { from: 'now', mustSeeFrom: Number.POSITIVE_INFINITY } };
    }
    const options = { ...base, from: { revision: publicRevision }, initial: false, prev };
    return { options, start: { from: 'revision', revision: publicRevision } };
  }

  /** Reads what is ready; false when the watch has ended. */
  async #read(connection: Connection, watch: Watch, messages: WatchSeen[]): Promise<boolean> {
    const batch = await connection.call(SILENCE_MS, () => watch.next());
    if (batch === null) return false;
    for (const message of batch) {
      messages.push(seen(message));
      this.#advance(message);
      this.#history.detail(this.#name, () => `sees ${JSON.stringify(messages.at(-1))}`);
    }
    return true;
  }

  #advance(message: WatchMessage): void {
    switch (message.type) {
      case 'event':
        // Half an initial state cannot be resumed; it begins again.
        if (message.initial) return;
        this.#token = message.token;
        this.#reached = Math.max(this.#reached, message.event.revision - 1);
        this.#history.see(message.event.revision);
        return;
      case 'synced':
      case 'progress':
        this.#token = message.token;
        this.#reached = Math.max(this.#reached, message.revision);
        return;
      case 'lagged':
        this.#token = message.token;
        return;
      case 'compacted':
        this.#token = null;
        return;
    }
  }
}

function seen(message: WatchMessage): WatchSeen {
  switch (message.type) {
    case 'event': {
      const { kind, ref, vshard, revision, prevRevision, item } = message.event;
      const value = item === null ? null : Buffer.from(item.value).toString('latin1');
      const { initial } = message;
      return { type: 'event', kind, ref, vshard, revision, prevRevision, value, initial };
    }
    case 'synced':
    case 'progress':
      return { type: message.type, revision: message.revision };
    case 'compacted':
      return { type: 'compacted', oldestRevision: message.oldestRevision };
    case 'lagged':
      return { type: 'lagged' };
  }
}
