import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { OutboxPosition } from '../../protocol/notifications.ts';
import type { Random } from '../../protocol/random.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { type OutboxRow, readOutbox } from '../apply/outbox.ts';
import type { NotificationPort } from '../kit/ports.ts';
import type { NotifyGroup } from './keeper.ts';
import { type LaneActor, type LaneEvent, startLaneMachine } from './machine.ts';

/** Notifications of one lane that are under way at once, of as many keys. */
const AT_ONCE = 8;
const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 60_000;
/** A target that took something within this time is there: pauses do not grow. */
const ALIVE_MS = 10_000;
/** Of its time, one part in so many goes into reading what waits for keys that were refused. */
const READ_SHARE = 5;

export interface LaneHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly notifications: NotificationPort;
  /** What ids of notifications begin with. */
  readonly cluster: string;
}

/**
 * Sends what waits in a group for one target: of one key one after another, in order. What was sent is taken away by an
 * entry, so whoever leads next sends again only what that entry has not named.
 *
 *   Order: nothing of a key is sent before what stands before it was taken. A pass goes through the rows from the first one
 *   on, up to the last; a key is held from what was not taken, or not tried, until a pass begins anew: whatever waits before
 *   the place where the pass stands is of a key that is held.
 */
export class Lane {
  readonly #host: LaneHost;
  readonly #target: string;
  readonly #actor: LaneActor;
  #group: NotifyGroup;
  /** Where this pass stands; null: at the beginning. */
  #after: OutboxPosition | null = null;
  /** Of those that were read in this pass. */
  #passed = 0;
  #readMs = 0;
  #beganMs = 0;
  /** Nothing stands behind it. */
  #isAtEnd = true;
  /** Keys of which something was not taken, until when: nothing of them is sent before. They are let go at the beginning of a pass only. */
  #held = new Map<string, number>();
  /** How often in a row something of a key was not taken. */
  #failuresOf = new Map<string, number>();
  /** Pauses of the whole lane in a row. */
  #pauses = 0;
  #pausedUntilMs = 0;
  /** When the target took something. */
  #tookMs = Number.NEGATIVE_INFINITY;
  /** When a key that is held may be tried again. */
  #dueMs = Number.POSITIVE_INFINITY;
  /** Something may have come since the last look. */
  #isWoken = false;
  #stopped = false;

