import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { CommandFailed } from '../failures.ts';

/** How far an import came: every record up to `records` is stored. Kept in a small JSON file. */
export interface Progress {
  /** What is imported, and how: another input must not continue here. */
  readonly input: string;
  /** Names the batches: a batch that was under way is sent again under the same name. */
  readonly runId: string;
  readonly records: number;
}

/** Null when there is none yet. Throws CommandFailed for a file that is not ours or of another input. */
export function readCheckpoint(path: string, input: string): Progress | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  let progress: Partial<Progress>;
  try {
    progress = JSON.parse(text) as Partial<Progress>;
  } catch {
    throw new CommandFailed(`${path} is not a checkpoint of an import`);
  }
  const { runId, records } = progress;
  if (typeof runId !== 'string' || !Number.isSafeInteger(records)) {
    throw new CommandFailed(`${path} is not a checkpoint of an import`);
  }
  if (progress.input !== input) {
    throw new CommandFailed(
      `${path} belongs to another import (${progress.input}); remove it to begin anew`,
    );
  }
  return progress as Progress;
}

/** Replaces the file as a whole: a crash leaves the old one or the new one. */
export function writeCheckpoint(path: string, progress: Progress): void {
  const next = `${path}.next`;
  writeFileSync(next, `${JSON.stringify(progress)}\n`);
  renameSync(next, path);
}

export function removeCheckpoint(path: string): void {
  rmSync(path, { force: true });
}
