/** Broken invariants. They stay on in production: stopping is safer than continuing wrong. */
export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation';
}

/** Throws InvariantViolation when the condition is false. Never used for input from outside. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantViolation(message);
}

/** Marks the impossible branch of a total switch; the compiler refuses a missing case. */
export function assertNever(value: never): never {
  throw new InvariantViolation(`unexpected variant: ${JSON.stringify(value)}`);
}

/** A safe non-negative integer, as every index, term, revision and size in memory must be. */
export function assertCount(value: number, what: string): void {
  assert(Number.isSafeInteger(value) && value >= 0, `${what} is not a safe count: ${value}`);
}
