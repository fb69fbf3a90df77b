import { Script } from 'node:vm';
import { inputOf } from './mutate.ts';
import { Broken, type DecoderTarget } from './target.ts';
import { CODEC_TARGETS } from './targets/codecs.ts';
import { EDGE_TARGETS } from './targets/edge.ts';
import { FILE_TARGETS } from './targets/files.ts';
import { ROW_TARGETS } from './targets/rows.ts';
import { S3_TARGETS } from './targets/s3.ts';

export const DECODERS: readonly DecoderTarget[] = [
  ...CODEC_TARGETS,
  ...ROW_TARGETS,
  ...FILE_TARGETS,
  ...EDGE_TARGETS,
  ...S3_TARGETS,
];

/** One decode may take so long, of the processor: the machine may be busy with others. And so much of what it allocated in one turn may be held. */
const CASE_MS = 1_000;
/** By the clock. */
const HANG_MS = 20_000;
const CASE_BYTES = 96 * 1024 * 1024;
/** What may be left of all cases of a target. */
const KEPT_BYTES = 64 * 1024 * 1024;

/** What did not hold, and how to see it again. */
export interface Failure {
  readonly target: string;
  readonly seed: number;
  /** Hex. */
  readonly input: string;
  readonly why: string;
}

export interface DecoderRun {
  readonly cases: number;
  /** How many of them were valid input, or as good as that. */
  readonly taken: number;
  readonly failure: Failure | null;
}

/** Runs cases of `seed` and those after it until the time is up, or for `cases`. Ends at the first failure. */
export async function fuzzDecoder(
  target: DecoderTarget,
  bounds: { readonly seed: number; readonly cases: number; readonly untilMs: number },
): Promise<DecoderRun> {
  const startBytes = heldBytes();
  let cases = 0;
  let taken = 0;
  while (cases < bounds.cases && (cases === 0 || performance.now() < bounds.untilMs)) {
    const seed = bounds.seed + cases;
    const outcome = await caseOf(target, seed);
    cases++;
    if (outcome === 'taken') taken++;
    else if (outcome !== 'refused') return { cases, taken, failure: outcome };
  }
  const kept = heldBytes() - startBytes;
  if (kept <= KEPT_BYTES) return { cases, taken, failure: null };
  const why = `${Math.round(kept / 1e6)} MB are kept after ${cases} cases from this seed on`;
  return { cases, taken, failure: { target: target.name, seed: bounds.seed, input: '', why } };
}

/** After a collection where there is one to ask for (`--expose-gc`); without it, what the heap happens to hold. */
function heldBytes(): number {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) return 0;
  gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** One case: a function of the target and the seed. `caseMs`: of the processor. */
export async function caseOf(
  target: DecoderTarget,
  seed: number,
  caseMs = CASE_MS,
): Promise<'taken' | 'refused' | Failure> {
  const input = inputOf(target, seed);
  const failed = (why: string): Failure => ({
    ...{ target: target.name, seed, input: input.toString('hex'), why },
  });
  const before = process.memoryUsage();
  const start = process.cpuUsage();
  let outcome: 'taken' | 'refused' = 'taken';
  try {
    const taking = bounded(() => target.take(input));
    if (taking !== undefined) await within(taking, HANG_MS);
  } catch (error) {
    if (!isAllowed(target, error)) return failed(told(error));
    outcome = 'refused';
  }
  const { user, system } = process.cpuUsage(start);
  const tookMs = (user + system) / 1000;
  if (tookMs > caseMs) return failed(`it took ${Math.round(tookMs)} ms`);
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  if (grown > CASE_BYTES) return failed(`it allocated ${Math.round(grown / 1e6)} MB`);
  return outcome;
}

function isAllowed(target: DecoderTarget, error: unknown): boolean {
  return !(error instanceof Broken) && target.isRefusal(error);
}

function told(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/**
 * Ends also a loop without end: the engine is told to stop the script that called it. A watchdog for each case would cost more
 * than the case, but only its start does.
 */
function bounded<T>(run: () => T): T {
  const holder = globalThis as { fuzzedCase?: () => T };
  holder.fuzzedCase = run;
  return CALL.runInThisContext({ timeout: HANG_MS }) as T;
}

const CALL = new Script('globalThis.fuzzedCase()');

function within(taking: Promise<void>, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Broken(`there was no end after ${ms} ms`)), ms);
    taking.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
