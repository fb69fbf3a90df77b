import assert from 'node:assert/strict';
import type { S3 } from '@aws-sdk/client-s3';
import type { World } from './world.ts';

/** What a suite is: named cases by area, each a function over its own world. */
export type Run = (world: World) => Promise<void>;

export interface Case {
  /** `area: what it says`; unique over all areas. */
  readonly name: string;
  readonly area: string;
  readonly run: Run;
}

export interface Area {
  readonly name: string;
  readonly cases: readonly Case[];
}

export function area(name: string, cases: Readonly<Record<string, Run>>): Area {
  const said = Object.entries(cases);
  return {
    name,
    cases: said.map(([what, run]) => ({ name: `${name}: ${what}`, area: name, run })),
  };
}

/** One case for each row of a table. */
export function each<T>(
  rows: readonly T[],
  say: (row: T) => string,
  run: (world: World, row: T) => Promise<void>,
): Record<string, Run> {
  const cases: Record<string, Run> = {};
  for (const row of rows) {
    assert.ok(!Object.hasOwn(cases, say(row)), `two cases are called ${say(row)}`);
    cases[say(row)] = (world) => run(world, row);
  }
  return cases;
}

/** An error of the SDK as far as cases look at it. */
export interface Refusal {
  readonly name: string;
  readonly message: string;
  readonly $metadata: { readonly httpStatusCode?: number; readonly requestId?: string };
}

/** The call is refused with exactly this status and code. */
export async function refused(
  call: Promise<unknown>,
  status: number,
  code: string,
): Promise<Refusal> {
  const outcome = await call.then(
    () => null,
    (error: unknown) => error as Refusal,
  );
  assert.ok(outcome !== null, `done, where ${status} ${code} was expected`);
  if (outcome.$metadata === undefined) throw outcome;
  const seen = `${outcome.$metadata.httpStatusCode} ${outcome.name}`;
  assert.equal(seen, `${status} ${code}`, outcome.message);
  return outcome;
}

export type Sdk = S3;
export { assert };
