/** The time port. Real in cli/, virtual in the simulator. Cores get values, never this port. */
export interface Clock {
  /** Monotonic ms; only differences mean something. Deadlines and timeouts use it. */
  monotonicMs(): number;
  /** Unix ms. Only for what users see and for revisions; may jump. */
  wallMs(): number;
  /** Runs `run` once after about `delayMs`; returns the way to cancel it. */
  after(delayMs: number, run: () => void): () => void;
  /** Runs `run` as soon as the I/O that is ready now has been handed over. */
  soon(run: () => void): void;
}
