import type { RequestContext } from './service.ts';
import type { Revision } from './types.ts';

/** What the cluster keeps of one encryption key. Edges write and read the text; keys in it are wrapped. */
export interface KeyRow {
  /** 1 to 128 of letters, digits, '/', '_' and '-'. */
  readonly id: string;
  readonly text: string;
  readonly revision: Revision;
}

/** Rows of the meta group about keys; linearizable, the same on every node. */
export interface KeyRows {
  get(ctx: RequestContext, id: string): Promise<KeyRow | null>;
  /** By id. */
  list(ctx: RequestContext): Promise<readonly KeyRow[]>;
  /**
   * Replaces the row of this revision (0: there is none). False: it has changed meanwhile. Rejects with
   * `outcome_unknown` where nobody can tell.
   */
  put(ctx: RequestContext, row: KeyRow): Promise<boolean>;
}
