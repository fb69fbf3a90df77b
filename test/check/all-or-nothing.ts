import type { Change } from './truth.ts';

/** What one transaction put: values that are unique in a run, as the history shows them. */
export interface PutsSeen {
  readonly values: readonly string[];
  /** `refused`: it certainly did not happen. `unknown`: it may have, or may yet. */
  readonly outcome: 'done' | 'refused' | 'unknown';
  /** Of one that was done; else 0. */
  readonly revision: number;
  readonly call: number;
}

/**
 * The puts of a transaction that was done are all in the final history, at its revision; of one that was
 * refused none is; of one whose answer was lost all are, at one revision, or none. Null when so.
 */
export function tornTransaction(
  seen: readonly PutsSeen[],
  history: readonly Change[],
): { readonly at: number; readonly reason: string } | null {
  const revisions = new Map<string, number>();
  for (const { value, revision } of history) if (value !== null) revisions.set(value, revision);
  for (const puts of seen) {
    const reason = tornIn(puts, revisions);
    if (reason !== null) return { at: puts.call, reason };
  }
  return null;
}

function tornIn(
  { values, outcome, revision }: PutsSeen,
  revisions: ReadonlyMap<string, number>,
): string | null {
  const found = values.map((value) => revisions.get(value) ?? 0);
  const shown = () => values.map((value, i) => `${value.slice(0, 60)} @${found[i]}`).join(', ');
  if (outcome === 'done' && found.some((at) => at !== revision)) {
    return `a transaction was done @${revision}, but the history has ${shown()}`;
  }
  if (outcome === 'refused' && found.some((at) => at !== 0)) {
    return `a transaction was refused, but the history has ${shown()}`;
  }
  if (new Set(found).size <= 1) return null;
  return `a part of a transaction is in the history: ${shown()}`;
}
