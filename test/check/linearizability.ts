import { describeOperation, type Operation, type Verdict } from './history.ts';
import { precheck } from './prechecks.ts';
import { ABSENT, type KeyState, stateKey, step } from './register-model.ts';

/**
 * Decides whether a history of single-key operations is linearizable: Wing and Gong's search as
 * improved by Lowe, one key at a time (linearizability is local), memoised on the set of
 * answered operations that have taken effect and the state they led to.
 *
 * Operations whose outcome is not known may take effect at any time after their call, or never: the
 * search is done when every operation with an answer has its place. Times that are equal count as
 * concurrent. The cost is exponential only in how many operations of one key overlap.
 */
export function checkLinearizability(
  history: readonly Operation[],
  options: { readonly stepsMax: number } = { stepsMax: 1_000_000 },
): Verdict {
  const keys = new Map<string, Operation[]>();
  for (const op of history) {
    if (op.output === null && op.input.type === 'get') continue;
    const operations = keys.get(op.key);
    if (operations === undefined) keys.set(op.key, [op]);
    else operations.push(op);
  }
  let steps = 0;
  for (const [key, operations] of keys) {
    const reason = precheck(operations);
    if (reason !== null) return { result: 'violation', key, reason };
    const search = new Search(operations, options.stepsMax);
    const found = search.run();
    steps += search.steps;
    if (found !== 'ok') return { result: found, key, reason: search.explain(found) };
  }
  return { result: 'ok', operations: history.length, steps };
}

/** One choice of the search: operation `index` took effect and led from `before`. */
interface Choice {
  readonly index: number;
  readonly before: KeyState;
  readonly lowBefore: number;
  readonly highBefore: number;
}

class Search {
  steps = 0;
  readonly #stepsMax: number;
  /** First the answered operations by call time, then the others by call time: tried last. */
  readonly #ops: readonly Operation[];
  readonly #answeredCount: number;
  readonly #done: Uint8Array;
  readonly #choices: Choice[] = [];
  /** For each set of answered operations and state: the sets of lost ones that led there. */
  readonly #seen = new Map<string, bigint[]>();
  /** The lost operations that took effect, one bit each. */
  #lost = 0n;
  #state: KeyState = ABSENT;
  /** Of the answered operations, all below #low have taken effect and none at or above #high. */
  #low = 0;
  #high = 0;
  #deepest: { length: number; stuck: readonly Operation[]; state: KeyState };

  constructor(operations: readonly Operation[], stepsMax: number) {
    const byCall = [...operations].sort((a, b) => a.call - b.call || a.ret - b.ret);
    const answered = byCall.filter((op) => op.output !== null);
    this.#ops = [...answered, ...byCall.filter((op) => op.output === null)];
    this.#answeredCount = answered.length;
    this.#done = new Uint8Array(operations.length);
    this.#stepsMax = stepsMax;
    this.#deepest = { length: -1, stuck: [], state: ABSENT };
  }

  run(): 'ok' | 'violation' | 'unknown' {
    let from = 0;
    while (this.#low < this.#answeredCount) {
      const next = this.#advance(from);
      if (next === 'given up') return 'unknown';
      if (next === 'taken') {
        from = 0;
        continue;
      }
      const undone = this.#undo();
      if (undone === null) return 'violation';
      from = undone + 1;
    }
    return 'ok';
  }

  /** Takes the first operation at or after `from` that may be next and leads somewhere new. */
  #advance(from: number): 'taken' | 'stuck' | 'given up' {
    const deadline = this.#firstReturn();
    const taken =
      this.#tryRange(Math.max(from, this.#low), this.#answeredCount, deadline) ||
      this.#tryRange(Math.max(from, this.#answeredCount), this.#ops.length, deadline);
    if (taken) return 'taken';
    if (this.steps > this.#stepsMax) return 'given up';
    this.#noteStuck(deadline);
    return 'stuck';
  }

