import { CommandFailed } from '../failures.ts';
import { linesOf } from '../import/lines.ts';
import { openStatusLine } from '../progress.ts';
import { type ClientFlags, type Context, openContext, printJson } from './context.ts';
import { nodesNamed } from './nodes.ts';
import { sizeText } from './size-text.ts';
import { COPIES_TEXT, fetchStatus } from './status.ts';

/** What voters say of their chunks is some seconds old, and unknown for some seconds after a start. */
const SETTLE_MS = 15_000;
const LOOK_AGAIN_MS = 500;

export type CareCommand = 'verify' | 'repair' | 'compact';

export interface CareFlags extends ClientFlags {
  readonly node?: string;
  readonly progress?: boolean;
}

/** A line of `POST /admin/verify`, `/admin/repair` or `/admin/compact`. Counts of the other ones are missing. */
interface CareLine {
  readonly nodeId: string;
  readonly done: boolean;
  readonly phase: string;
  readonly looked: number;
  readonly total: number | null;
  readonly verified?: number;
  readonly verifiedBytes?: number;
  readonly damaged?: number;
  readonly foreign?: number;
  readonly chunks?: number;
  readonly missing?: number;
  readonly mended?: number;
  readonly lost?: number;
  readonly named?: number;
  readonly young?: number;
  readonly unseen?: number;
  readonly removed?: number;
  readonly removedBytes?: number;
  readonly error?: { readonly detail?: string; readonly code?: string };
}

interface NodeRun {
  readonly nodeId: string;
  readonly url: string;
  last: CareLine | null;
  failure: string | null;
}

/** `minikv verify`, `repair` and `compact`: all nodes at once, or those that `--node` names. */
export async function careForChunks(
  context: Context,
  command: CareCommand,
  flags: CareFlags,
): Promise<void> {
  const { io, json } = context;
  const nodes = await nodesNamed(context, flags.node);
  const runs = nodes.map((node): NodeRun => ({ ...node, last: null, failure: null }));
  const startedMs = io.clock.monotonicMs();
  const line = openStatusLine(flags.progress ?? (io.errIsTerminal && !json), () => {
    const ms = io.clock.monotonicMs() - startedMs;
    return `${command}: ${runs.map((run) => progressText(run, ms)).join('; ')}`;
  });
  try {
    await Promise.all(runs.map((run) => runOn(context, command, flags, run)));
  } finally {
    line.stop();
  }
  for (const run of runs) {
    if (json) await printJson(io, { event: 'node', command, ...resultOf(run) });
    else await io.out(`${run.nodeId}: ${run.failure ?? resultText(command, run.last!)}\n`);
  }
  const bad = runs.filter((run) => run.failure !== null || !isWell(command, run.last!));
  const names = bad.map(({ nodeId }) => nodeId);
  if (names.length > 0) {
    throw new CommandFailed(`not well: ${names.join(', ')}`, { code: 'not_well', nodes: names });
  }
  if (command === 'verify') await expectCopies(context);
}

/** A node that has no group yet, or is behind, lacks nothing that it knows of: the voters of all groups tell. */
async function expectCopies(context: Context): Promise<void> {
  const { io, json } = context;
  const endMs = io.clock.monotonicMs() + SETTLE_MS;
  for (;;) {
    const { copies = 'unknown' } = await fetchStatus(context);
    if (copies === 'whole' || copies === 'lost' || io.clock.monotonicMs() >= endMs) {
      if (json) await printJson(io, { event: 'copies', copies });
      else await io.out(`${COPIES_TEXT[copies]}\n`);
      if (copies === 'whole') return;
      throw new CommandFailed(`not well: ${COPIES_TEXT[copies]}`, { code: 'not_well', copies });
    }
    await new Promise<void>((resolve) => void io.clock.after(LOOK_AGAIN_MS, resolve));
  }
}

/** Never rejects: what one node says is no obstacle to the others. */
async function runOn(
  context: Context,
  command: CareCommand,
  flags: CareFlags,
  run: NodeRun,
): Promise<void> {
  try {
    const { client } = openContext(context.io, { ...flags, endpoint: run.url });
    const response = await client.send(
      {
        ...{ method: 'POST', path: `/admin/${command}`, repeatable: true },
        headers: { accept: 'application/x-ndjson' },
      },
      async (answer) => answer,
    );
    if (response.body === null) throw new CommandFailed(`${run.url} answers nothing`);
    const chunks = response.body as unknown as AsyncIterable<Uint8Array>;
    for await (const text of linesOf(chunks)) {
      if (text.length === 0) continue;
      const said = JSON.parse(text.toString('utf8')) as CareLine;
      if (said.error !== undefined) {
        throw new CommandFailed(`${said.error.detail ?? ''} [${said.error.code ?? ''}]`);
      }
      run.last = said;
      if (context.json && !said.done) {
        await printJson(context.io, { event: 'progress', command, ...said });
      }
    }
    if (run.last?.done !== true) throw new CommandFailed('the answer broke off');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    run.failure = context.io.signal.aborted ? 'stopped; the node goes on by itself' : why;
  }
}

function resultOf({ nodeId, last, failure }: NodeRun): Record<string, unknown> {
  return failure === null ? { ...last } : { ...last, nodeId, done: false, failure };
}

/** Whether nothing is left that somebody has to look at. */
function isWell(command: CareCommand, line: CareLine): boolean {
  const { damaged = 0, missing = 0, mended = 0 } = line;
  if (command === 'compact') return true;
  return command === 'verify' ? damaged + missing === 0 : damaged + missing <= mended;
}

function progressText({ nodeId, last, failure }: NodeRun, ms: number): string {
  if (failure !== null) return `${nodeId} failed`;
  if (last === null) return `${nodeId} asked`;
  if (last.done) return `${nodeId} done`;
  const { phase, looked, total, verifiedBytes, chunks, missing, mended } = last;
  if (phase === 'counting') return `${nodeId} counting`;
  if (phase === 'restoring') {
    return `${nodeId} looked for ${chunks}, ${missing} missing, ${mended} brought`;
  }
  const share = total ? ` (${Math.min(100, Math.floor((100 * looked) / total))} %)` : '';
  const rate =
    verifiedBytes === undefined ? '' : `, ${sizeText((verifiedBytes * 1000) / Math.max(1, ms))}/s`;
  return `${nodeId} ${looked} of ${total ?? '?'} chunks${share}${rate}`;
}

function resultText(command: CareCommand, line: CareLine): string {
  if (command === 'compact') {
    const { named = 0, young = 0, unseen = 0, removed = 0, removedBytes = 0 } = line;
    const kept = `${named} needed, ${young} too young to tell, ${unseen} not all groups could tell of`;
    return `${removed} chunks removed (${sizeText(removedBytes)}); kept: ${kept}`;
  }
  const { verified = 0, verifiedBytes = 0, damaged = 0, foreign = 0 } = line;
  const { chunks = 0, missing = 0, mended = 0, lost = 0 } = line;
  const read = `${verified} chunks are well (${sizeText(verifiedBytes)}), ${damaged} damaged`;
  const strange = foreign > 0 ? `, ${foreign} files that are no chunks` : '';
  const wanted = `; of ${chunks} that belong here ${missing} were missing`;
  const brought = command === 'repair' ? `; ${mended} brought from other nodes, ${lost} lost` : '';
  return read + strange + wanted + brought;
}
