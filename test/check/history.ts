/**
 * What clients saw of single keys, for test/check/linearizability.ts. One process records all of it
 * with one clock: `call` before the request is sent, `ret` after its answer is there.
 *
 * Rules for recorders:
 * - Every put of a run writes a value of its own (or of its own hash), so that a read names its write.
 * - A definite refusal that changed nothing and shows nothing (not_leader, overloaded) is left out.
 * - Anything else without an answer is indeterminate: `output: null`, `ret: Infinity`. Never "failed".
 * - A client with an indeterminate operation goes on under a new process number.
 */

/** A precondition as in protocol/commands.ts; an absent key has revision 0. */
export type Precondition =
  | { readonly type: 'revision'; readonly revision: number }
  | { readonly type: 'exists' }
  | { readonly type: 'absent' };

export type Input =
  | { readonly type: 'get' }
  | {
      readonly type: 'put';
      readonly value: string;
      readonly condition: Precondition | null;
      /** It has a time to live: from then on the key may become absent by itself. */
      readonly expires: boolean;
    }
  | { readonly type: 'delete'; readonly condition: Precondition | null };

export type Output =
  /** value null and revision 0: absent. */
  | { readonly type: 'got'; readonly value: string | null; readonly revision: number }
  | { readonly type: 'put'; readonly revision: number }
  /** The delete's own revision when it removed something, else 0. */
  | { readonly type: 'deleted'; readonly deleted: boolean; readonly revision: number }
  /** The precondition did not hold; the key's revision at that moment, or -1 where the answer does not tell. */
  | { readonly type: 'precondition_failed'; readonly revision: number };

export interface Operation {
  readonly process: number;
  /** The key's full name, in any injective spelling. */
  readonly key: string;
  readonly input: Input;
  /** Null when the outcome is not known. */
  readonly output: Output | null;
  readonly call: number;
  /** Infinity when the outcome is not known. */
  readonly ret: number;
}

/** `unknown`: the search gave up. It fails a run like a violation: nothing was shown. */
export type Verdict =
  | { readonly result: 'ok'; readonly operations: number; readonly steps: number }
  | { readonly result: 'violation'; readonly key: string; readonly reason: string }
  | { readonly result: 'unknown'; readonly key: string; readonly reason: string };

/** One line for a report. */
export function describeOperation(op: Operation): string {
  const what =
    op.input.type === 'get'
      ? 'get'
      : `${op.input.type}${op.input.type === 'put' ? `(${op.input.value})` : ''}${describeCondition(op.input.condition)}`;
  return `[${op.call}, ${op.ret}] p${op.process} ${what} -> ${describeOutput(op.output)}`;
}

function describeCondition(condition: Precondition | null): string {
  if (condition === null) return '';
  return condition.type === 'revision' ? ` if @${condition.revision}` : ` if ${condition.type}`;
}

function describeOutput(output: Output | null): string {
  if (output === null) return 'unknown';
  switch (output.type) {
    case 'got':
      return output.value === null ? 'absent' : `${output.value} @${output.revision}`;
    case 'put':
      return `@${output.revision}`;
    case 'deleted':
      return output.deleted ? `deleted @${output.revision}` : 'nothing to delete';
    case 'precondition_failed':
      return `precondition failed @${output.revision}`;
  }
}
