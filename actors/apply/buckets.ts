import type { Command } from '../../protocol/commands.ts';
import type { BucketRule } from '../../protocol/object-ops.ts';
import { decodeRecord } from '../../protocol/objects.ts';
import type { Revision } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { tripleOf } from '../../storage/kv/keyspace.ts';
import { bucketKey } from '../../storage/kv/object-keys.ts';
import { decodeCurrent } from '../../storage/kv/rows.ts';
import type { Outcome } from './apply.ts';
import type { GroupState } from './group-state.ts';
import { type BucketRow, bucketRowCodec, decodeRow, encodeRow } from './object-codec.ts';
import { endData } from './object-store.ts';
import { readUpload, removeUpload } from './object-upload.ts';
import { ruleTriple } from './txn-locks.ts';

/** What a group knows of buckets. The rule is decided in the meta group and comes through the group's own log (O2). */

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>;

export function readBucket(state: GroupState, tenant: string, name: string): BucketRow | null {
  const bytes = state.row(bucketKey(state.prefix, tenant, name));
  return bytes === null ? null : decodeRow(bucketRowCodec, bytes);
}

/**
 * A rule no newer than the one in force changes nothing: it was overtaken on its way. One of a bucket whose objects a
 * prepared transaction changes is refused as locked (X2).
 */
export function applyBucket(state: GroupState, { rule }: CommandOf<'bucket'>): Outcome {
  const known = readBucket(state, rule.tenant, rule.name);
  if (known !== null && rule.epoch <= known.rule.epoch) return DONE;
  if (isRuleLocked(state, rule)) return LOCKED;
  const { versioning } = rule;
  // Who had versions has them: `off` would forget them.
  const hadVersions =
    known !== null && known.rule.id === rule.id && known.rule.versioning !== 'off';
  const kept = hadVersions && versioning === 'off' ? 'suspended' : versioning;
  const isSame = known === null || (known.rule.id === rule.id && rule.state !== 'gone');
  const isSwept = isSame && (known === null || known.isSwept);
  writeBucket(state, { rule: { ...rule, versioning: kept }, isSwept });
  return DONE;
}

/** Whether a prepared transaction changes objects of the bucket: its rule stays as it is until then. */
export function isRuleLocked({ txns }: GroupState, { tenant, name }: BucketRule): boolean {
  return txns.size > 0 && !txns.locks.isFree(ruleTriple(tenant, name));
}

/** Takes uploads of buckets of this name away that are gone: all but those of the one that has the name now (O9). */
export function applyBucketSweep(state: GroupState, command: CommandOf<'bucketSweep'>): Outcome {
  const { tenant, name, ruleEpoch, uploads, revision } = command;
  const known = readBucket(state, tenant, name);
  if (known === null) return DONE;
  const { rule } = known;
  for (const { key, upload } of uploads) {
    const ref: KeyRef = { tenant, space: name, key };
    const triple = tripleOf(ref);
    const row = state.ownedSince[vshardOf(ref)] === 0 ? null : readUpload(state, triple, upload);
    if (row === null || (row.bucket === rule.id && rule.state !== 'gone')) continue;
    removeUpload(state, triple, upload, revision, NONE_TAKEN);
  }
  if (uploads.length === 0 && rule.epoch === ruleEpoch) writeBucket(state, { rule, isSwept: true });
  return DONE;
}

const LOCKED: Outcome = Object.freeze({
  results: [],
  repeated: false,
  rejection: 'locked',
  events: [],
  txn: null,
});

const NONE_TAKEN: ReadonlySet<number> = new Set();

const DONE: Outcome = Object.freeze({
  results: [],
  repeated: false,
  rejection: null,
  events: [],
  txn: null,
});

function writeBucket(state: GroupState, row: BucketRow): void {
  const { tenant, name } = row.rule;
  state.stageRow(bucketKey(state.prefix, tenant, name), encodeRow(bucketRowCodec, row));
}

/** The rule by which an operation on an object is judged; null where the group has not got this bucket. */
export function ruleOf(state: GroupState, { tenant, space }: KeyRef): BucketRule | null {
  return readBucket(state, tenant, space)?.rule ?? null;
}

/** A current row is about to expire: where it is an object's, nothing names its data any more. */
export function endExpired(
  state: GroupState,
  ref: KeyRef,
  bytes: Uint8Array,
  revision: Revision,
): void {
  if (readBucket(state, ref.tenant, ref.space) === null) return;
  endData(state, decodeRecord(decodeCurrent(bytes).value).pieces, revision);
}
