import { readFileSync } from 'node:fs';
import type { Clock } from '../protocol/clock.ts';
import type { Random } from '../protocol/random.ts';
import { systemClock } from './system-clock.ts';
import { systemRandom } from './system-random.ts';

/** What a command may touch of the process; tests give their own. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdinIsTerminal: boolean;
  readonly outIsTerminal: boolean;
  readonly errIsTerminal: boolean;
  /** Resolves when more may be written; keeps memory bounded behind a slow pipe. */
  out(text: string | Uint8Array): Promise<void>;
  err(text: string): void;
  readFile(path: string): string;
  /** Aborted by Ctrl-C and SIGTERM: a command stops and leaves things in order. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
}

/** Ctrl-C under `npm start` arrives twice: from the terminal, and handed on by npm. */
const SAME_SIGNAL_MS = 1_000;

/** The real process. The first Ctrl-C aborts `signal`; one more, a second later, ends at once. */
export function processIo(): Io {
  const stopping = new AbortController();
  let firstMs = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (!stopping.signal.aborted) firstMs = performance.now();
    else if (performance.now() - firstMs > SAME_SIGNAL_MS)
      process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
    stopping.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('SIGHUP', onSignal);
  // The parent of a cluster's node is gone, however it went.
  process.on('disconnect', () => stopping.abort());
  process.stdout.on('error', endQuietly);
  process.stderr.on('error', endQuietly);
  return {
    env: process.env,
    stdin: process.stdin,
    stdinIsTerminal: process.stdin.isTTY === true,
    outIsTerminal: process.stdout.isTTY === true,
    errIsTerminal: process.stderr.isTTY === true,
    out: (text) =>
      new Promise((resolve) => {
        if (process.stdout.write(text)) resolve();
        else process.stdout.once('drain', resolve);
      }),
    err: (text) => void process.stderr.write(text),
    readFile: (path) => readFileSync(path, 'utf8'),
    signal: stopping.signal,
    clock: systemClock({ holdOpen: true }),
    random: systemRandom(),
  };
}

/** `minikv scan | head`: the reader left, which is no fault of ours. */
function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
}

/** Waits; ends early when `signal` aborts. */
export function sleep(io: Pick<Io, 'clock' | 'signal'>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (io.signal.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      cancel();
      io.signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = io.clock.after(ms, done);
    io.signal.addEventListener('abort', done);
  });
}
