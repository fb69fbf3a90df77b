import type { ChunkName } from '../../protocol/blob.ts';
import type { CareProgress, VerifyCounts } from '../../protocol/chunk-care.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { BlobFile, BlobStore } from '../../storage/ports.ts';
import { unreadableOf } from './disk-errors.ts';

const PAGE_FILES = 256;

/** Reads all chunks of a disk, one after another, as fast as it goes. */
export class ChunkCheck {
  readonly #blobs: BlobStore;
  readonly #isStopped: () => boolean;

  constructor(blobs: BlobStore, isStopped: () => boolean) {
    this.#blobs = blobs;
    this.#isStopped = isStopped;
  }

  /** Files there are, chunks or not. */
  async files(): Promise<number> {
    let files = 0;
    for await (const page of this.#pages()) files += page.length;
    return files;
  }

  async all(
    progress: CareProgress<VerifyCounts>,
    onDamage: (name: ChunkName) => Promise<void>,
  ): Promise<void> {
    const { counts } = progress;
    for await (const page of this.#pages()) {
      for (const { name } of page) {
        if (this.#isStopped()) return;
        if (name === null) counts.foreign++;
        else await this.#one(name, counts, onDamage);
        progress.looked++;
      }
    }
  }

  async *#pages(): AsyncGenerator<readonly BlobFile[]> {
    let after: string | null = null;
    while (!this.#isStopped()) {
      const files = await this.#blobs.list(after, PAGE_FILES);
      const last = files[files.length - 1];
      if (last === undefined) return;
      after = last.path;
      yield files;
    }
  }

  async #one(
    name: ChunkName,
    counts: VerifyCounts,
    onDamage: (name: ChunkName) => Promise<void>,
  ): Promise<void> {
    try {
      const reader = await this.#blobs.open(name);
      try {
        for (let at = 0; at < reader.sum.bytes; at += LIMITS.blobPieceBytes) {
          const piece = await reader.read(at, LIMITS.blobPieceBytes);
          counts.verifiedBytes += piece.length;
        }
        counts.verified++;
      } finally {
        await reader.close();
      }
    } catch (error) {
      const reason = unreadableOf(error);
      if (reason === 'failed') throw error;
      if (reason === 'missing') return; // it was removed meanwhile
      counts.damaged++;
      await onDamage(name);
    }
  }
}
