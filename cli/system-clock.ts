import { performance } from 'node:perf_hooks';
import type { Clock } from '../protocol/clock.ts';

/**
 * The real clock. Its timers keep the process alive only through `holdOpen`: a node stays up because
 * of its sockets, so that a stopped node ends by itself.
 */
export function systemClock(options: { readonly holdOpen: boolean } = { holdOpen: false }): Clock {
  return {
    monotonicMs: () => performance.now(),
    wallMs: () => Date.now(),
    after(delayMs, run) {
      const timer = setTimeout(run, delayMs);
      if (!options.holdOpen) timer.unref();
      return () => clearTimeout(timer);
    },
    soon(run) {
      setImmediate(run);
    },
  };
}
