import type { Socket } from 'node:net';
import type { Clock } from '../../protocol/clock.ts';

/** Requests of one connection that were refused in a row, after which it is read in larger pieces. */
const IN_A_ROW = 16;
/** Then it is read so often. */
const PAUSE_MS = 50;

interface Streak {
  refused: number;
  isSlow: boolean;
}

/** On the socket: a property is found faster than an entry of a Map. */
const STREAK = Symbol('refusals in a row');
type Link = Socket & { [STREAK]?: Streak };

/**
 * Connections whose requests are refused for a limit, one after another. They are left unread for a moment each time: who repeats at
 * once is slowed down to what a connection is read, and what others send without waiting is read, and answered, in one piece
 * rather than one by one. That is most of what a refusal costs, and so of what somebody beyond their limit costs others.
 */
export class RefusedLinks {
  readonly #clock: Pick<Clock, 'soon' | 'after'>;

  constructor(clock: Pick<Clock, 'soon' | 'after'>) {
    this.#clock = clock;
  }

  /** To be called before the refusal is sent. */
  refused(socket: Socket): void {
    const link = socket as Link;
    link[STREAK] ??= { refused: 0, isSlow: false };
    const streak = link[STREAK];
    streak.refused++;
    if (streak.refused < IN_A_ROW || streak.isSlow) return;
    streak.isSlow = true;
    socket.cork();
    // What was read together is parsed together, and Node reads on at the end of each request.
    this.#clock.soon(() => {
      socket.uncork();
      socket.pause();
      this.#clock.after(PAUSE_MS, () => {
        streak.isSlow = false;
        socket.resume();
      });
    });
  }

  served(socket: Socket): void {
    const streak = (socket as Link)[STREAK];
    if (streak !== undefined) streak.refused = 0;
  }
}
