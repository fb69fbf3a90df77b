import type { Operation, Target } from '../job.ts';
import type { Random } from '../random.ts';

/** How one server wants to be asked: requests as bytes, and what an answer says. */

export interface DialectOptions {
  readonly target: Target;
  readonly operation: Operation;
  /** Keys are numbered from 0. */
  readonly keys: number;
  readonly valueBytes: number;
  readonly random: Random;
  /** Drawn once for all connections; each at least `valueBytes` long. */
  readonly values: readonly Buffer[];
  /** The next keys of a `fill`; null when there are no more. */
  readonly nextRange: () => { readonly from: number; readonly count: number } | null;
}

/** One connection's side. A request's bytes are reused: there is one at a time. */
export interface Dialect {
  /** Sent once, before the first request. */
  readonly greeting: Buffer | null;
  /** Null when there is nothing left to do. */
  next(): Buffer | null;
  /** Gives the reader what came. Calls `done` once per answer; throws when it is no answer at all. */
  feed(chunk: Buffer): void;
}

/** `keys`: how many keys the answer is about. `error`: what is wrong with it, else null. */
export type Done = (keys: number, error: string | null) => void;

/** `write` is for what a protocol has to say by itself. */
export type MakeDialect = (
  options: DialectOptions,
  done: Done,
  write: (bytes: Buffer) => void,
) => Dialect;
