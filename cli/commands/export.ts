import { type FileHandle, open } from 'node:fs/promises';
import { type ExportKeyFlags, keysToSeal } from '../export-keys.ts';
import { CommandFailed, UsageError } from '../failures.ts';
import { NO_PROGRESS, openProgress } from '../progress.ts';
import { SealedWriter } from '../sealed-stream.ts';
import type { Context } from './context.ts';
import { pages } from './list.ts';

export interface ExportFlags extends ExportKeyFlags {
  readonly out?: string;
  readonly progress?: boolean;
  readonly revision?: string;
}

/** `minikv export [prefix]`: one snapshot as NDJSON that `import` takes, each line one item; encrypted where a key is named. */
export async function exportItems(
  { io, client, json }: Context,
  prefix: string,
  flags: ExportFlags,
): Promise<void> {
  const shown =
    flags.progress ?? (io.errIsTerminal && (flags.out !== undefined || !io.outIsTerminal));
  const keys = await keysToSeal(io, flags);
  if (keys !== null && flags.out === undefined && io.outIsTerminal) {
    throw new UsageError('an encrypted export is not for a terminal: --out, or a pipe');
  }
  const { openedFile, write } = await openOut(flags.out, (bytes) => io.out(bytes));
  const sealed = keys === null ? null : new SealedWriter(keys, io.random, write);
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
      const lines = Buffer.from(page.items.map((item) => `${JSON.stringify(item)}\n`).join(''));
      await (sealed === null ? write(lines) : sealed.write(lines));
      bar.update(0, records);
    }
    await sealed?.end();
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

async function openOut(path: string | undefined, out: (bytes: Uint8Array) => Promise<void>) {
  if (path === undefined) return { openedFile: null, write: out };
  let openedFile: FileHandle;
  try {
    openedFile = await open(path, 'w');
  } catch (error) {
    throw new CommandFailed(`cannot write ${path}: ${(error as Error).message}`, {}, error);
  }
  const write = async (bytes: Uint8Array) => void (await openedFile.appendFile(bytes));
  return { openedFile, write };
}
