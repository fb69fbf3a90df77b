import type { ChunkName, ChunkSum } from '../../protocol/blob.ts';
import type { Refusal } from '../../protocol/messages/blob.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { BlobStore, BlobWriter } from '../../storage/ports.ts';
import { refusalOf } from './disk-errors.ts';

/** Why a node did not take a chunk. */
export type NotTaken = Refusal | 'unanswered';

export class CopyFailed extends Error {
  override readonly name = 'CopyFailed';
  readonly reason: NotTaken;

  constructor(reason: NotTaken) {
    super(`the copy was not taken: ${reason}`);
    this.reason = reason;
  }
}

/** One chunk on its way to one disk. Pieces are not changed before they were taken. */
export interface ChunkCopy {
  /**
   * Takes the next piece; `end` with the last one. Resolves when there is room for another, rejects with CopyFailed.
   * One call at a time. `taken` is called, at most once, when the piece is not looked at any more.
   */
  push(piece: Uint8Array, end: ChunkSum | null, taken?: () => void): Promise<void>;
  /** Whose disk has it durably; CopyFailed. */
  readonly sealed: Promise<ReplicaId>;
  /** All bytes have left this node's memory. */
  readonly hasLeft: boolean;
  /** Gives up; a chunk that is being sealed may come to be. */
  abandon(): void;
}

/** A copy on this node's own disk: one piece is being written while the next one is taken. */
export class LocalCopy implements ChunkCopy {
  readonly sealed: Promise<ReplicaId>;
  readonly #self: ReplicaId;
  readonly #writer: Promise<BlobWriter>;
  #tail: Promise<unknown>;
  #waiting = 0;
  #isAbandoned = false;
  #isSealing = false;
  /** The first one counts. */
  #settle: { seal(whose: ReplicaId): void; fail(error: CopyFailed): void };

  constructor(blobs: Pick<BlobStore, 'create'>, chunk: ChunkName, self: ReplicaId) {
    this.#writer = blobs.create(chunk);
    this.#tail = this.#writer;
    let settle = { seal: (_: ReplicaId): void => {}, fail: (_: CopyFailed): void => {} };
    this.sealed = new Promise((seal, fail) => {
      settle = { seal, fail };
    });
    this.#settle = settle;
    this.sealed.catch(() => {}); // whoever gave up on it does not look
    this.#self = self;
  }

  get hasLeft(): boolean {
    return this.#waiting === 0;
  }

  async push(piece: Uint8Array, end: ChunkSum | null, taken: () => void = () => {}): Promise<void> {
    const before = this.#tail;
    this.#waiting++;
    const written = before.then(async () => {
      const writer = await this.#writer;
      if (this.#isAbandoned) return;
      if (piece.length > 0) await writer.write(piece);
      taken();
      this.#waiting--;
      if (end === null || this.#isAbandoned) return;
      this.#isSealing = true;
      writer.seal(end).then(
        () => this.#settle.seal(this.#self),
        (error: unknown) => this.#settle.fail(copyFailed(error)),
      );
    });
    this.#tail = written;
    written.catch((error: unknown) => this.#settle.fail(copyFailed(error)));
    await before.catch(fail);
  }

  abandon(): void {
    if (this.#isAbandoned) return;
    this.#isAbandoned = true;
    // What is being sealed comes to its end: whoever takes it away waits for that.
    if (!this.#isSealing) this.#settle.fail(new CopyFailed('failed'));
    this.#tail
      .catch(() => {})
      .then(() => this.#writer)
      .then((writer) => (this.#isSealing ? undefined : writer.abandon()))
      .catch(() => {}); // what is left of it goes at the next start
  }
}

function fail(error: unknown): never {
  throw copyFailed(error);
}

function copyFailed(error: unknown): CopyFailed {
  return error instanceof CopyFailed ? error : new CopyFailed(refusalOf(error));
}
