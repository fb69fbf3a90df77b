import type { RequestContext } from './service.ts';
import type { Revision } from './types.ts';

/** One row of the cluster's identities, such as an API key. Edges write and read the text. */
export interface IdentityRow {
  /** `<kind>/<id>`, at most 128 of letters, digits, '/', '_' and '-'. */
  readonly name: string;
  readonly text: string;
  /** Of its last change; 0: there is none yet. */
  readonly revision: Revision;
}

/** A view may be acted upon for this long after the question that confirmed it, by the clock of who asked. */
export const IDENTITY_VIEW_MS = 500;
/** By then every view has ended that was confirmed before. What is over it allows for clocks that run apart. */
export const IDENTITY_SETTLE_MS = 600;

/**
 * Who may use the cluster, as rows of the meta group. Each node has a view of all of them, which it asks the meta
 * group to confirm again and again; a view that was not confirmed lately says nothing (ADR 0038). So a request costs
 * no message, and once a change is acknowledged no node acts on what was there before.
 */
export interface Identities {
  /** Whether the view may be acted upon in this moment. */
  isCurrent(): boolean;
  /** Of the last change in the view: it is another one after each. */
  revision(): Revision;
  /** Null: there is none. Counts only while the view is current. */
  row(name: string): IdentityRow | null;
  /** Whose names begin so, by name. Counts only while the view is current. */
  rows(prefix: string): readonly IdentityRow[];
  /** Resolves when the view is current. Rejects with `unavailable` where the meta group does not answer in time. */
  current(deadlineMs: number): Promise<void>;
  /** Resolves when the view is as of this call, or later. Rejects as `current` does. */
  renewed(deadlineMs: number): Promise<void>;
  /**
   * Replaces the row of this revision. False: it has changed meanwhile, and nothing is done. True: it is done, and no node
   * acts any more on what was there before. Rejects with `outcome_unknown` where nobody can tell.
   */
  put(ctx: RequestContext, row: IdentityRow): Promise<boolean>;
  /** Resolves when no node acts any more on what was changed before this call. */
  settled(): Promise<void>;
  /** `run` is told whenever the view has been confirmed or has changed. Returns how to end that. */
  onConfirmed(run: () => void): () => void;
}
