import type { Input, Operation, Output, Precondition } from './history.ts';

/**
 * One key as a sequential object: what an operation may answer in a state, and the state after it.
 * The step is deterministic because a revision that nobody has seen yet stays UNKNOWN until an
 * answer shows it.
 */
export interface KeyState {
  /** Null: absent. */
  readonly value: string | null;
  /** 0: absent. UNKNOWN: written by an operation whose answer was lost. */
  readonly revision: number;
  /** Every later write has a revision above this. */
  readonly floor: number;
  /** The value has a time to live: any later operation may find the key absent. */
  readonly mayExpire: boolean;
}

export const UNKNOWN = -1;
export const ABSENT: KeyState = { value: null, revision: 0, floor: 0, mayExpire: false };

/** The state after `op` takes effect in `state`, or null when its answer is impossible there. */
export function step(state: KeyState, op: Operation): KeyState | null {
  if (op.output === null) return stepUnknown(state, op.input);
  switch (op.output.type) {
    case 'got':
      return op.output.value === null
        ? toAbsent(state)
        : sees(state, op.output.value, op.output.revision);
    case 'put':
      return op.input.type === 'put' ? stepPut(state, op.input, op.output) : null;
    case 'deleted':
      return op.input.type === 'delete' ? stepDelete(state, op.input, op.output) : null;
    case 'precondition_failed':
      return stepRefused(state, op.input, op.output.revision);
  }
}

/** Part of a memo key: equal states give equal text. */
export function stateKey(state: KeyState): string {
  return `${state.revision}/${state.floor}/${state.mayExpire ? 'e' : ''}/${state.value ?? ''}`;
}

function stepPut(
  state: KeyState,
  input: Extract<Input, { type: 'put' }>,
  output: Extract<Output, { type: 'put' }>,
): KeyState | null {
  const before = meets(state, input.condition);
  if (before === null || output.revision <= floorOf(before)) return null;
  const { revision } = output;
  return { value: input.value, revision, floor: revision, mayExpire: input.expires };
}

function stepDelete(
  state: KeyState,
  input: Extract<Input, { type: 'delete' }>,
  output: Extract<Output, { type: 'deleted' }>,
): KeyState | null {
  const before = meets(state, input.condition);
  if (before === null) return null;
  if (!output.deleted) return toAbsent(before);
  if (before.revision === 0 || output.revision <= floorOf(before)) return null;
  return { value: null, revision: 0, floor: output.revision, mayExpire: false };
}

/** A precondition failed, and the answer tells the revision that it failed on. */
function stepRefused(state: KeyState, input: Input, revision: number): KeyState | null {
  if (input.type === 'get' || input.condition === null) return null;
  if (revision === UNKNOWN) return refusedSilently(state, input.condition);
  const before = revision === 0 ? toAbsent(state) : sees(state, state.value, revision);
  if (before === null) return null;
  return holds(revision, input.condition) ? null : before;
}

/** The answer does not say what it failed on. A value that nobody has seen yet is not the one compared. */
function refusedSilently(state: KeyState, condition: Precondition): KeyState | null {
  if (condition.type === 'exists') return toAbsent(state);
  if (condition.type === 'absent') return state.revision === 0 ? null : state;
  return state.revision === condition.revision ? null : state;
}

/** The answer was lost: it took effect now. (That it never did is the search's other choice.) */
function stepUnknown(state: KeyState, input: Input): KeyState | null {
  if (input.type === 'get') return state;
  const before = meets(state, input.condition);
  if (before === null) return null;
  const floor = floorOf(before);
  if (input.type === 'delete') return { value: null, revision: 0, floor, mayExpire: false };
  return { value: input.value, revision: UNKNOWN, floor, mayExpire: input.expires };
}

/** The state in which the condition holds, or null. An unknown revision becomes the one compared. */
function meets(state: KeyState, condition: Precondition | null): KeyState | null {
  if (condition === null) return state;
  if (condition.type === 'exists') return state.revision === 0 ? null : state;
  if (condition.type === 'absent' || condition.revision === 0) return toAbsent(state);
  return sees(state, state.value, condition.revision);
}

function holds(revision: number, condition: Precondition): boolean {
  if (condition.type === 'revision') return revision === condition.revision;
  return condition.type === 'exists' ? revision !== 0 : revision === 0;
}

/** The key is seen present with this value and revision. */
function sees(state: KeyState, value: string | null, revision: number): KeyState | null {
  if (state.revision === 0 || state.value !== value) return null;
  if (state.revision !== UNKNOWN) return state.revision === revision ? state : null;
  return revision > state.floor ? { ...state, revision, floor: revision } : null;
}

/** The key is seen absent: it was, or its time to live is over. */
function toAbsent(state: KeyState): KeyState | null {
  if (state.revision === 0) return state;
  if (!state.mayExpire) return null;
  return { value: null, revision: 0, floor: floorOf(state), mayExpire: false };
}

function floorOf(state: KeyState): number {
  return Math.max(state.floor, state.revision);
}
