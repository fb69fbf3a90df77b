import type { Random } from '../../../protocol/random.ts';
import { DEFAULT_TENANT, KV_SPACE, vshardOf } from '../../../protocol/vshard.ts';
import type { WatchSeen } from '../../check/watch.ts';
import { type Recorder, shown } from './recorder.ts';
import { Stream, type StreamEvent } from './stream.ts';

/** What a stream's event says, as the checkers know it. */
export function seenOf({ type, body }: StreamEvent): WatchSeen {
  if (type === 'put' || type === 'delete' || type === 'expire') {
    const ref = { tenant: DEFAULT_TENANT, space: KV_SPACE, key: String(body['key']) };
    return {
      ...{ type: 'event', kind: type, ref, vshard: vshardOf(ref), initial: false },
      revision: Number(body['revision']),
      prevRevision: Number(body['prevRevision']),
      value: typeof body['value'] === 'string' ? shown(body['value']) : null,
    };
  }
  if (type === 'compacted') return { type, oldestRevision: Number(body['oldestRevision']) };
  if (type === 'progress' || type === 'synced') return { type, revision: Number(body['revision']) };
  if (type === 'lagged') return { type };
  throw new Error(`a watch sent ${type}`);
}

/** A node is left for another after so long, also when nothing is wrong. */
const STAY_MS: readonly [number, number] = [4_000, 20_000];
const AGAIN_MS = 200;

/**
 * Watches a prefix from a revision on for the whole run, coming back with its last id, each time to
 * another node. Records every connection and everything it is told.
 */
export class RunWatcher {
  readonly #name: string;
  readonly #prefix: string;
  readonly #urls: readonly string[];
  readonly #random: Random;
  readonly #recorder: Recorder;
  readonly #from: number;
  #lastId: string | null = null;
  #stream: Stream | null = null;
  #turn: number;
  #closed = false;
  #isFirst = true;
  connections = 0;
  /** How far the stream has come. */
  revision = 0;

  constructor(options: {
    readonly number: number;
    readonly prefix: string;
    readonly urls: readonly string[];
    readonly random: Random;
    readonly recorder: Recorder;
    readonly from: number;
  }) {
    this.#name = `watcher ${options.number}`;
    this.#prefix = options.prefix;
    this.#urls = options.urls;
    this.#random = options.random;
    this.#recorder = options.recorder;
    this.#from = options.from;
    this.#turn = options.number;
    this.#recorder.write({ t: 'watcher', name: this.#name, prefix: this.#prefix });
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#stream?.close();
  }

  #connect(): void {
    if (this.#closed) return;
    const url = this.#urls[this.#turn++ % this.#urls.length] as string;
    const query = new URLSearchParams({ prefix: this.#prefix, from: String(this.#from) });
    const stay = STAY_MS[0] + this.#random.next() * (STAY_MS[1] - STAY_MS[0]);
    let leave: NodeJS.Timeout | null = null;
    const stream = new Stream(`${url}/v1/watch?${query}`, this.#lastId, {
      onOpen: () => {
        this.connections++;
        leave = setTimeout(() => stream.close(), stay);
        this.#onSession();
      },
      onEvent: (event) => this.#onEvent(event),
      onEnd: (status) => {
        if (leave !== null) clearTimeout(leave);
        if (status === 410) this.#recorder.flaw(`${this.#name}: its resume point is compacted`);
        setTimeout(() => this.#connect(), AGAIN_MS);
      },
    });
    this.#stream = stream;
  }

  /** Without an id to resume from, the stream begins once more: everything comes again, as asked. */
  #onSession(): void {
    const begins = this.#isFirst || this.#lastId === null;
    this.#isFirst = false;
    const start = begins
      ? ({ from: 'revision', revision: this.#from } as const)
      : ({ from: 'token' } as const);
    this.#recorder.write({ t: 'session', name: this.#name, start });
  }

  #onEvent(event: StreamEvent): void {
    const seen = seenOf(event);
    if (event.id !== null) this.#lastId = event.id;
    if ('revision' in seen) this.revision = Math.max(this.revision, seen.revision);
    this.#recorder.write({ t: 'seen', name: this.#name, seen });
  }
}
