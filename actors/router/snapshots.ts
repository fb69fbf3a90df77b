import type { Clock } from '../../protocol/clock.ts';
import { AppError, onlyRefusals } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyOf } from '../../protocol/messages/request.ts';
import type { RequestContext, ScanOptions, ScanPage } from '../../protocol/service.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import type { CallOptions, Calls } from './calls.ts';
import { dataGroups, pageAt } from './scan.ts';
import type { ShardMap } from './shard-map.ts';

/** A revision to read all groups at. */
export interface Snapshot {
  readonly revision: Revision;
  /** Whether it is one in real time too: every gate was closed until its group had closed the revision. */
  readonly isStrict: Promise<boolean>;
}

type ClockOf = ReplyOf<'Clock'>;
type Told = ReadonlyMap<GroupId, ClockOf>;

/** How long gates are closed for a group that does not answer; longer each time, as groups may be slow. */
const PATIENCE_MS = 100;
const PATIENCE_MS_MAX = 400;
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
  /** Groups that were waited for in vain, when the clocks were last collected. */
  readonly #silent = new Set<GroupId>();

  /** `name`: of this life of this node, so that its gates are told apart from others'. */
  constructor(calls: Calls, clock: Clock, map: () => ShardMap, name: string) {
    this.#calls = calls;
    this.#clock = clock;
    this.#map = map;
    this.#name = name;
  }

  /** One page of the latest state, strict serializable. */
  scan(ctx: RequestContext, options: ScanOptions): Promise<ScanPage> {
    return this.read(ctx, (own, map, revision) => pageAt(this.#calls, map, own, options, revision));
  }

  /**
   * What `look` makes of a snapshot of the latest state, strict serializable. It may be called again, at
   * another revision; errors of it are not tried again.
   */
  async read<T>(
    ctx: RequestContext,
    look: (ctx: RequestContext, map: ShardMap, revision: Revision) => Promise<T>,
  ): Promise<T> {
    const endMs = this.#clock.monotonicMs() + ctx.deadlineMs;
    for (let pauseMs = AGAIN_MS; ; pauseMs = Math.min(AGAIN_MS_MAX, pauseMs * 2)) {
      const snapshot = await this.#within(endMs, this.#take());
      const { revision, isStrict } = snapshot;
      const leftMs = endMs - this.#clock.monotonicMs();
      const own = { ...ctx, deadlineMs: leftMs };
      const found = await look(own, this.#map(), revision);
      if (await this.#within(endMs, isStrict)) return found;
      if (this.#clock.monotonicMs() + pauseMs >= endMs) {
        throw new AppError(
          'unavailable',
          'leaders changed, or writes came first, at every attempt',
        );
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
      // Whoever waits for it hears of its failure; the next one begins all the same.
      this.#running = next.catch(() => {});
    }
    return this.#next;
  }

  async #collect(): Promise<Snapshot> {
    const groups = dataGroups(this.#map());
    // One group orders everything by itself.
    if (groups.length === 1) {
      const [{ clock }] = (await this.#clocksOf(groups)) as [ClockOf];
      return { revision: clock, isStrict: Promise.resolve(true) };
    }
    for (let patienceMs = PATIENCE_MS; ; patienceMs = Math.min(PATIENCE_MS_MAX, patienceMs * 2)) {
      // Nobody waits at a gate for a group that was silent: it has to answer first.
      await this.#clocksOf(groups.filter((group) => this.#silent.has(group)));
      this.#silent.clear();
      const told = await this.#closeGates(groups, patienceMs);
      if (told !== null) return this.#snapshotOf(told);
    }
  }

  #clocksOf(groups: readonly GroupId[]): Promise<ClockOf[]> {
    const body = { type: 'ReadClock', snapshot: null } as const;
    return Promise.all(groups.map((group) => this.#calls.call(group, body, 'Clock', COLLECTING)));
  }

  /** The clocks of all groups; null, and the gates that have been closed are opened, when one is silent. */
  #closeGates(groups: readonly GroupId[], patienceMs: number): Promise<Told | null> {
    const body = { type: 'ReadClock', snapshot: `${this.#name}.${++this.#count}` } as const;
    const told = new Map<GroupId, ClockOf>();
    let isOver = false;
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        isOver = true;
        for (const group of groups) {
          const reply = told.get(group);
          if (reply === undefined) this.#silent.add(group);
          else this.#open(group, reply);
        }
      };
      const cancel = this.#clock.after(patienceMs, () => {
        giveUp();
        resolve(null);
      });
      for (const group of groups) {
        this.#calls.call(group, body, 'Clock', COLLECTING).then(
          (reply) => {
            if (isOver) return this.#open(group, reply);
            told.set(group, reply);
            if (told.size < groups.length) return;
            isOver = true;
            cancel();
            resolve(told);
          },
          (error: unknown) => {
            if (isOver) return;
            cancel();
            giveUp();
            reject(error);
          },
        );
      }
    });
  }

  /** Of a snapshot that comes to nothing. A gate that stays closed opens by itself. */
  #open(group: GroupId, { gate }: ClockOf): void {
    if (gate === null) return;
    const body = { type: 'Close', revision: 0, gate } as const;
    this.#calls.call(group, body, 'Closed', COLLECTING).catch(onlyRefusals);
  }

  #snapshotOf(told: Told): Snapshot {
    let revision = 0;
    for (const { clock } of told.values()) revision = Math.max(revision, clock);
    const closes = [...told].map(([group, { gate }]) =>
      this.#calls.call(group, { type: 'Close', revision, gate }, 'Closed', COLLECTING).then(
        (reply) => reply.wasClosed,
        () => false,
      ),
    );
    return { revision, isStrict: Promise.all(closes).then((all) => all.every(Boolean)) };
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
