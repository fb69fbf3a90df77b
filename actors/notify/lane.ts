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
 *   on; a key is held from what was not taken until a pass begins anew, and a row that was not tried ends the pass.
 */
export class Lane {
  readonly #host: LaneHost;
  readonly #target: string;
  readonly #actor: LaneActor;
  #group: NotifyGroup;
  /** Where this pass stands; null: at the beginning. */
  #after: OutboxPosition | null = null;
  /** Keys of which something was not taken, until when: nothing of them is sent before. They are let go at the beginning of a pass only. */
  #held = new Map<string, number>();
  /** How often in a row something of a key was not taken. */
  #failuresOf = new Map<string, number>();
  /** Pauses of the whole lane in a row. */
  #pauses = 0;
  /** When there is something to do though nothing has come. */
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
        return this.#pause();
      })
      .then((event) => {
        if (this.#stopped) return;
        const isAtEnd = event.type === 'empty' || event.type === 'held';
        this.#actor.send(isAtEnd && this.#isWoken ? { type: 'more' } : event);
      });
  }

  async #step(): Promise<LaneEvent> {
    if (!this.#mayGoOn()) return this.#pause();
    this.#isWoken = false;
    if (this.#isDue()) this.#beginPass();
    const rows = await this.#read();
    const last = rows.at(-1);
    if (last === undefined) {
      if (this.#held.size > 0) return { type: 'held' };
      this.#restart();
      return { type: 'empty' };
    }
    const { taken, areLeft } = await this.#send(rows);
    if (taken.length > 0 && !(await this.#group.trim(this.#target, taken))) return this.#pause();
    if (areLeft) return this.#pause();
    if (taken.length > 0) this.#pauses = 0;
    this.#after = last.at;
    return { type: 'more' };
  }

  #isDue(): boolean {
    return this.#host.clock.monotonicMs() >= this.#dueMs;
  }

  #mayGoOn(): boolean {
    return !this.#stopped && this.#group.isLed();
  }

  async #read(): Promise<OutboxRow[]> {
    const view = this.#group.view();
    try {
      return await readOutbox(view, this.#target, this.#after, LIMITS.notificationStep);
    } finally {
      await view.close();
    }
  }

  #restart(): void {
    this.#after = null;
    this.#held.clear();
    this.#failuresOf.clear();
    this.#dueMs = Number.POSITIVE_INFINITY;
  }

  /** From the first row again, with the keys that have waited long enough. */
  #beginPass(): void {
    const nowMs = this.#host.clock.monotonicMs();
    this.#after = null;
    this.#dueMs = Number.POSITIVE_INFINITY;
    for (const [name, untilMs] of this.#held) {
      if (untilMs <= nowMs) this.#held.delete(name);
      else this.#dueMs = Math.min(this.#dueMs, untilMs);
    }
  }

  /** From the beginning again, with all keys, after a while. */
  #pause(): LaneEvent {
    this.#restart();
    this.#dueMs = this.#pauseEndMs(this.#pauses++);
    return { type: 'failed' };
  }

  #hold(name: string): void {
    const failures = this.#failuresOf.get(name) ?? 0;
    this.#failuresOf.set(name, failures + 1);
    const untilMs = this.#pauseEndMs(failures);
    this.#held.set(name, untilMs);
    this.#dueMs = Math.min(this.#dueMs, untilMs);
  }

  /** Of a pause that grows with the number of those before it. */
  #pauseEndMs(before: number): number {
    const { clock, random } = this.#host;
    const longMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(before, 16));
    return clock.monotonicMs() + longMs * (0.5 + random.next() / 2);
  }

  /** `areLeft`: nothing was taken of as many keys as are tried at once, and the others were not tried. */
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
    const waiting = [...byKey];
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
    return { taken, areLeft: waiting.length > 0 };
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
