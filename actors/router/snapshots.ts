import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext, ScanOptions, ScanPage } from '../../protocol/service.ts';
import type { Revision } from '../../protocol/types.ts';
import type { CallOptions, Calls } from './calls.ts';
import { dataGroups, pageAt } from './scan.ts';
import type { ShardMap } from './shard-map.ts';

/** A revision to read all groups at. */
export interface Snapshot {
  readonly revision: Revision;
  /** Whether it is one in real time too: every gate was closed until its group had closed the revision. */
  readonly isStrict: Promise<boolean>;
}

const AGAIN_MS = 5;
const AGAIN_MS_MAX = 80;

/**
 * Snapshot revisions over all groups, one collection of clocks at a time for all readers of this node: who
 * comes while one is under way gets the next, which begins after it came (architecture section 2, ADR 0029).
 */
export class Snapshots {
  readonly #calls: Calls;
  readonly #clock: Clock;
  readonly #map: () => ShardMap;
  readonly #name: string;
  #count = 0;
  #running: Promise<unknown> = Promise.resolve();
  #next: Promise<Snapshot> | null = null;

  /** `name`: of this life of this node, so that its gates are told apart from others'. */
  constructor(calls: Calls, clock: Clock, map: () => ShardMap, name: string) {
    this.#calls = calls;
    this.#clock = clock;
    this.#map = map;
    this.#name = name;
  }

  /** One page of the latest state, strict serializable. */
  async scan(ctx: RequestContext, options: ScanOptions): Promise<ScanPage> {
    const endMs = this.#clock.monotonicMs() + ctx.deadlineMs;
    for (let pauseMs = AGAIN_MS; ; pauseMs = Math.min(AGAIN_MS_MAX, pauseMs * 2)) {
      const snapshot = await this.#within(endMs, this.#take());
      const { revision, isStrict } = snapshot;
      const leftMs = endMs - this.#clock.monotonicMs();
      const own = { ...ctx, deadlineMs: leftMs };
      const page = await pageAt(this.#calls, this.#map(), own, options, revision);
      if (await this.#within(endMs, isStrict)) return page;
      if (this.#clock.monotonicMs() + pauseMs >= endMs) {
        throw new AppError('conflict', 'leaders changed, or writes came first, at every attempt');
      }
      await new Promise<void>((resolve) => this.#clock.after(pauseMs, resolve));
    }
  }

  #take(): Promise<Snapshot> {
    if (this.#next === null) {
      const next = this.#running.then(() => {
        this.#next = null;
        return this.#collect();
      });
      this.#next = next;
      this.#running = next.catch(() => {});
    }
    return this.#next;
  }

  async #collect(): Promise<Snapshot> {
    const map = this.#map();
    const groups = dataGroups(map);
    // One group orders everything by itself.
    const snapshot = groups.length > 1 ? `${this.#name}.${++this.#count}` : null;
    const clocks = await Promise.all(
      groups.map((group) =>
        this.#calls.call(group, { type: 'ReadClock', snapshot }, 'Clock', COLLECTING),
      ),
    );
    let revision = 0;
    let isClosed = true;
    for (const reply of clocks) {
      revision = Math.max(revision, reply.clock);
      isClosed &&= reply.isClosed;
    }
    if (snapshot === null) return { revision, isStrict: Promise.resolve(true) };
    const closes = groups.map((group) =>
      this.#calls.call(group, { type: 'Close', revision, snapshot }, 'Closed', COLLECTING).then(
        (reply) => reply.wasClosed,
        () => false,
      ),
    );
    const isStrict = Promise.all(closes).then((all) => isClosed && all.every(Boolean));
    return { revision, isStrict };
  }

  #within<T>(endMs: number, work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const leftMs = Math.max(0, endMs - this.#clock.monotonicMs());
      const cancel = this.#clock.after(leftMs, () =>
        reject(new AppError('unavailable', 'not every group has a leader that answers')),
      );
      work.then(resolve, reject).finally(cancel);
    });
  }
}

const COLLECTING: CallOptions = {
  deadlineMs: LIMITS.requestDeadlineMsDefault,
  traceparent: null,
  target: 'leader',
  repeatable: true,
};
