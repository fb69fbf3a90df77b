import type { ChangeEvent, Item } from '../../protocol/messages/request.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { decodeCurrent, type FeedKind } from '../../storage/kv/rows.ts';
import { itemOf } from './item.ts';

/**
 * One change as apply yields it: a ChangeEvent that refers to the stored rows and reads its versions
 * from them only when asked, since most changes are never looked at. `eventOf` makes the plain form.
 */
export class AppliedChange implements ChangeEvent {
  readonly kind: FeedKind;
  readonly ref: KeyRef;
  readonly vshard: number;
  readonly revision: Revision;
  readonly prevRevision: Revision;
  readonly sequence: number;
  readonly #row: Uint8Array | null;
  readonly #prevRow: Uint8Array | null;

  /** `row` is the new current row, null for a removal; `prevRow` the one that it replaced or removed. */
  constructor(
    kind: FeedKind,
    ref: KeyRef,
    vshard: number,
    revision: Revision,
    prevRevision: Revision,
    sequence: number,
    row: Uint8Array | null,
    prevRow: Uint8Array | null,
  ) {
    this.kind = kind;
    this.ref = ref;
    this.vshard = vshard;
    this.revision = revision;
    this.prevRevision = prevRevision;
    this.sequence = sequence;
    this.#row = row;
    this.#prevRow = prevRow;
  }

  get item(): Item | null {
    return this.#row === null ? null : itemOf(this.ref, decodeCurrent(this.#row));
  }

  get prev(): Item | null {
    return this.#prevRow === null ? null : itemOf(this.ref, decodeCurrent(this.#prevRow));
  }

  /** Bytes of the key, three times, and of both versions; about what it takes on the wire. */
  get bytes(): number {
    const rows = (this.#row?.length ?? 0) + (this.#prevRow?.length ?? 0);
    return 200 + this.ref.key.length * 3 + rows;
  }

  /** The plain event, with the previous version or without. */
  eventOf(withPrev: boolean): ChangeEvent {
    const { kind, ref, vshard, revision, prevRevision, sequence, item } = this;
    const prev = withPrev ? this.prev : null;
    return { kind, ref, vshard, revision, prevRevision, sequence, item, prev };
  }
}
