import type { ChunkName, ChunkSum } from '../../protocol/blob.ts';
import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { BlobFile, BlobStore, ScrubMark } from '../../storage/ports.ts';
import { unreadableOf } from './disk-errors.ts';
import { nextRound, pauseMs, type ScrubPace } from './scrub-plan.ts';

/** What the scrubber found out about one file. */
export type ScrubFinding =
  | { readonly state: 'good'; readonly name: ChunkName; readonly sum: ChunkSum }
  | { readonly state: 'damaged'; readonly name: ChunkName; readonly reason: string }
  /** A file that is no chunk, or not where a chunk of that name belongs. Left alone. */
  | { readonly state: 'foreign'; readonly path: string };

export interface ScrubberOptions {
  readonly store: BlobStore;
  readonly clock: Pick<Clock, 'after' | 'wallMs'>;
  readonly pace: ScrubPace;
  readonly mark: ScrubMark;
  /** The next file is looked at when it has resolved. */
  onFinding(finding: ScrubFinding): Promise<void>;
  /** Keeps the mark, about once a page. */
  save(mark: ScrubMark): Promise<void>;
  /** Something that is not about one chunk, e.g. too many open files; it is tried again after a while. */
  onTrouble(error: unknown): void;
}

const PAGE_FILES = 256;
const TROUBLE_PAUSE_MS = 5_000;
/** Looking at a file costs something even if it is empty or foreign. */
const FILE_COST_BYTES = 16 * 1024;

/** Reads all chunks again and again, at its pace, and tells what it finds. Repairs nothing. */
export class Scrubber {
  readonly #options: ScrubberOptions;
  #mark: ScrubMark;
  #stopped = false;
  #wake: () => void = () => {};
  #ended: Promise<void> = Promise.resolve();

  constructor(options: ScrubberOptions) {
    this.#options = options;
    this.#mark = options.mark;
  }

  get mark(): ScrubMark {
    return this.#mark;
  }

  start(): void {
    this.#ended = this.#run();
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#page();
      } catch (error) {
        this.#options.onTrouble(error);
        await this.#rest(TROUBLE_PAUSE_MS);
      }
    }
  }

  async #page(): Promise<void> {
    const { store, pace, clock, save } = this.#options;
    const files = await store.list(this.#mark.after, PAGE_FILES);
    if (files.length === 0) {
      const { waitMs, next } = nextRound(this.#mark, pace, clock.wallMs());
      this.#mark = next;
      await save(next);
      // Never at once: an empty store would be listed without a pause.
      return this.#rest(Math.max(waitMs, TROUBLE_PAUSE_MS));
    }
    for (const file of files) {
      if (this.#stopped) return;
      await this.#look(file);
    }
    await save(this.#mark);
  }

  async #look({ path, name }: BlobFile): Promise<void> {
    if (name === null) {
      await this.#options.onFinding({ state: 'foreign', path });
      return this.#passed(path, FILE_COST_BYTES);
    }
    let finding: ScrubFinding | null;
    try {
      finding = await this.#verify(name);
    } catch (error) {
      if (unreadableOf(error) !== 'damaged') throw error;
      finding = { state: 'damaged', name, reason: (error as Error).message };
    }
    if (finding !== null) await this.#options.onFinding(finding);
    await this.#passed(path, FILE_COST_BYTES);
  }

  /** Null when it was removed meanwhile, or the scrubber stopped in the middle. */
  async #verify(name: ChunkName): Promise<ScrubFinding | null> {
    const { store } = this.#options;
    const reader = await store.open(name).catch((error: unknown) => {
      if (unreadableOf(error) === 'missing') return null;
      throw error;
    });
    if (reader === null) return null;
    try {
      const { blobPieceBytes } = LIMITS;
      for (let at = 0; at < reader.sum.bytes; at += blobPieceBytes) {
        const piece = await reader.read(at, blobPieceBytes);
        await this.#read(piece.length);
        if (this.#stopped) return null;
      }
      return { state: 'good', name, sum: reader.sum };
    } finally {
      await reader.close();
    }
  }

  #passed(path: string, bytes: number): Promise<void> {
    if (this.#stopped) return Promise.resolve(); // it may not have been looked at to its end
    this.#mark = { ...this.#mark, after: path };
    return this.#read(bytes);
  }

  #read(bytes: number): Promise<void> {
    const { pace, clock } = this.#options;
    this.#mark = { ...this.#mark, bytes: this.#mark.bytes + bytes };
    return this.#rest(pauseMs(this.#mark, pace, bytes, clock.wallMs()));
  }

  #rest(ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolved) => {
      const cancel = this.#options.clock.after(ms, resolved);
      this.#wake = () => {
        cancel();
        resolved();
      };
    });
  }
}
