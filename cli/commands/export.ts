import { type FileHandle, open } from 'node:fs/promises';
import { CommandFailed } from '../failures.ts';
import { NO_PROGRESS, openProgress } from '../progress.ts';
import type { Context } from './context.ts';
import { pages } from './list.ts';

export interface ExportFlags {
  readonly out?: string;
  readonly progress?: boolean;
  readonly revision?: string;
}

/** `minikv export [prefix]`: one snapshot as NDJSON that `import` takes, each line one item. */
export async function exportItems(
  { io, client, json }: Context,
  prefix: string,
  flags: ExportFlags,
): Promise<void> {
  const shown =
    flags.progress ?? (io.errIsTerminal && (flags.out !== undefined || !io.outIsTerminal));
  const { openedFile, write } = await openOut(flags.out, (text) => io.out(text));
  const nowMs = (): number => io.clock.monotonicMs();
  const bar = shown ? openProgress('export', null, nowMs) : NO_PROGRESS;
  let records = 0;
  let revision = 0;
  try {
    const range = { prefix, values: true, max: null, ...pick(flags.revision) };
    for await (const page of pages(client, range)) {
      if (io.signal.aborted) throw new CommandFailed('stopped before the end', { records });
      revision = page.revision;
      records += page.items.length;
      await write(page.items.map((item) => `${JSON.stringify(item)}\n`).join(''));
      bar.update(0, records);
    }
    await openedFile?.sync();
  } finally {
    bar.stop();
    await openedFile?.close();
  }
  const summary = { exported: records, revision };
  if (json && flags.out !== undefined) await io.out(`${JSON.stringify(summary)}\n`);
  else io.err(`exported ${records} records as of revision ${revision}\n`);
}

const pick = (revision: string | undefined): { revision?: string } =>
  revision === undefined ? {} : { revision };

async function openOut(path: string | undefined, out: (text: string) => Promise<void>) {
  if (path === undefined) return { openedFile: null, write: out };
  let openedFile: FileHandle;
  try {
    openedFile = await open(path, 'w');
  } catch (error) {
    throw new CommandFailed(`cannot write ${path}: ${(error as Error).message}`, {}, error);
  }
  return { openedFile, write: async (text: string) => void (await openedFile.appendFile(text)) };
}
