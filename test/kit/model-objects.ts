import type {
  Bucket,
  ListedPrefix,
  ListedUpload,
  ListedVersion,
  ObjectQuery,
  ObjectRead,
  ObjectService,
  Page,
  UploadParts,
  VersionPosition,
} from '../../protocol/object-access.ts';
import type { ObjectOp, ObjectOpOf, ObjectResult } from '../../protocol/object-ops.ts';
import { parseVersionId, versionIdOf } from '../../protocol/objects.ts';
import { nextRevision } from '../../protocol/revision.ts';
import { ModelBuckets } from './model-buckets.ts';
import { ModelKeyRows } from './model-key-rows.ts';
import { ModelObjectData } from './model-object-bytes.ts';
import {
  applyAmend,
  applyDelete,
  applyPut,
  isHeld,
  type ModelBucket,
  type ModelKey,
  type ModelUpload,
} from './model-object-rules.ts';
import { applyComplete, applyPart } from './model-uploads.ts';

/** The port ObjectService in memory, for tests of edges: one node, one revision counter, no faults. */
export class ModelObjects implements ObjectService {
  readonly data = new ModelObjectData();
  readonly keyRows = new ModelKeyRows();
  readonly buckets: ModelBuckets;
  readonly #rows = new Map<number, ModelBucket>();
  readonly #wallMs: () => number;
  #clock = 0;

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
    this.buckets = new ModelBuckets(
      ({ rule }) =>
        [...this.#of(rule.id).keys.values()].every(({ versions }) => versions.length === 0),
      wallMs,
    );
  }