  constructor(host: LaneHost, group: NotifyGroup, target: string) {
    this.#host = host;
    this.#group = group;
    this.#target = target;
    this.#actor = startLaneMachine({
      isDue: () => this.#isDue(),
      isRested: () => host.clock.monotonicMs() >= this.#pausedUntilMs,
      step: () => this.#answer(this.#step()),
    });
  }

  wake(): void {
    this.#isWoken = true;
    this.#actor.send({ type: 'wake' });
  }

  tick(group: NotifyGroup): void {
    this.#group = group;
    this.#actor.send({ type: 'tick' });
  }

  stop(): void {
    this.#stopped = true;
    this.#actor.stop();
  }

  #answer(work: Promise<LaneEvent>): void {
    work
      .catch((error: unknown) => {
        const { group } = this.#group;
        this.#host.telemetry.log('warn', 'notifications could not be sent', { group, error });
        return this.#beginAnew();
      })
      .then((event) => {
        if (this.#stopped) return;
        const isAtEnd = event.type === 'empty' || event.type === 'held';
        this.#actor.send(isAtEnd && this.#isWoken ? { type: 'more' } : event);
      });
  }

  async #step(): Promise<LaneEvent> {
    if (!this.#mayGoOn()) return this.#beginAnew();
    this.#isWoken = false;
    if (this.#isDue()) this.#beginPass();
    const rows = await this.#read();
    const last = rows.at(-1);
    this.#isAtEnd = last === undefined;
    if (last === undefined) return this.#end();
    const { taken, areLeft } = await this.#send(rows);
    if (taken.length > 0 && !(await this.#group.trim(this.#target, taken))) {
      return this.#beginAnew();
    }
    this.#after = last.at;
    if (areLeft) return this.#pause();
    if (taken.length > 0) this.#pauses = 0;
    return { type: 'more' };
  }

  /**
   * A pass may begin. Not before the last one has come to its end: keys come due all the time where many are held, and what
   * stands behind them would never be read. So many rows have all that waited when it began.
   */
  #isDue(): boolean {
    const nowMs = this.#host.clock.monotonicMs();
    const isOver = this.#isAtEnd || this.#passed >= LIMITS.notificationsWaitingMax;
    const restMs = Math.min(PAUSE_MS_MAX, this.#readMs * READ_SHARE);
    return isOver && nowMs >= this.#dueMs && nowMs >= this.#beganMs + restMs;
  }

  #mayGoOn(): boolean {
    return !this.#stopped && this.#group.isLed();
  }

  async #read(): Promise<OutboxRow[]> {
    const { clock } = this.#host;
    const startMs = clock.monotonicMs();
    const view = this.#group.view();
    try {
      const rows = await readOutbox(view, this.#target, this.#after, LIMITS.notificationStep);
      this.#passed += rows.length;
      return rows;
    } finally {
      await view.close();
      this.#readMs += clock.monotonicMs() - startMs;
    }
  }

  #end(): LaneEvent {
    if (this.#held.size > 0) return { type: 'held' };
    this.#after = null;
    this.#failuresOf.clear();
    this.#dueMs = Number.POSITIVE_INFINITY;
    return { type: 'empty' };
  }

  /** From the first row again, with the keys that have waited long enough. */
  #beginPass(): void {
    const nowMs = this.#host.clock.monotonicMs();
    this.#after = null;
    this.#passed = 0;
    this.#readMs = 0;
    this.#beganMs = nowMs;
    this.#dueMs = Number.POSITIVE_INFINITY;
    for (const [name, untilMs] of this.#held) {
      if (untilMs <= nowMs) this.#held.delete(name);
      else this.#dueMs = Math.min(this.#dueMs, untilMs);
    }
  }

  /** What was sent may still be there, or somebody else leads: after a while, from the first row again. */
  #beginAnew(): LaneEvent {
    this.#after = null;
    this.#isAtEnd = true;
    return this.#pause();
  }

  /** The pass goes on after a while. */
  #pause(): LaneEvent {
    const isAlive = this.#host.clock.monotonicMs() < this.#tookMs + ALIVE_MS;
    this.#pausedUntilMs = this.#pauseEndMs(isAlive ? 0 : this.#pauses++);
    return { type: 'failed' };
  }

  #hold(name: string): void {
    const failures = this.#failuresOf.get(name) ?? 0;
    this.#failuresOf.set(name, failures + 1);
    this.#holdUntil(name, this.#pauseEndMs(failures));
  }

  #holdUntil(name: string, untilMs: number): void {
    this.#held.set(name, untilMs);
    this.#dueMs = Math.min(this.#dueMs, untilMs);
  }

  /** Of a pause that grows with the number of those before it. */
  #pauseEndMs(before: number): number {
    const { clock, random } = this.#host;
    const longMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(before, 16));
    return clock.monotonicMs() + longMs * (0.5 + random.next() / 2);
  }

  /** `areLeft`: nothing was taken of as many keys as are tried at once. The others were not tried, and are held for the next pass. */
  async #send(rows: readonly OutboxRow[]): Promise<{ taken: Taken[]; areLeft: boolean }> {
    const byKey = new Map<string, OutboxRow[]>();
    for (const row of rows) {
      const { ref } = row.notification;
      const name = `${ref.tenant}\0${ref.space}\0${ref.key}`;
      if (this.#held.has(name)) continue;
      const others = byKey.get(name);
      if (others === undefined) byKey.set(name, [row]);
      else others.push(row);
    }
    const taken: Taken[] = [];
    const waiting = this.#held.size === 0 ? [...byKey] : this.#inTurns(byKey);
    const work = async (): Promise<void> => {
      for (;;) {
        const next = waiting.shift();
        if (next === undefined) return;
        const [name, own] = next;
        if (await this.#sendKey(own, taken)) {
          this.#failuresOf.delete(name);
          continue;
        }
        this.#hold(name);
        // When all have ended so, the target takes nothing.
        if (taken.length === 0) return;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    for (const [name] of waiting) this.#holdUntil(name, this.#host.clock.monotonicMs());
    return { taken, areLeft: waiting.length > 0 };
  }

  /** Keys that failed least first, otherwise at random: so that not the same few always speak for the target. */
  #inTurns(byKey: ReadonlyMap<string, OutboxRow[]>): [string, OutboxRow[]][] {
    const { random } = this.#host;
    const drawn = [...byKey].map((one) => {
      const rank = (this.#failuresOf.get(one[0]) ?? 0) + random.next();
      return { one, rank };
    });
    return drawn.sort((a, b) => a.rank - b.rank).map(({ one }) => one);
  }

  /** False: one of them was not taken, and none behind it was sent. */
  async #sendKey(rows: readonly OutboxRow[], taken: Taken[]): Promise<boolean> {
    for (const row of rows) {
      const end = await this.#sendOne(row);
      if (end === 'failed') return false;
      taken.push({ ...row.at, isDropped: end === 'dropped' });
    }
    return true;
  }

  async #sendOne({ at, notification }: OutboxRow): Promise<'sent' | 'dropped' | 'failed'> {
    const { clock, notifications, telemetry, cluster } = this.#host;
    const { group } = this.#group;
    if (!this.#mayGoOn()) return 'failed';
    const ageMs = clock.wallMs() - wallMsOfRevision(notification.revision);
    const target = targetLabel(this.#target);
    if (ageMs > LIMITS.notificationAgeMsMax) {
      telemetry.count('notifications_outdated', 1, { target });
      return 'dropped';
    }
    const id = `${cluster}-${group}-${at.index}-${at.ordinal}`;
    try {
      await notifications.deliver(this.#target, notification, id);
      this.#tookMs = clock.monotonicMs();
      telemetry.count('notifications_sent', 1, { target });
      return 'sent';
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      telemetry.count('notifications_failed', 1, { target });
      const told = { target: this.#target, error: error.message };
      // Not one line for each key of a target that takes nothing.
      if (this.#held.size === 0) telemetry.log('warn', 'a notification was not taken', told);
      return 'failed';
    }
  }
}

type Taken = OutboxPosition & { readonly isDropped: boolean };

/** As metrics have it: there are as many subjects as owners of buckets like. */
export function targetLabel(target: string): string {
  return target.startsWith('nats:') ? 'nats' : target;
}
