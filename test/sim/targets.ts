import type { Ports } from '../../actors/kit/ports.ts';
import type { Notification } from '../../protocol/notifications.ts';
import type { Random } from '../../protocol/random.ts';
import type { Life, Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';

/** Targets of notifications: one that mostly takes what comes, and one that refuses for a while, again and again. */
export const STEADY = 'webhook:steady';
export const MOODY = 'webhook:moody';

/** Of a notification: that it never arrives, and that its answer does not. */
const LOST_CHANCE = 0.05;
const UNKNOWN_CHANCE = 0.05;
/** Of what is answered by nobody in time, some arrives later. */
const LATE_CHANCE = 0.3;
const LATE_MS_MAX = 400;

/** What a target has got. */
export interface Arrival {
  readonly target: string;
  readonly notification: Notification;
}

/** When the moody one refuses, and what. */
interface Mood {
  readonly periodMs: number;
  readonly share: number;
  /** Of the keys, one of so many; 1: all. */
  readonly oneIn: number;
}

/** The world's targets. Whoever sends does not always learn what came of it. */
export class SimTargets {
  /** In order. */
  readonly arrivals: Arrival[] = [];
  readonly #names = new Set<string>();
  readonly #scheduler: Scheduler;
  readonly #trace: Trace;
  readonly #mood: Mood;
  #isWell = false;

  constructor(scheduler: Scheduler, trace: Trace, random: Random) {
    this.#scheduler = scheduler;
    this.#trace = trace;
    const periodMs = 5_000 + 35_000 * random.next();
    const share = 0.2 + 0.5 * random.next();
    this.#mood = { periodMs, share, oneIn: random.next() < 0.5 ? 1 : 3 };
  }

  /** From now on everything is taken, and answered. */
  heal(): void {
    this.#isWell = true;
  }

  hasGot(target: string, notification: Notification): boolean {
    return this.#names.has(nameOfNotification(target, notification));
  }

  /** The way of one life of a node to them. `random` is that life's. */
  deliverer(life: Life, random: Random): Ports['notifications']['deliver'] {
    return (target, notification) =>
      new Promise((resolve, reject) => {
        const luck = this.#isWell ? 1 : random.next();
        const arrivesMs = 1 + random.next() * 20;
        const isRefused = this.#refuses(target, notification);
        const isLost = luck <= LOST_CHANCE;
        const isUnknown = luck <= LOST_CHANCE + UNKNOWN_CHANCE;
        const isLate = isUnknown && random.next() < LATE_CHANCE;
        const lateMs = isLate ? random.next() * LATE_MS_MAX : 0;
        if (!isLost && !isRefused) {
          const arrive = () => this.#arrive(target, notification);
          this.#scheduler.after(arrivesMs + lateMs, null, arrive);
        }
        this.#scheduler.after(arrivesMs + random.next() * 20, life, () => {
          if (isRefused) reject(new Error('the target refuses'));
          else if (isUnknown) reject(new Error('the target did not answer'));
          else resolve();
        });
      });
  }

  #arrive(target: string, notification: Notification): void {
    const name = nameOfNotification(target, notification);
    this.#trace.mix(6, 0, notification.revision % 0x7fffffff, Buffer.from(name));
    this.#trace.detail('targets', () => name.replaceAll('\0', ' '));
    this.#names.add(name);
    this.arrivals.push({ target, notification });
  }

  #refuses(target: string, { ref }: Notification): boolean {
    if (target !== MOODY || this.#isWell) return false;
    const { periodMs, share, oneIn } = this.#mood;
    if ((this.#scheduler.nowMs() % periodMs) / periodMs >= share) return false;
    const sum = [...Buffer.from(ref.key)].reduce((total, byte) => total + byte, 0);
    return sum % oneIn === 0;
  }
}

/** The same for what is told twice, and for nothing else. */
export function nameOfNotification(target: string, one: Notification): string {
  const { event, revision, ref, ruleId } = one;
  return [target, ref.tenant, ref.space, ref.key, String(revision), event, ruleId].join('\0');
}
