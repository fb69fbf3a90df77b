import { AppliedChange } from '../../actors/apply/change.ts';
import type { ChangeEvent, Item } from '../../protocol/messages/request.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { vshardOf } from '../../protocol/vshard.ts';
import { encodeVersion } from '../../storage/kv/rows.ts';

export interface ChangeOptions {
  readonly key?: string;
  readonly tenant?: string;
  readonly space?: string;
  readonly bytes?: number;
  /** Bytes of the previous version; without it there is none. */
  readonly prevBytes?: number;
}

/** A put at a revision. */
export function changeAt(revision: number, options: ChangeOptions = {}): ChangeEvent {
  const { key = `k${revision}`, tenant = 't1', space = 'kv', bytes = 1, prevBytes } = options;
  const ref: KeyRef = { tenant, space, key };
  const prev = prevBytes === undefined ? null : itemAt(ref, 1, prevBytes);
  return {
    ...{ kind: 'put', ref, vshard: vshardOf(ref), revision, sequence: revision },
    ...{ prevRevision: prev === null ? 0 : 1, item: itemAt(ref, revision, bytes), prev },
  };
}

/** The same as apply yields it. */
export function appliedAt(revision: number, options: ChangeOptions = {}): AppliedChange {
  const { kind, ref, vshard, prevRevision, sequence, item, prev } = changeAt(revision, options);
  const [row, prevRow] = [item && encodeVersion(item), prev && encodeVersion(prev)];
  return new AppliedChange(kind, ref, vshard, revision, prevRevision, sequence, row, prevRow);
}

export function itemAt(ref: KeyRef, revision: number, bytes = 1): Item {
  return {
    ...{ ref, value: new Uint8Array(bytes), revision, createRevision: revision, version: 1 },
    ...{ contentType: null, expiresAtMs: null },
  };
}
