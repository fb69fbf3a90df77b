import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyBody, RequestOf } from '../../protocol/messages/request.ts';
import type { Revision } from '../../protocol/types.ts';
import { tripleOf } from '../../storage/kv/keyspace.ts';
import type { GroupView } from '../apply/group-state.ts';
import { type ListQuery, listObjects } from '../apply/object-list.ts';
import {
  type ReadVersion,
  readInline,
  readObject,
  readObjectVersion,
} from '../apply/object-read.ts';
import { listParts, listUploads, readUploadRow } from '../apply/object-upload-list.ts';
import { listVersions } from '../apply/object-version-list.ts';
import { currentKeyOf, readLatest } from '../apply/read.ts';
import { notLeader, type ReplicaContext, type Reply, waited } from './context.ts';
import { answerFromView } from './from-view.ts';
import { compacted, inTheFuture, type ReadParts, refusedPromise, thisMoment } from './reads.ts';

/** Reads of objects: as linearizable as those of keys (reads.ts), whose rows they are. */

type ObjectRead = RequestOf<'ObjectRead'>;

export function handleObjectRead(
  parts: ReadParts,
  request: ObjectRead,
  endMs: number,
  reply: Reply,
): void {
  const { context, rounds, closer } = parts;
  if (!context.isLeader()) return reply(notLeader(context));
  const { revision, versionId, ref } = request;
  if (revision !== null && versionId === null) {
    if (revision > thisMoment(context)) return reply(inTheFuture(revision));
    return closer.close(revision, (settled) => {
      if (settled === 'ok') answer(context, request, revision, reply);
      else reply(refusedPromise(context, revision));
    });
  }
  const { state } = context;
  // By the time the round is confirmed the disk will have been asked.
  state.warm(currentKeyOf(state, ref), null);
  rounds.join(
    () => serve(parts, request, endMs, reply),
    () => reply(notLeader(context)),
  );
}

/** What can expire is read at a revision of this moment, as in reads.ts. */
function serve(parts: ReadParts, request: ObjectRead, endMs: number, reply: Reply): void {
  const { context, closer, waits } = parts;
  const { state } = context;
  const again = () => serve(parts, request, endMs, reply);
  const giveUp = () => reply(waited('unavailable', 'a transaction or a snapshot was in the way'));
  const isReadable = (): boolean =>
    state.txns.size === 0 || state.txns.locks.isReadable(tripleOf(request.ref));
  if (!isReadable()) return waits.wait(endMs, again, giveUp);
  const item = readLatest(state, request.ref, null);
  if (item === null || item.expiresAtMs === null) return answer(context, request, null, reply);
  if (closer.gate.isClosed) return closer.gate.wait(endMs, again, giveUp);
  const now = thisMoment(context);
  closer.close(now, (settled) => {
    if (settled !== 'ok') return reply(notLeader(context));
    if (!isReadable()) return again();
    answer(context, request, now, reply);
  });
  // What is closed is known at the end of a batch: this asks for one, outside of any.
  context.command({ type: 'Tick' });
}

/** `at` null: the latest, and nothing of it can expire. */
function answer(
  context: ReplicaContext,
  { ref, versionId }: ObjectRead,
  at: Revision | null,
  reply: Reply,
): void {
  answerFromView(context, reply, async (view) => {
    const { clock } = context.clock;
    const revision = at ?? view.clock;
    if (versionId !== null) {
      const version = readObjectVersion(view, ref, versionId, revision);
      return version === null ? missing(null, clock) : found(view, version, clock);
    }
    const read = await readObject(view, ref, revision);
    if (read.type === 'compacted') return compacted(view.floor);
    if (read.type === 'found') return found(view, read.version, clock);
    return missing(read.marker, clock);
  });
}

function missing(marker: string | null, clock: Revision): ReplyBody {
  return { type: 'ObjectFound', version: null, marker, clock };
}

function found(view: GroupView, version: ReadVersion, clock: Revision): ReplyBody {
  const piece = version.record.pieces.find(
    ({ data, chunkBytes }) => data !== null && chunkBytes === 0,
  );
  const inline = piece === undefined ? null : readInline(view, piece);
  // The data of a past version goes when the floor has passed its end.
  if (piece !== undefined && inline === null) return compacted(view.floor);
  return { type: 'ObjectFound', version: { ...version, inline }, marker: null, clock };
}

function queryOf(request: RequestOf<'ObjectList' | 'VersionList' | 'UploadList'>): ListQuery {
  const { tenant, space, prefix, delimiter, start } = request;
  const limit = Math.min(Math.max(1, request.limit), LIMITS.pageItemsMax);
  return { tenant, space, prefix, delimiter, start, limit, bytesMax: LIMITS.pageBytesMax };
}

export function handleObjectList(
  { context, closer }: ReadParts,
  request: RequestOf<'ObjectList'>,
  reply: Reply,
): void {
  const { revision } = request;
  closer.close(revision, (settled) => {
    if (settled !== 'ok') return reply(refusedPromise(context, revision));
    answerFromView(context, reply, async (view) => {
      const page = await listObjects(view, queryOf(request), revision);
      if (page === 'compacted') return compacted(view.floor);
      const { entries, next } = page;
      const behind = next === null ? null : { key: next, below: 0 };
      return { type: 'ObjectPage', entries: [...entries], next: behind, clock: revision };
    });
  });
}

export function handleVersionList(
  { context, closer }: ReadParts,
  request: RequestOf<'VersionList'>,
  reply: Reply,
): void {
  const { revision, below } = request;
  closer.close(revision, (settled) => {
    if (settled !== 'ok') return reply(refusedPromise(context, revision));
    answerFromView(context, reply, async (view) => {
      const { entries, next } = await listVersions(view, { ...queryOf(request), below }, revision);
      return { type: 'ObjectPage', entries: [...entries], next, clock: revision };
    });
  });
}

export function handleUploadList(
  { context, rounds }: ReadParts,
  request: RequestOf<'UploadList'>,
  reply: Reply,
): void {
  if (!context.isLeader()) return reply(notLeader(context));
  const { bucket, after } = request;
  const serveUploads = (): void =>
    answerFromView(context, reply, async (view) => {
      const { clock } = context.clock;
      const { entries, next } = await listUploads(view, bucket, { ...queryOf(request), after });
      return { type: 'UploadPage', entries: [...entries], next, clock };
    });
  rounds.join(serveUploads, () => reply(notLeader(context)));
}

export function handlePartList(
  { context, rounds }: ReadParts,
  request: RequestOf<'PartList'>,
  reply: Reply,
): void {
  if (!context.isLeader()) return reply(notLeader(context));
  const { bucket, ref, upload, after } = request;
  const limit = Math.min(Math.max(1, request.limit), LIMITS.pageItemsMax);
  const serveParts = (): void =>
    answerFromView(context, reply, async (view) => {
      const { clock } = context.clock;
      const row = readUploadRow(view, bucket, ref, upload);
      if (row === null) return { type: 'PartPage', upload: null, parts: [], more: false, clock };
      const { at, head, checksum } = row;
      const page = await listParts(view, ref, upload, after, limit);
      return { type: 'PartPage', upload: { at, head, checksum }, ...page, clock };
    });
  rounds.join(serveParts, () => reply(notLeader(context)));
}