  #tryRange(start: number, end: number, deadline: number): boolean {
    for (let index = start; index < end; index++) {
      const op = this.#ops[index] as Operation;
      // It began after another, still open one had returned: that one is first.
      if (op.call > deadline) return false;
      if (this.#done[index] === 1) continue;
      if (++this.steps > this.#stepsMax) return false;
      const after = step(this.#state, op);
      if (after === null || this.#isWasted(op, after)) continue;
      if (this.#take(index, after)) return true;
    }
    return false;
  }

  /**
   * True when the choice before this one was a lost operation and this one leads to the same state
   * without it: then leaving it out is at least as good, and that order is searched too.
   */
  #isWasted(op: Operation, after: KeyState): boolean {
    const last = this.#choices[this.#choices.length - 1];
    if (last === undefined || last.index < this.#answeredCount) return false;
    const without = step(last.before, op);
    return without !== null && stateKey(without) === stateKey(after);
  }

  /** The earliest return among the operations that have not taken effect. */
  #firstReturn(): number {
    let first = Number.POSITIVE_INFINITY;
    for (let index = this.#low; index < this.#answeredCount; index++) {
      const op = this.#ops[index] as Operation;
      if (op.call > first) break;
      if (this.#done[index] === 0 && op.ret < first) first = op.ret;
    }
    return first;
  }

  /** False when the same operations have led to the same state before. */
  #take(index: number, after: KeyState): boolean {
    const choice = { index, before: this.#state, lowBefore: this.#low, highBefore: this.#high };
    this.#done[index] = 1;
    if (index < this.#answeredCount) this.#high = Math.max(this.#high, index + 1);
    while (this.#low < this.#answeredCount && this.#done[this.#low] === 1) this.#low++;
    if (index >= this.#answeredCount) this.#lost |= this.#lostBit(index);
    this.#state = after;
    this.#choices.push(choice);
    if (this.#isNew()) return true;
    this.#undo();
    return false;
  }

  /**
   * False when the search has been here before, or in the same place with fewer lost operations
   * used up: whatever is possible from here was possible from there.
   */
  #isNew(): boolean {
    const window = this.#bits(this.#low, this.#high);
    const key = `${this.#low}:${window}:${stateKey(this.#state)}`;
    const earlier = this.#seen.get(key) ?? [];
    if (earlier.some((set) => (set & this.#lost) === set)) return false;
    earlier.push(this.#lost);
    this.#seen.set(key, earlier);
    return true;
  }

  #lostBit(index: number): bigint {
    return 1n << BigInt(index - this.#answeredCount);
  }

  /** Takes the last choice back and returns its operation; null when there is none. */
  #undo(): number | null {
    const choice = this.#choices.pop();
    if (choice === undefined) return null;
    this.#done[choice.index] = 0;
    if (choice.index >= this.#answeredCount) this.#lost &= ~this.#lostBit(choice.index);
    this.#low = choice.lowBefore;
    this.#high = choice.highBefore;
    this.#state = choice.before;
    return choice.index;
  }

  /** Which answered operations in [start, end) have taken effect, as text. */
  #bits(start: number, end: number): string {
    let text = '';
    let bits = 1;
    for (let index = start; index < end; index++) {
      bits = (bits << 1) | (this.#done[index] as number);
      if (bits < 0x4000) continue;
      text += String.fromCharCode(bits);
      bits = 1;
    }
    return text + String.fromCharCode(bits);
  }

  #noteStuck(deadline: number): void {
    if (this.#choices.length <= this.#deepest.length) return;
    const stuck = this.#ops.filter(
      (op, index) => this.#done[index] === 0 && op.output !== null && op.call <= deadline,
    );
    this.#deepest = { length: this.#choices.length, stuck, state: this.#state };
  }

  explain(found: 'violation' | 'unknown'): string {
    if (found === 'unknown') return `gave up after ${this.steps} steps`;
    const { length, stuck, state } = this.#deepest;
    const lines = stuck.slice(0, 12).map((op) => `  ${describeOperation(op)}`);
    const shown = `${state.value ?? 'absent'} @${state.revision}`;
    return `no order exists: ${length} operations fit and leave ${shown}; next is none of\n${lines.join('\n')}`;
  }
}
