import { parseArgs } from 'node:util';

/** The flags of `npm run bench`. */

export const WORKLOADS = [
  ...['put', 'get', 'mix', 'batch', 'scan', 'nats', 'watch'],
  ...['failover', 'growth', 'startup', 'recovery'],
] as const satisfies readonly string[];
export type WorkloadName = (typeof WORKLOADS)[number];

export interface Options {
  readonly only: readonly WorkloadName[];
  readonly nodes: readonly (1 | 3)[];
  readonly peers: readonly string[] | null;
  readonly connections: readonly number[];
  readonly rounds: number;
  /** Of one measurement. */
  readonly seconds: number;
  readonly seed: number;
  readonly quick: boolean;
  readonly profile: boolean;
  /** Other builds of minikv to measure beside this one, by name. */
  readonly against: readonly { readonly name: string; readonly main: string }[];
  /** Where results are written; null: only shown. */
  readonly out: string | null;
  /** Where servers keep their data. */
  readonly data: string;
  readonly isFull: boolean;
}

export const USAGE = `usage: npm run bench -- [flags]

  --only <workload,...>    ${WORKLOADS.join(' ')}
  --nodes <1,3>            cluster sizes (1,3)
  --peers <name,...>       minikv node:http etcd Redis (all that are installed)
  --connections <n,...>    for put and get (1,64,256)
  --rounds <n>             interleaved rounds (3)
  --seconds <n>            of one measurement (2.5)
  --quick                  smaller and shorter: about four minutes for everything
  --against <name=main.js> another build of minikv beside this one; repeatable
  --profile                also keep CPU profiles of the hot paths
  --seed <n>               keys and values (1)
  --out <folder>           write results there (a full run writes bench/results; others only show)
  --data <folder>          where servers keep their data (data/bench); not on a RAM disk
`;

const FLAGS = {
  only: { type: 'string' },
  nodes: { type: 'string' },
  peers: { type: 'string' },
  connections: { type: 'string' },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  seed: { type: 'string' },
  quick: { type: 'boolean' },
  profile: { type: 'boolean' },
  against: { type: 'string', multiple: true },
  out: { type: 'string' },
  data: { type: 'string' },
  help: { type: 'boolean' },
} as const;

/** Null asks for the usage text. Throws an Error that says what is wrong. */
export function parseOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({ args: [...args], options: FLAGS, allowPositionals: false });
  if (values.help === true) return null;
  const quick = values.quick ?? false;
  const only = names(values.only, WORKLOADS, '--only');
  const nodes = (values.nodes ?? '1,3').split(',').map((text) => {
    const count = numberOf(text, '--nodes');
    if (count !== 1 && count !== 3) throw new Error('--nodes: 1 or 3');
    return count;
  });
  const isWhole = only === null && values.nodes === undefined && values.peers === undefined;
  const isFull = isWhole && !quick;
  return {
    only: only ?? WORKLOADS,
    nodes,
    peers: values.peers?.split(',') ?? null,
    connections: (values.connections ?? (quick ? '1,64' : '1,64,256'))
      .split(',')
      .map((text) => numberOf(text, '--connections')),
    rounds: numberOf(values.rounds ?? (quick ? '2' : '3'), '--rounds'),
    seconds: numberOf(values.seconds ?? (quick ? '1.5' : '2.5'), '--seconds'),
    seed: numberOf(values.seed ?? '1', '--seed'),
    quick,
    profile: values.profile ?? false,
    against: (values.against ?? []).map(againstOf),
    out: values.out ?? (isFull ? 'bench/results' : null),
    data: values.data ?? 'data/bench',
    isFull,
  };
}

function names<T extends string>(
  text: string | undefined,
  known: readonly T[],
  flag: string,
): T[] | null {
  if (text === undefined) return null;
  return text.split(',').map((name) => {
    const found = known.find((candidate) => candidate === name);
    if (found === undefined) throw new Error(`${flag}: ${name} is none of ${known.join(', ')}`);
    return found;
  });
}

function numberOf(text: string, flag: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new Error(`${flag}: ${text} is not a number above 0`);
  }
  return value;
}

function againstOf(text: string): { name: string; main: string } {
  const at = text.indexOf('=');
  if (at < 1 || at === text.length - 1) throw new Error('--against: name=path/to/main.js');
  return { name: text.slice(0, at), main: text.slice(at + 1) };
}
