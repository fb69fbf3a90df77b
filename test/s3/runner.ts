import { cleanUp } from './clean-up.ts';
import type { Case } from './suite.ts';
import { type Connections, World } from './world.ts';

export interface Outcome {
  readonly case: Case;
  /** Null: it holds. */
  readonly failure: Error | null;
  /** Null: all its buckets are gone. */
  readonly leftBehind: Error | null;
  readonly tookMs: number;
}

export const CASE_MS = 60_000;

export async function runCase(connections: Connections, one: Case): Promise<Outcome> {
  const world = new World(connections);
  const started = performance.now();
  const failure = await failureOf(one.run(world));
  const leftBehind = await failureOf(cleanUp(world));
  return { case: one, failure, leftBehind, tookMs: performance.now() - started };
}

async function failureOf(run: Promise<void>): Promise<Error | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${CASE_MS} ms`)), CASE_MS);
  });
  try {
    await Promise.race([run, late]);
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    clearTimeout(timer);
  }
}

/** All cases, `width` at a time; outcomes in the order of the cases, each told when it is known. */
export async function runCases(
  connections: Connections,
  cases: readonly Case[],
  width: number,
  tell: (outcome: Outcome) => void,
): Promise<Outcome[]> {
  const outcomes = new Array<Outcome>(cases.length);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < cases.length) {
      const index = next++;
      const outcome = await runCase(connections, cases[index] as Case);
      outcomes[index] = outcome;
      tell(outcome);
    }
  };
  await Promise.all(Array.from({ length: width }, work));
  return outcomes;
}
