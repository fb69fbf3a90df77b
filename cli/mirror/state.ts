import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { CommandFailed } from '../failures.ts';
import type { ObjectRef } from './store.ts';

/** An upload in parts that was begun at the target. */
export interface BegunUpload {
  readonly uploadId: string;
  /** The ETag of what is copied: another state of the source begins anew. */
  readonly origin: string;
  readonly partBytes: number;
}

interface Kept {
  /** What is copied where: another job must not go on here. Without keys or secrets. */
  readonly job: string;
  /** By bucket: all keys up to this one are done. */
  readonly after: Record<string, string>;
  readonly uploads: Record<string, BegunUpload>;
}

const SAVE_EVERY_MS = 500;

/** How far a mirror has come; kept in a small JSON file where there is a path. */
export class Progress {
  readonly #path: string | null;
  readonly #kept: Kept;
  readonly #nowMs: () => number;
  #savedMs = Number.NEGATIVE_INFINITY;

  private constructor(path: string | null, kept: Kept, nowMs: () => number) {
    this.#path = path;
    this.#kept = kept;
    this.#nowMs = nowMs;
  }

  /** Throws CommandFailed for a file that is not ours, or of another job. */
  static open(path: string | null, job: string, nowMs: () => number): Progress {
    const found = path === null ? null : readKept(path, job);
    return new Progress(path, found ?? { job, after: {}, uploads: {} }, nowMs);
  }

  /** Null: from the beginning. */
  after(bucket: string): string | null {
    return this.#kept.after[bucket] ?? null;
  }

  moveTo(bucket: string, key: string): void {
    this.#kept.after[bucket] = key;
    if (this.#nowMs() - this.#savedMs >= SAVE_EVERY_MS) this.save();
  }

  uploadOf(target: ObjectRef): BegunUpload | null {
    return this.#kept.uploads[nameOf(target)] ?? null;
  }

  keepUpload(target: ObjectRef, upload: BegunUpload): void {
    this.#kept.uploads[nameOf(target)] = upload;
    this.save();
  }

  forgetUpload(target: ObjectRef): void {
    delete this.#kept.uploads[nameOf(target)];
  }

  /** Uploads that were begun and are not done. */
  uploads(): { target: ObjectRef; uploadId: string }[] {
    return Object.entries(this.#kept.uploads).map(([name, { uploadId }]) => {
      const slash = name.indexOf('/');
      const [bucket, key] = [name.slice(0, slash), name.slice(slash + 1)];
      return { target: { bucket, key, versionId: null }, uploadId };
    });
  }

  /** Nothing is left to do: the next run looks at everything again. */
  remove(): void {
    if (this.#path !== null) rmSync(this.#path, { force: true });
  }

  /** Replaces the file as a whole: a crash leaves the old one or the new one. */
  save(): void {
    if (this.#path === null) return;
    this.#savedMs = this.#nowMs();
    const next = `${this.#path}.next`;
    writeFileSync(next, `${JSON.stringify(this.#kept)}\n`);
    renameSync(next, this.#path);
  }
}

function nameOf({ bucket, key }: ObjectRef): string {
  return `${bucket}/${key}`;
}

function readKept(path: string, job: string): Kept | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  let kept: Partial<Kept>;
  try {
    kept = JSON.parse(text) as Partial<Kept>;
  } catch {
    throw new CommandFailed(`${path} is not the state of a mirror`);
  }
  if (typeof kept.after !== 'object' || typeof kept.uploads !== 'object') {
    throw new CommandFailed(`${path} is not the state of a mirror`);
  }
  if (kept.job !== job) {
    throw new CommandFailed(
      `${path} belongs to another mirror (${kept.job}); remove it to begin anew`,
    );
  }
  return kept as Kept;
}
