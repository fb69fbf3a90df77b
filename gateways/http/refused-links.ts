import type { Socket } from 'node:net';
import type { Clock } from '../../protocol/clock.ts';
import type { Standing } from '../limits/scope-meters.ts';

/** Requests of one connection that were refused, beyond those that were served, after which it is read more slowly. */
const REFUSED_MAX = 16;
/** Then it is left unread for so long after each, or until nothing more is saved up for it. */
const PAUSE_MS_MAX = 50;

interface Streak {
  /** Up to REFUSED_MAX. */
  refused: number;
  isSlow: boolean;
}

/** On the socket: a property is found faster than an entry of a Map. */
const STREAK = Symbol('refusals');
type Link = Socket & { [STREAK]?: Streak };

/**
 * Connections whose requests are refused for a limit, again and again. They are left unread for a moment each time: who repeats at
 * once is slowed down to what a connection is read, and what others send without waiting is read, and answered, in one piece
 * rather than one by one. What they might be served meanwhile is saved up, so nothing of a limit is lost.
 */
export class RefusedLinks {
  readonly #clock: Pick<Clock, 'soon' | 'after'>;

  constructor(clock: Pick<Clock, 'soon' | 'after'>) {
    this.#clock = clock;
  }

  /** To be called before the refusal is sent. */
  refused(socket: Socket, standing: Pick<Standing, 'resetMs'> | null): void {
    const link = socket as Link;
    link[STREAK] ??= { refused: 0, isSlow: false };
    const streak = link[STREAK];
    streak.refused = Math.min(REFUSED_MAX, streak.refused + 1);
    if (streak.refused < REFUSED_MAX || streak.isSlow) return;
    const pauseMs = Math.min(PAUSE_MS_MAX, standing?.resetMs ?? PAUSE_MS_MAX);
    streak.isSlow = true;
    socket.cork();
    // What was read together is parsed together, and Node reads on at the end of each request.
    this.#clock.soon(() => {
      socket.uncork();
      socket.pause();
      this.#clock.after(pauseMs, () => {
        streak.isSlow = false;
        socket.resume();
      });
    });
  }

  served(socket: Socket): void {
    const streak = (socket as Link)[STREAK];
    if (streak !== undefined && streak.refused > 0) streak.refused--;
  }
}
