import { fork } from 'node:child_process';
import { parseArguments, type SimArguments, USAGE } from './arguments.ts';
import { findMutant, MUTANT_NAMES } from './mutants/registry.ts';
import { failureReport, summaryLine } from './report.ts';
import { runSeed } from './seed-run.ts';
import { describeSwarm, drawSwarm } from './swarm.ts';

/** The simulator's command line; see arguments.ts. Exits 1 when a seed failed. */
async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help')) {
    console.log(`${USAGE}\n  mutants: ${MUTANT_NAMES.join(', ')}`);
    return 0;
  }
  const asked = parseArguments(argv);
  if (asked.last > asked.first && asked.workers > 1 && !asked.isWorker) {
    return runWorkers(argv, asked.workers);
  }
  return runRange(asked);
}

async function runRange(asked: SimArguments): Promise<number> {
  const mutant = asked.mutant === null ? null : findMutant(asked.mutant);
  let failed = 0;
  for (let seed = asked.first; seed <= asked.last; seed++) {
    if (asked.isWorker && seed % asked.workers !== asked.remainder) continue;
    const config = drawSwarm(seed, {
      ...(asked.nodes === null ? {} : { nodeCount: asked.nodes }),
      ...(asked.seconds === null ? {} : { seconds: asked.seconds }),
      ...(asked.faults === null ? {} : { faults: asked.faults }),
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
