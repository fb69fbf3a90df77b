import type { BatchSeal } from '../at-rest/batch-seal.ts';
import type { WalHead } from './head.ts';
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  nextMagic,
  openPayload,
  readHeader,
  readPayload,
  visitRecords,
} from './record.ts';

export type VisitRecord = (stream: number, payload: Uint8Array, position: number) => void;

/** The end of the unbroken chain of batches. */
export interface ChainEnd {
  readonly sequence: number;
  /** Where the next batch belongs in that segment. */
  readonly offset: number;
  /** Offset of the last batch in that segment; equal to `offset` when it holds none. */
  readonly lastBatchOffset: number;
  readonly position: number;
  /** What is there instead of a batch. */
  readonly reason: string;
}

function unopened({ isSealed }: BatchHeader, seal: BatchSeal | null): string {
  if (seal === null) return 'a batch is sealed, and the folder has no keys';
  return isSealed ? 'a batch was changed since it was sealed' : 'a batch is not sealed';
}

/**
 * Follows the chain of batches through segments given in order, then looks at everything behind its
 * end for headers that claim a synced position above it: they prove that what is missing was synced.
 */
export class WalScan {
  readonly #walId: Uint8Array;
  readonly #seal: BatchSeal | null;
  readonly #visit: VisitRecord;
  #end: ChainEnd;
  #claimedPosition = 0;
  #lastSequence = -1;
  #segments: { sequence: number; firstPosition: number }[] = [];

  constructor(
    { walId, firstSequence, firstPosition }: WalHead,
    seal: BatchSeal | null,
    visit: VisitRecord,
  ) {
    this.#walId = walId;
    this.#seal = seal;
    this.#visit = visit;
    this.#end = {
      sequence: firstSequence,
      offset: 0,
      lastBatchOffset: 0,
      position: firstPosition,
      reason: 'the first segment is missing',
    };
  }

  get end(): ChainEnd {
    return this.#end;
  }

  /** Highest synced position that an intact header states. */
  get claimedPosition(): number {
    return this.#claimedPosition;
  }

  /** Segments the chain runs through; the first one also when it is empty. */
  get segments(): { sequence: number; firstPosition: number }[] {
    return this.#segments;
  }

  /** Takes the next segment's whole content. */
  add(sequence: number, bytes: Buffer): void {
    const firstPosition = this.#end.position;
    const isFirst = this.#lastSequence === -1 && sequence === this.#end.sequence;
    const follows = sequence === this.#lastSequence + 1 && sequence === this.#end.sequence + 1;
    this.#lastSequence = sequence;
    const chained = isFirst || (follows && this.#batchAt(bytes, 0, firstPosition) !== null);
    if (!chained) {
      this.#claim(bytes, 0, (position, at) => position - at >= firstPosition);
      return;
    }
    this.#segments.push({ sequence, firstPosition });
    this.#follow(sequence, bytes);
    const { offset, position } = this.#end;
    this.#claim(bytes, offset, (found, at) => found - position === at - offset);
  }

  #follow(sequence: number, bytes: Buffer): void {
    let { position } = this.#end;
    let offset = 0;
    let lastBatchOffset = 0;
    let reason: string | null = null;
    for (;;) {
      const header = this.#batchAt(bytes, offset, position);
      if (header === null) break;
      const payload = openPayload(bytes, offset, header, this.#seal);
      if (payload === null) {
        // Its checksum holds, so it is not torn: it counts as synced, and is never cut.
        this.#claimedPosition = Math.max(this.#claimedPosition, position + 1);
        reason = unopened(header, this.#seal);
        break;
      }
      // As the appends counted: what sealing adds comes before the records.
      const before = BATCH_HEADER_BYTES + header.payloadBytes - payload.length;
      visitRecords(payload, header.recordCount, position + before, this.#visit);
      this.#claimedPosition = Math.max(this.#claimedPosition, header.syncedPosition);
      lastBatchOffset = offset;
      offset += BATCH_HEADER_BYTES + header.payloadBytes;
      position += BATCH_HEADER_BYTES + header.payloadBytes;
    }
    reason ??= this.#reasonAt(bytes, offset, position);
    this.#end = { sequence, offset, lastBatchOffset, position, reason };
  }

  /** The header of an intact batch with this position, or null. A marker is no batch. */
  #batchAt(bytes: Buffer, offset: number, position: number): BatchHeader | null {
    const header = readHeader(bytes, offset, this.#walId);
    if (header === null || header.position !== position || header.recordCount === 0) return null;
    return readPayload(bytes, offset, header) instanceof Buffer ? header : null;
  }

  #reasonAt(bytes: Buffer, offset: number, position: number): string {
    const header = readHeader(bytes, offset, this.#walId);
    if (header === null) return 'no intact batch header';
    if (header.position !== position) return 'a batch of another position';
    const payload = readPayload(bytes, offset, header);
    return typeof payload === 'string' ? payload : 'no further batch';
  }

  #claim(
    bytes: Buffer,
    from: number,
    isConsistent: (position: number, at: number) => boolean,
  ): void {
    for (let at = nextMagic(bytes, from); at >= 0; at = nextMagic(bytes, at + 1)) {
      const header = readHeader(bytes, at, this.#walId);
      if (header === null || !isConsistent(header.position, at)) continue;
      this.#claimedPosition = Math.max(this.#claimedPosition, header.syncedPosition);
    }
  }
}
