import type { Truth } from '../../check/truth.ts';
import type { History } from '../history.ts';
import type { StoreModel } from '../model.ts';
import type { Arrival } from '../targets.ts';

/** What a whole run left behind. */
export interface RunFacts {
  readonly history: History;
  readonly model: StoreModel;
  /** The changes of the committed logs, in the one order. */
  readonly truth: Truth;
  /** What targets of notifications have got, in order. */
  readonly arrivals: readonly Arrival[];
}

/** A property of a whole run, checked when it is over. Throws SimViolation. */
export interface FinalCheck {
  readonly name: string;
  readonly source: string;
  run(facts: RunFacts): void;
}
