import { availableParallelism } from 'node:os';
import { BUSY_KINDS, type BusyKind, FAULT_KINDS, type FaultKind } from './swarm.ts';

/** What `npm run sim` was asked for. */
export interface SimArguments {
  readonly first: number;
  readonly last: number;
  readonly seconds: number | null;
  readonly nodes: number | null;
  readonly faults: readonly FaultKind[] | null;
  readonly busy: BusyKind | null;
  readonly mutant: string | null;
  readonly trace: boolean;
  /** Stop at the first seed that fails. */
  readonly firstOnly: boolean;
  /** Real seconds after which no further seed begins. */
  readonly budget: number | null;
  readonly workers: number;
  /** Gets its seeds from a parent, one after the other. */
  readonly isWorker: boolean;
  /** With the limits of small-limits.ts. */
  readonly small: boolean;
  /** The sources are a copy that has the mutant's patches. */
  readonly isSandboxed: boolean;
}

export const USAGE = `npm run sim -- [--seed N | --seeds A..B] [options]
  --seed N         one seed
  --seeds A..B     a range, in as many processes as there are cores
  --from N         begin a range with this seed: to go on after an interruption
  --seconds N      virtual seconds under faults (200)
  --nodes N        1, 3 or 5 instead of what the seed draws
  --faults a,b     only these faults: ${FAULT_KINDS.join(', ')}
  --busy kind      many operations of one kind: ${BUSY_KINDS.join(', ')}
  --mutant name    with a seeded bug (test/sim/mutants)
  --workers N      processes for a range
  --small          limits so small that snapshots are taken all the time
  --first          stop at the first seed that fails
  --budget N       begin no further seed after N real seconds
  --trace          every message, role change and fault as it happens`;

const FLAGS: ReadonlySet<string> = new Set([
  '--small',
  '--trace',
  '--worker',
  '--first',
  '--sandboxed',
]);

/** Throws with a message for people. */
export function parseArguments(argv: readonly string[]): SimArguments {
  const given = new Map<string, string>();
  for (let i = 0; i < argv.length; i++) {
    const name = argv[i] as string;
    if (!name.startsWith('--')) throw new Error(`unexpected argument ${name}`);
    const isFlag = FLAGS.has(name);
    given.set(name.slice(2), isFlag ? 'yes' : (argv[++i] ?? ''));
  }
  const [first, last] = parseSeeds(given.get('seeds') ?? given.get('seed') ?? '1');
  const faults = given.get('faults')?.split(',') ?? null;
  for (const kind of faults ?? []) {
    if (!(FAULT_KINDS as readonly string[]).includes(kind)) throw new Error(`no fault ${kind}`);
  }
  return {
    first: numberOf(given.get('from')) ?? first,
    last,
    seconds: numberOf(given.get('seconds')),
    nodes: numberOf(given.get('nodes')),
    faults: faults as readonly FaultKind[] | null,
    busy: busyOf(given.get('busy')),
    mutant: given.get('mutant') ?? null,
    trace: given.has('trace'),
    firstOnly: given.has('first'),
    budget: numberOf(given.get('budget')),
    small: given.has('small'),
    isSandboxed: given.has('sandboxed'),
    workers: numberOf(given.get('workers')) ?? availableParallelism(),
    isWorker: given.has('worker'),
  };
}

function busyOf(text: string | undefined): BusyKind | null {
  if (text === undefined) return null;
  const kind = BUSY_KINDS.find((known) => known === text);
  if (kind === undefined) throw new Error(`busy with what: ${text}?`);
  return kind;
}

function parseSeeds(text: string): [number, number] {
  const match = /^(\d+)(?:\.\.(\d+))?$/.exec(text);
  if (match === null) throw new Error(`not a seed or a range of seeds: ${text}`);
  const first = Number(match[1]);
  return [first, match[2] === undefined ? first : Number(match[2])];
}

function numberOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (!Number.isFinite(value) || text === '') throw new Error(`not a number: ${text}`);
  return value;
}
