import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArguments, type SimArguments, USAGE } from './arguments.ts';
import type { Mutant, Patch } from './mutants/mutant.ts';
import { findMutant, MUTANT_NAMES } from './mutants/registry.ts';
import { Sandbox } from './mutants/sandbox.ts';
import { ENGINE_FLAGS, Pool, type SeedOutcome } from './pool.ts';
import { failureReport, summaryLine } from './report.ts';
import { runSeed } from './seed-run.ts';
import { SMALL_LIMITS } from './small-limits.ts';
import { describeSwarm, drawSwarm } from './swarm.ts';

/** The simulator's command line; see arguments.ts. Exits 1 when a seed failed. */
async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help')) {
    console.log(`${USAGE}\n  mutants: ${MUTANT_NAMES.join(', ')}`);
    return 0;
  }
  const asked = parseArguments(argv);
  const mutant = asked.mutant === null ? null : findMutant(asked.mutant);
  const patches = [...(mutant?.patches ?? []), ...(asked.small ? SMALL_LIMITS : [])];
  if (patches.length > 0 && !asked.isSandboxed) return runSandboxed(argv, patches);
  if (asked.isWorker) return serveSeeds(asked, mutant);
  if (asked.last > asked.first && asked.workers > 1) return runPool(argv, asked);
  return runRange(asked, mutant);
}

async function runRange(asked: SimArguments, mutant: Mutant | null): Promise<number> {
  const endMs = performance.now() + (asked.budget ?? Number.POSITIVE_INFINITY) * 1000;
  let failed = 0;
  for (let seed = asked.first; seed <= asked.last; seed++) {
    if (performance.now() > endMs || (asked.firstOnly && failed > 0)) break;
    const { line, report } = await runOne(seed, asked, mutant);
    console.log(line);
    if (report === null) continue;
    failed++;
    console.log(report);
  }
  return failed === 0 ? 0 : 1;
}

async function runOne(
  seed: number,
  asked: SimArguments,
  mutant: Mutant | null,
): Promise<SeedOutcome> {
  const config = drawSwarm(seed, {
    nodeCount: asked.nodes ?? mutant?.nodes,
    seconds: asked.seconds ?? mutant?.seconds,
    faults: asked.faults ?? mutant?.faults,
    busy: asked.busy ?? mutant?.busy,
    favourite: mutant?.favourite,
    weather: mutant?.weather,
  });
  if (asked.first === asked.last) console.log(describeSwarm(config));
  const sink = asked.trace ? (line: string): void => console.log(line) : null;
  const result = await runSeed(config, { mutant, verbose: asked.trace, sink });
  return {
    seed,
    line: summaryLine(result),
    report: result.failure === null ? null : failureReport(result, 60),
    virtualMs: result.virtualMs,
    transactions: result.transactions,
  };
}

/** Splits a range over processes; the seeds are independent of each other. */
function runPool(argv: readonly string[], asked: SimArguments): Promise<number> {
  const { first, last, workers, firstOnly, budget } = asked;
  const pool = new Pool({
    ...{ first, last, workers, firstOnly, budgetS: budget ?? Number.POSITIVE_INFINITY },
    program: fileURLToPath(import.meta.url),
    argv: [...argv, '--worker'],
    print: (text) => console.log(text),
  });
  return pool.run();
}

/** A worker: one seed after the other, until its parent has no more. */
async function serveSeeds(asked: SimArguments, mutant: Mutant | null): Promise<number> {
  const seeds: number[] = [];
  let wake = (): void => {};
  let isOver = false;
  process.on('message', (seed: number) => {
    seeds.push(seed);
    wake();
  });
  process.on('disconnect', () => {
    isOver = true;
    wake();
  });
  for (;;) {
    const seed = seeds.shift();
    if (seed !== undefined) process.send?.(await runOne(seed, asked, mutant));
    else if (isOver) return 0;
    else
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  }
}

/** Runs itself again in a copy of the sources that has the patches. */
async function runSandboxed(argv: readonly string[], patches: readonly Patch[]): Promise<number> {
  const sandbox = new Sandbox(patches);
  try {
    const options = { cwd: sandbox.folder, execArgv: [...ENGINE_FLAGS] };
    const child = fork(sandbox.program, [...argv, '--sandboxed'], options);
    return await new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 2)));
  } finally {
    sandbox.dispose();
  }
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  },
);
