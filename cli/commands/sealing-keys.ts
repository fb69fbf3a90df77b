import type { DataKeyStatus, RootKeyChange } from '../../protocol/sealing-keys.ts';
import { CommandFailed } from '../failures.ts';
import { openStatusLine } from '../progress.ts';
import { type ClientFlags, type Context, openContext, printJson } from './context.ts';
import { type NamedNode, nodesNamed } from './nodes.ts';

const PATH = '/admin/data-keys';
const LOOK_EVERY_MS = 500;

export interface DataKeyFlags extends ClientFlags {
  readonly node?: string;
  readonly wait?: boolean;
  readonly progress?: boolean;
}

type Shown = DataKeyStatus & { readonly nodeId: string };

/** What one node answered, or why it did not. */
interface Run<T> {
  readonly node: NamedNode;
  answer: T | null;
  failure: string | null;
}

export async function showDataKeys(context: Context, flags: DataKeyFlags): Promise<void> {
  const runs = await onEach<Shown>(context, flags, 'GET', '');
  await report(context, runs, textOf);
}

/** `minikv data-keys rotate`: each node has keys of its own, so each begins a new one. */
export async function rotateDataKeys(context: Context, flags: DataKeyFlags): Promise<void> {
  const runs = await onEach<Shown>(context, flags, 'POST', '/rotate');
  if (flags.wait === true) await waitFor(context, flags, runs);
  await report(context, runs, textOf);
}

/** `minikv data-keys reload-root-key`: as a restart of each node would. */
export async function reloadRootKey(context: Context, flags: DataKeyFlags): Promise<void> {
  type Changed = RootKeyChange & { readonly nodeId: string };
  const runs = await onEach<Changed>(context, flags, 'POST', '/reload-root-key');
  await report(context, runs, ({ rootKey, before }) =>
    rootKey === before ? `root key ${rootKey}, as before` : `root key ${rootKey}, before ${before}`,
  );
}

async function onEach<T>(
  context: Context,
  flags: DataKeyFlags,
  method: 'GET' | 'POST',
  path: string,
): Promise<Run<T>[]> {
  const nodes = await nodesNamed(context, flags.node);
  const runs = nodes.map((node): Run<T> => ({ node, answer: null, failure: null }));
  await Promise.all(runs.map((run) => ask(context, flags, run, method, path)));
  return runs;
}

/** Never rejects: what one node says is no obstacle to the others. */
async function ask<T>(
  context: Context,
  flags: DataKeyFlags,
  run: Run<T>,
  method: 'GET' | 'POST',
  path: string,
): Promise<void> {
  try {
    const { client } = openContext(context.io, { ...flags, endpoint: run.node.url });
    const request = { method, path: `${PATH}${path}`, repeatable: method === 'GET' };
    run.answer = await client.json<T>(request);
  } catch (error) {
    run.failure = error instanceof Error ? error.message : String(error);
  }
}

async function waitFor(context: Context, flags: DataKeyFlags, runs: Run<Shown>[]): Promise<void> {
  const { io, json } = context;
  const line = openStatusLine(flags.progress ?? (io.errIsTerminal && !json), () =>
    runs.map((run) => `${run.node.nodeId}: ${run.failure ?? textOf(run.answer!)}`).join('; '),
  );
  const open = () => runs.filter((run) => run.failure === null && run.answer?.state !== 'idle');
  try {
    while (open().length > 0 && !io.signal.aborted) {
      await new Promise<void>((resolve) => void io.clock.after(LOOK_EVERY_MS, resolve));
      await Promise.all(open().map((run) => ask(context, flags, run, 'GET', '')));
    }
  } finally {
    line.stop();
  }
}

async function report<T>(
  { io, json }: Context,
  runs: readonly Run<T>[],
  text: (answer: T) => string,
): Promise<void> {
  for (const { node, answer, failure } of runs) {
    const { nodeId } = node;
    if (json) await printJson(io, failure === null ? answer : { nodeId, failure });
    else await io.out(`${nodeId}: ${failure ?? text(answer as T)}\n`);
  }
  const names = runs.filter(({ failure }) => failure !== null).map(({ node }) => node.nodeId);
  if (names.length > 0) {
    throw new CommandFailed(`not done: ${names.join(', ')}`, { code: 'not_done', nodes: names });
  }
}

function textOf({ dataKey, dataKeys, state, at, places, error }: Shown): string {
  if (state === 'idle') return `data key ${dataKey} seals all`;
  const older = dataKeys.filter((number) => number !== dataKey).join(', ');
  const done = Object.entries(places).map(([name, { seen, total, resealed, damaged }]) => {
    const of = total === null ? '' : ` of ${total}`;
    return `${name} ${seen}${of}, ${resealed} anew${damaged > 0 ? `, ${damaged} damaged` : ''}`;
  });
  const where = at === null ? 'waits for another round' : `at ${at}`;
  const why = error === null ? '' : ` (${error})`;
  return `data key ${dataKey} seals what is written, ${older} is still needed; ${where}: ${done.join('; ')}${why}`;
}
