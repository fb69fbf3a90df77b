import { assert } from '../../protocol/assert.ts';
import type { ChunkName, ChunkSum, DataId } from '../../protocol/blob.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import { type ChunkCopy, CopyFailed, type NotTaken } from './copy.ts';

/** A disk that is late by more than this, when a quorum is done, is left out. */
const STRAGGLER_MS = 3_000;
/** At the end no more than this is waited for those that a quorum does not need. */
const GRACE_MS = 20;
/** Chunks of one upload that are being made durable while the next one flows. */
const SEALING_MAX = 2;

export interface UploadTarget {
  readonly replica: ReplicaId;
  /** Null: it is out of reach, and gets none. */
  begin(chunk: ChunkName): ChunkCopy;
  /** Why it gets none from the beginning; null: it gets all. */
  readonly failed: NotTaken | null;
}

export interface UploadParts {
  readonly id: DataId;
  readonly chunkBytes: number;
  readonly targets: readonly UploadTarget[];
  readonly clock: Pick<Clock, 'after'>;
  isQuorum(replicas: ReadonlySet<ReplicaId>): boolean;
  checksum(crc: number, bytes: Uint8Array): number;
  /** Every copy has taken a piece, so nobody looks at it any more; not told where one did not. */
  onTaken(piece: Uint8Array): void;
}

/** Too few disks took it. */
export class UploadFailed extends Error {
  override readonly name = 'UploadFailed';
  readonly reasons: readonly NotTaken[];

  constructor(reasons: readonly NotTaken[]) {
    super(`too few copies could be made (${reasons.join(', ')})`);
    this.reasons = reasons;
  }
}

interface Lane {
  readonly target: UploadTarget;
  /** Those that are not durable yet, and when they are. */
  readonly copies: Map<ChunkCopy, Promise<void>>;
  failed: NotTaken | null;
  /** Chunks that it has durably. */
  sealed: number;
}

/** The chunk that flows. */
interface OpenChunk {
  readonly copies: ReadonlyMap<Lane, ChunkCopy>;
  bytes: number;
  crc: number;
}

interface Wait {
  readonly lateMs: number;
  readonly late: 'fail' | 'leave';
}

/**
 * One upload: cuts pieces into chunks and gives each to all disks side by side.
 *
 *   U1  The slowest disk sets the pace, unless a quorum is ahead of it for long: then it is left out.
 *   U2  Whoever misses a chunk is no holder of the data.
 *   U3  No more than one piece, and what the copies hold, is in memory.
 */
export class Upload {
  readonly #parts: UploadParts;
  readonly #lanes: Lane[];
  readonly #sealing: Promise<void>[] = [];
  #chunk: OpenChunk | null = null;
  #chunks = 0;
  #bytes = 0;

