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
 */
export class Lane {
  readonly #host: LaneHost;
  readonly #target: string;
  readonly #actor: LaneActor;
  #group: NotifyGroup;
  /** Where this pass stands; null: at the beginning. */
  #after: OutboxPosition | null = null;
  /** Keys of which something was not taken in this pass: the rest of them waits. */
  #held = new Set<string>();
  /** Something may have come since the last look. */
  #isWoken = false;
  #failures = 0;
  #dueMs = 0;
  #stopped = false;

  constructor(host: LaneHost, group: NotifyGroup, target: string) {
    this.#host = host;
    this.#group = group;
    this.#target = target;
    this.#actor = startLaneMachine({
      isDue: () => host.clock.monotonicMs() >= this.#dueMs,
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
        this.#actor.send(event.type === 'empty' && this.#isWoken ? { type: 'more' } : event);
      });
  }

  async #step(): Promise<LaneEvent> {
    if (!this.#mayGoOn()) return this.#pause();
    this.#isWoken = false;
    const rows = await this.#read();
    const last = rows.at(-1);
    if (last === undefined) {
      if (this.#held.size > 0) return this.#pause();
      this.#restart();
      return { type: 'empty' };
    }
    const { taken, hasFailed } = await this.#send(rows);
    if (taken.length > 0 && !(await this.#group.trim(this.#target, taken))) return this.#pause();
    // Nothing was taken of all that was tried: the target is given time.
    if (hasFailed && taken.length === 0) return this.#pause();
    if (!hasFailed && taken.length > 0) this.#failures = 0;
    this.#after = last.at;
    return { type: 'more' };
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
  }

  /** From the beginning again, after a while that grows with each failure. */
  #pause(): LaneEvent {
    this.#restart();
    const { clock, random } = this.#host;
    const longMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(this.#failures, 16));
    this.#failures++;
    this.#dueMs = clock.monotonicMs() + longMs * (0.5 + random.next() / 2);
    return { type: 'failed' };
  }

  async #send(rows: readonly OutboxRow[]): Promise<{ taken: Taken[]; hasFailed: boolean }> {
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
    let hasFailed = false;
    const work = async (): Promise<void> => {
      for (;;) {
        const next = waiting.shift();
        if (next === undefined) return;
        const [name, own] = next;
        if (await this.#sendKey(own, taken)) continue;
        hasFailed = true;
        this.#held.add(name);
        if (taken.length === 0) waiting.length = 0;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return { taken, hasFailed };
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
      // One line for each pause, which grow.
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