  #of(id: number): ModelBucket {
    const found = this.#rows.get(id) ?? { keys: new Map(), uploads: new Map() };
    this.#rows.set(id, found);
    return found;
  }

  async apply(
    _ctx: unknown,
    { rule }: Bucket,
    op: ObjectOp,
  ): Promise<{ result: ObjectResult; clock: number }> {
    const known = this.buckets.named(rule.name, rule.tenant);
    if (known?.rule.id !== rule.id)
      return { result: { type: 'no_such_bucket' }, clock: this.#clock };
    const rows = this.#of(rule.id);
    const revision = nextRevision(this.#clock, this.#wallMs());
    const result = this.#applied(known, rows, op, revision);
    this.#clock = revision;
    return { result, clock: revision };
  }

  #applied(bucket: Bucket, rows: ModelBucket, op: ObjectOp, revision: number): ObjectResult {
    const at = { rule: bucket.rule, revision, wallMs: this.#wallMs() };
    const key = keyOf(rows, op.ref.key);
    switch (op.type) {
      case 'put':
        return applyPut(key, op, at);
      case 'delete':
        return applyDelete(key, op, at);
      case 'amend':
        return applyAmend(key, op, at);
      case 'uploadCreate':
        rows.uploads.set(op.upload, newUpload(op, revision));
        return { type: 'uploaded', revision, etag: '' };
      case 'uploadPart':
        return applyPart(uploadOf(rows, op), op, revision);
      case 'uploadComplete': {
        const result = applyComplete(key, uploadOf(rows, op), op, at);
        if (result.type === 'put') rows.uploads.delete(op.upload);
        return result;
      }
      case 'expire':
        throw new Error('no edge takes anything away by a rule');
      case 'uploadAbort':
        if (uploadOf(rows, op) === null) return { type: 'no_such_upload' };
        rows.uploads.delete(op.upload);
        return { type: 'aborted', revision };
    }
  }

  async read(
    _ctx: unknown,
    ref: { tenant: string; space: string; key: string },
    { versionId }: { versionId: string | null },
  ): Promise<ObjectRead> {
    const clock = this.#clock;
    const bucket = this.buckets.named(ref.space, ref.tenant);
    const versions = bucket === null ? [] : keyOf(this.#of(bucket.rule.id), ref.key).versions;
    const wanted = versionId === null ? null : parseVersionId(versionId);
    const found =
      wanted === null
        ? versions[0]
        : versions.find(({ record }) =>
            wanted === 'null' ? record.isNull : !record.isNull && record.putAt === wanted,
          );
    if (found === undefined) return { type: 'none', marker: null, clock };
    if (versionId === null && found.record.isMarker) {
      return { type: 'none', marker: versionIdOf(found.record), clock };
    }
    return { type: 'found', version: { ...found, isLatest: found === versions[0] }, clock };
  }

  async list(
    _ctx: unknown,
    query: ObjectQuery,
  ): Promise<Page<ListedVersion, string> & { revision: number }> {
    const current = this.#sorted(query).flatMap(([key, { versions }]) => {
      const [newest] = versions;
      return newest === undefined || newest.record.isMarker
        ? []
        : [{ key, entry: listed(key, newest, true) }];
    });
    const { entries, rest } = paged(query, current);
    return { entries, next: rest?.key ?? null, revision: this.#clock };
  }

  async listVersions(
    _ctx: unknown,
    query: ObjectQuery & { below: number },
  ): Promise<Page<ListedVersion, VersionPosition>> {
    const all = this.#sorted(query).flatMap(([key, { versions }]) =>
      versions
        .filter(
          ({ record }) => key !== query.start || query.below === 0 || record.putAt < query.below,
        )
        .map((version) => ({ key, entry: listed(key, version, version === versions[0]) })),
    );
    const { entries, rest } = paged(query, all);
    if (rest === null) return { entries, next: null };
    const before = entries[entries.length - 1];
    const isSame = before?.type === 'version' && before.key === rest.key;
    return { entries, next: { key: rest.key, below: isSame ? before.putAt : 0 } };
  }

  #sorted({ tenant, space, prefix, start }: ObjectQuery): [string, ModelKey][] {
    const bucket = this.buckets.named(space, tenant);
    if (bucket === null) return [];
    return [...this.#of(bucket.rule.id).keys]
      .filter(([key]) => key.startsWith(prefix) && key >= start)
      .sort(([a], [b]) => (a < b ? -1 : 1));
  }

  async listUploads(
    _ctx: unknown,
    { rule }: Bucket,
    query: ObjectQuery & { after: string },
  ): Promise<Page<ListedUpload, { key: string; after: string }>> {
    const all = [...this.#of(rule.id).uploads.values()]
      .filter(({ key }) => key.startsWith(query.prefix) && key >= query.start)
      .filter(({ key, upload }) => key !== query.start || upload > query.after)
      .sort((a, b) => (a.key + a.upload < b.key + b.upload ? -1 : 1))
      .map(({ key, upload, at, head, checksum }) => ({
        key,
        entry: { type: 'upload', key, upload, at, head, checksum } as const,
      }));
    const { entries, rest } = paged(query, all);
    const last = entries[entries.length - 1];
    if (rest === null) return { entries, next: null };
    const after = last?.type === 'upload' && last.key === rest.key ? last.upload : '';
    return { entries, next: { key: rest.key, after } };
  }

  async listParts(
    _ctx: unknown,
    { rule }: Bucket,
    ref: { key: string },
    upload: string,
    { after, limit }: { after: number; limit: number },
  ): Promise<UploadParts | null> {
    const found = uploadOf(this.#of(rule.id), { ref, upload });
    if (found === null) return null;
    const parts = [...found.parts.values()]
      .filter(({ number }) => number > after)
      .sort((a, b) => a.number - b.number);
    const { at, head, checksum } = found;
    return { at, head, checksum, parts: parts.slice(0, limit), more: parts.length > limit };
  }

  /** Whether the newest version of a key is held by a lock. */
  isHeld(bucket: string, key: string): boolean {
    const found = this.buckets.named(bucket);
    const [newest] = found === null ? [] : keyOf(this.#of(found.rule.id), key).versions;
    return newest !== undefined && isHeld(newest.record, this.#wallMs(), false);
  }
}

function keyOf(rows: ModelBucket, key: string): ModelKey {
  const found = rows.keys.get(key) ?? { versions: [] };
  rows.keys.set(key, found);
  return found;
}

function newUpload(op: ObjectOpOf<'uploadCreate'>, at: number): ModelUpload {
  const { ref, upload, head, checksum } = op;
  return { key: ref.key, upload, at, head, checksum, parts: new Map(), inline: new Map() };
}

function uploadOf(
  rows: ModelBucket,
  { ref, upload }: { ref: { key: string }; upload: string },
): ModelUpload | null {
  const found = rows.uploads.get(upload);
  return found === undefined || found.key !== ref.key ? null : found;
}

function listed(
  key: string,
  version: ModelKey['versions'][number],
  isLatest: boolean,
): ListedVersion {
  const { putAt, isMarker, size, etag, checksum, head } = version.record;
  return {
    ...{ type: 'version', key, versionId: versionIdOf(version.record), isLatest, isMarker },
    ...{ putAt, size, etag, checksum, headers: head.headers },
    owner: head.owner ?? null,
  };
}

/** Rolls up behind the delimiter. `rest` is what the next page starts with. */
function paged<E>(
  { prefix, delimiter, limit }: ObjectQuery,
  all: readonly { readonly key: string; readonly entry: E }[],
): { entries: (E | ListedPrefix)[]; rest: { readonly key: string } | null } {
  const entries: (E | ListedPrefix)[] = [];
  let last: string | null = null;
  for (const item of all) {
    const at = delimiter ? item.key.indexOf(delimiter, prefix.length) : -1;
    const rolled = at < 0 ? null : item.key.slice(0, at + (delimiter as string).length);
    if (rolled !== null && rolled === last) continue;
    if (entries.length === limit) return { entries, rest: item };
    entries.push(rolled === null ? item.entry : { type: 'prefix', prefix: rolled });
    last = rolled;
  }
  return { entries, rest: null };
}
