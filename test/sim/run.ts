import { fork } from 'node:child_process';
import { parseArguments, type SimArguments, USAGE } from './arguments.ts';
import type { Mutant, Patch } from './mutants/mutant.ts';
import { findMutant, MUTANT_NAMES } from './mutants/registry.ts';
import { Sandbox } from './mutants/sandbox.ts';
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
  if (asked.last > asked.first && asked.workers > 1 && !asked.isWorker) {
    return runWorkers(argv, asked.workers);
  }
  return runRange(asked, mutant);
}

async function runRange(asked: SimArguments, mutant: Mutant | null): Promise<number> {
  const endMs = performance.now() + (asked.budget ?? Number.POSITIVE_INFINITY) * 1000;
  let failed = 0;
  for (let seed = asked.first; seed <= asked.last; seed++) {
    if (performance.now() > endMs || (asked.firstOnly && failed > 0)) break;
    if (asked.isWorker && seed % asked.workers !== asked.remainder) continue;
    const config = drawSwarm(seed, {
      nodeCount: asked.nodes ?? mutant?.nodes,
      seconds: asked.seconds ?? mutant?.seconds,
      faults: asked.faults ?? mutant?.faults,
      busy: mutant?.busy,
    });
    if (asked.first === asked.last) console.log(describeSwarm(config));
    const sink = asked.trace ? (line: string): void => console.log(line) : null;
    const result = await runSeed(config, { mutant, verbose: asked.trace, sink });
    console.log(summaryLine(result));
    if (result.failure === null) continue;
    failed++;
    console.log(failureReport(result, 60));
  }
  return failed === 0 ? 0 : 1;
}

/** Runs itself again in a copy of the sources that has the patches. */
async function runSandboxed(argv: readonly string[], patches: readonly Patch[]): Promise<number> {
  const sandbox = new Sandbox(patches);
  try {
    const child = fork('test/sim/run.ts', [...argv, '--sandboxed'], { cwd: sandbox.folder });
    return await new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 2)));
  } finally {
    sandbox.dispose();
  }
}

/** Splits a range over processes; the seeds are independent of each other. */
async function runWorkers(argv: readonly string[], workers: number): Promise<number> {
  const ends: Promise<number>[] = [];
  for (let remainder = 0; remainder < workers; remainder++) {
    const child = fork(new URL(import.meta.url), [
      ...argv,
      '--worker',
      '--remainder',
      String(remainder),
    ]);
    ends.push(new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1))));
  }
  const codes = await Promise.all(ends);
  return codes.every((code) => code === 0) ? 0 : 1;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  },
);