  constructor(parts: UploadParts) {
    this.#parts = parts;
    this.#lanes = parts.targets.map((target) => ({
      ...{ target, copies: new Map(), failed: target.failed, sealed: 0 },
    }));
  }

  get bytes(): number {
    return this.#bytes;
  }

  get chunks(): number {
    return this.#chunks;
  }

  /** Pieces do not reach over the end of a chunk. Rejects with UploadFailed. */
  async push(piece: Uint8Array): Promise<void> {
    const chunk = this.#chunk ?? (await this.#begin());
    chunk.bytes += piece.length;
    chunk.crc = this.#parts.checksum(chunk.crc, piece);
    this.#bytes += piece.length;
    assert(chunk.bytes <= this.#parts.chunkBytes, 'chunks are made of whole pieces');
    if (chunk.bytes === this.#parts.chunkBytes) return this.#end(piece);
    await this.#give(chunk, piece, null);
  }

  /** Resolves with those that hold all of it durably, a quorum. Rejects with UploadFailed. */
  async finish(): Promise<Set<ReplicaId>> {
    if (this.#chunk !== null) await this.#end(new Uint8Array(0));
    const grace: Wait = { lateMs: GRACE_MS, late: 'leave' };
    await this.#all((lane) => Promise.all(lane.copies.values()), grace);
    return this.#holders();
  }

  /** Gives up. Resolves when nothing of it is under way any more. */
  async abandon(): Promise<void> {
    const copies = this.#lanes.flatMap((lane) => [...lane.copies.keys()]);
    for (const copy of copies) copy.abandon();
    await Promise.allSettled(copies.map(({ sealed }) => sealed));
  }

  async #begin(): Promise<OpenChunk> {
    while (this.#sealing.length >= SEALING_MAX) await this.#sealing.shift();
    const name = { data: this.#parts.id, number: this.#chunks++ };
    const copies = new Map<Lane, ChunkCopy>();
    for (const lane of this.#lanes) {
      if (lane.failed !== null) continue;
      const copy = lane.target.begin(name);
      copies.set(lane, copy);
      lane.copies.set(copy, this.#durable(lane, copy));
    }
    this.#check();
    this.#chunk = { copies, bytes: 0, crc: 0 };
    return this.#chunk;
  }

  async #end(last: Uint8Array): Promise<void> {
    const chunk = this.#chunk;
    assert(chunk !== null, 'a chunk was begun');
    this.#chunk = null;
    const { copies } = chunk;
    await this.#give(chunk, last, { bytes: chunk.bytes, crc: chunk.crc });
    const sealing = this.#all((lane) => lane.copies.get(copies.get(lane) as ChunkCopy), SLOWEST);
    sealing.catch(() => {}); // whoever waits for it later has the error
    this.#sealing.push(sealing);
  }

  async #give({ copies }: OpenChunk, piece: Uint8Array, end: ChunkSum | null): Promise<void> {
    let left = this.#lanes.filter(({ failed }) => failed === null).length;
    const taken = (): void => {
      if (--left === 0) this.#parts.onTaken(piece);
    };
    await this.#all((lane) => copies.get(lane)?.push(piece, end, taken), SLOWEST);
  }

  #durable(lane: Lane, copy: ChunkCopy): Promise<void> {
    const durable = copy.sealed.then((replica) => {
      lane.copies.delete(copy);
      // Another life of that node, on another disk perhaps.
      if (replica !== lane.target.replica) throw new CopyFailed('unknown');
      lane.sealed++;
    });
    durable.catch((error: unknown) => this.#fail(lane, error));
    return durable;
  }

  #holders(): Set<ReplicaId> {
    const holders = this.#lanes.filter(({ failed, sealed }) => {
      return failed === null && sealed === this.#chunks;
    });
    return new Set(holders.map(({ target }) => target.replica));
  }

  /**
   * Does a step with every disk that is left. Resolves when all have done it, or a quorum has and the others are late;
   * rejects as soon as a quorum cannot be had.
   */
  async #all(
    step: (lane: Lane) => Promise<unknown> | undefined,
    { lateMs, late }: Wait,
  ): Promise<void> {
    const pending = new Set(this.#lanes.filter(({ failed }) => failed === null));
    const done = new Set<ReplicaId>();
    await new Promise<void>((resolved) => {
      let cancel: (() => void) | null = null;
      const end = (): void => {
        cancel?.();
        resolved();
      };
      const tooLate = (): void => {
        if (late === 'fail') for (const lane of pending) this.#fail(lane, null);
        end();
      };
      const look = (): void => {
        if (pending.size === 0 || !this.#canEnd()) end();
        else if (cancel === null && this.#parts.isQuorum(done)) {
          cancel = this.#parts.clock.after(lateMs, tooLate);
        }
      };
      for (const lane of [...pending]) {
        Promise.resolve(step(lane)).then(
          () => {
            pending.delete(lane);
            done.add(lane.target.replica);
            look();
          },
          (error: unknown) => {
            pending.delete(lane);
            this.#fail(lane, error);
            look();
          },
        );
      }
      look();
    });
    this.#check();
  }

  #fail(lane: Lane, error: unknown): void {
    if (error !== null && !(error instanceof CopyFailed)) throw error;
    lane.failed ??= error?.reason ?? 'unanswered';
    for (const copy of lane.copies.keys()) copy.abandon();
  }

  #canEnd(): boolean {
    const left = this.#lanes.filter(({ failed }) => failed === null);
    return this.#parts.isQuorum(new Set(left.map(({ target }) => target.replica)));
  }

  #check(): void {
    if (this.#canEnd()) return;
    throw new UploadFailed(this.#lanes.flatMap(({ failed }) => failed ?? []));
  }
}

const SLOWEST: Wait = { lateMs: STRAGGLER_MS, late: 'fail' };
