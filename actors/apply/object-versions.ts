import { decodeRecord, type ObjectRecord } from '../../protocol/objects.ts';
import type { Revision } from '../../protocol/types.ts';
import { versionKey, versionLinkKey, versionsHeadKey } from '../../storage/kv/object-keys.ts';
import { decodeCurrent, encodeVersion, type VersionRow } from '../../storage/kv/rows.ts';
import type { GroupState } from './group-state.ts';
import {
  decodeVersionLink,
  decodeVersionsHead,
  encodeVersionLink,
  encodeVersionsHead,
  type VersionLink,
  type VersionsHead,
} from './object-codec.ts';

/**
 * Versions of a key that are not current, and delete markers: `n` rows, and a list through them, newest first
 * (`N` rows), since apply looks rows up and never scans. Every one of them was put before the current version (O1).
 */
export interface StoredVersion {
  readonly row: VersionRow;
  readonly record: ObjectRecord;
}

const NONE: VersionsHead = { newest: 0, nullAt: 0 };

export function readVersions(state: GroupState, triple: string): VersionsHead {
  const bytes = state.row(versionsHeadKey(state.prefix, triple));
  return bytes === null ? NONE : decodeVersionsHead(bytes);
}

/** The one that was put at `putAt`; null where there is none. */
export function readStoredVersion(
  state: GroupState,
  triple: string,
  putAt: Revision,
): StoredVersion | null {
  if (putAt === 0) return null;
  const bytes = state.row(versionKey(state.prefix, triple, putAt));
  if (bytes === null) return null;
  const row = decodeCurrent(bytes);
  return { row, record: decodeRecord(row.value) };
}

/** What was current until now, or a marker, is the newest of the others. It does not expire any more. */
export function pushVersion(state: GroupState, triple: string, version: StoredVersion): void {
  const { putAt, isNull } = version.record;
  const { newest, nullAt } = readVersions(state, triple);
  writeVersion(state, triple, version);
  writeLink(state, triple, putAt, { newer: 0, older: newest });
  if (newest !== 0) {
    writeLink(state, triple, newest, { ...readLink(state, triple, newest), newer: putAt });
  }
  writeHead(state, triple, { newest: putAt, nullAt: isNull ? putAt : nullAt });
}

/** Writes a version's row in its place. */
export function writeVersion(
  state: GroupState,
  triple: string,
  { row, record }: StoredVersion,
): void {
  const stored = encodeVersion({ ...row, expiresAtMs: null, lease: 0 });
  state.stageRow(versionKey(state.prefix, triple, record.putAt), stored);
}

/** Takes one out; the caller has read it. */
export function dropVersion(state: GroupState, triple: string, putAt: Revision): void {
  const { newer, older } = readLink(state, triple, putAt);
  const { newest, nullAt } = readVersions(state, triple);
  state.stageRow(versionKey(state.prefix, triple, putAt), null);
  state.stageRow(versionLinkKey(state.prefix, triple, putAt), null);
  if (newer !== 0) {
    writeLink(state, triple, newer, { ...readLink(state, triple, newer), older });
  }
  if (older !== 0) {
    writeLink(state, triple, older, { ...readLink(state, triple, older), newer });
  }
  writeHead(state, triple, {
    newest: newest === putAt ? older : newest,
    nullAt: nullAt === putAt ? 0 : nullAt,
  });
}

export function readLink(state: GroupState, triple: string, putAt: Revision): VersionLink {
  const bytes = state.row(versionLinkKey(state.prefix, triple, putAt));
  return bytes === null ? { newer: 0, older: 0 } : decodeVersionLink(bytes);
}

function writeLink(state: GroupState, triple: string, putAt: Revision, link: VersionLink): void {
  state.stageRow(versionLinkKey(state.prefix, triple, putAt), encodeVersionLink(link));
}

function writeHead(state: GroupState, triple: string, head: VersionsHead): void {
  const row = head.newest === 0 ? null : encodeVersionsHead(head);
  state.stageRow(versionsHeadKey(state.prefix, triple), row);
}
