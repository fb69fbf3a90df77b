import { parseArgs } from 'node:util';
import { DECODERS, type Failure, fuzzDecoder } from './decoders.ts';
import { type FuzzedNode, fuzzRoutes, startFuzzedNode } from './routes.ts';

/**
 * npm run fuzz -- [--minutes 10] [--seed S] [--only TEXT]
 *
 * Half of the time goes to decoders, round after round, the other half to the routes of two nodes. Each failure is told with the
 * seed that begins with it: `--only` its name and `--seed` that number meet it at once. Ends with 1 where there was one.
 */
const ROUND_MS = 700;

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly only: string;
}

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: { minutes: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string' } },
  });
  const minutes = Number(values.minutes ?? '10');
  const seed = Number(values.seed ?? Date.now() % 1_000_000_000);
  if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
    throw new Error('--minutes wants a number, --seed a whole one');
  }
  return { minutes, seed, only: values.only ?? '' };
}

const found: Failure[] = [];

function tell(failure: Failure): void {
  found.push(failure);
  const { target, seed, why, input } = failure;
  console.log(`FAIL ${target}: ${why}\n  input ${input.slice(0, 2000)}`);
  console.log(`  npm run fuzz -- --only '${target}' --seed ${seed} --minutes 0.1`);
}

async function decoders({ seed, only }: Options, untilMs: number): Promise<void> {
  let left = DECODERS.filter(({ name }) => name.includes(only));
  const counts = new Map<string, { cases: number; taken: number }>();
  for (let first = seed; left.length > 0 && performance.now() < untilMs; ) {
    let most = 0;
    for (const target of left) {
      const end = Math.min(untilMs, performance.now() + ROUND_MS);
      const run = await fuzzDecoder(target, { seed: first, cases: 20_000, untilMs: end });
      const before = counts.get(target.name) ?? { cases: 0, taken: 0 };
      counts.set(target.name, { cases: before.cases + run.cases, taken: before.taken + run.taken });
      most = Math.max(most, run.cases);
      if (run.failure === null) continue;
      tell(run.failure);
      left = left.filter((one) => one !== target);
    }
    first += most;
  }
  let all = 0;
  for (const [name, { cases, taken }] of counts) {
    all += cases;
    console.log(`${name}: ${cases} cases, ${Math.round((100 * taken) / cases)} % taken`);
  }
  console.log(`decoders: ${all} cases from seed ${seed} on`);
}

async function routes({ seed, only }: Options, untilMs: number): Promise<void> {
  const nodes: FuzzedNode[] = [];
  try {
    for (const withAuth of [false, true]) nodes.push(await startFuzzedNode(withAuth));
    const jobs = nodes.flatMap((node) => (['REST', 'S3'] as const).map((kind) => ({ node, kind })));
    const wanted = jobs.filter(({ node, kind }) => `${kind} ${node.name}`.includes(only));
    for (const [i, { node, kind }] of wanted.entries()) {
      const now = performance.now();
      const share = now + (untilMs - now) / (wanted.length - i);
      const run = await fuzzRoutes(node, kind, {
        seed,
        cases: Number.POSITIVE_INFINITY,
        untilMs: share,
      });
      const statuses = [...run.statuses].sort(([a], [b]) => a - b).map(([s, n]) => `${s}: ${n}`);
      console.log(
        `${kind} ${node.name}: ${run.cases} requests from seed ${seed} on; ${statuses.join(', ')}`,
      );
      if (run.failure !== null) tell(run.failure);
    }
  } finally {
    for (const node of nodes) await node.stop();
  }
}

async function main(): Promise<number> {
  const options = optionsOf(process.argv.slice(2));
  console.log(`seed ${options.seed}, ${options.minutes} minutes`);
  const startMs = performance.now();
  const wholeMs = options.minutes * 60_000;
  const isRoute = /^(?:REST|S3) with/.test(options.only);
  const isDecoder = DECODERS.some(({ name }) => name.includes(options.only));
  if (!isRoute && !isDecoder) throw new Error(`nothing is called ${options.only}`);
  const both = options.only === '';
  if (!isRoute) await decoders(options, startMs + (both ? wholeMs / 2 : wholeMs));
  if (both || isRoute) await routes(options, startMs + wholeMs);
  console.log(found.length === 0 ? 'clean' : `${found.length} failures`);
  return found.length === 0 ? 0 : 1;
}

process.exitCode = await main();
