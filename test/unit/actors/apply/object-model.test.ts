import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { GroupState, type GroupView } from '../../../../actors/apply/group-state.ts';
import { dataRowCodec, decodeRow } from '../../../../actors/apply/object-codec.ts';
import { type ListPage, listObjects } from '../../../../actors/apply/object-list.ts';
import {
  isEmptyBucket,
  readInline,
  readObject,
  readObjectVersion,
} from '../../../../actors/apply/object-read.ts';
import {
  listParts,
  listUploads,
  type UploadPage,
} from '../../../../actors/apply/object-upload-list.ts';
import { listVersions, type VersionPage } from '../../../../actors/apply/object-version-list.ts';
import { loadSnapshot, snapshotRows } from '../../../../actors/apply/snapshot-rows.ts';
import { stateHash } from '../../../../actors/apply/state-hash.ts';
import type { ListedVersion } from '../../../../protocol/object-access.ts';
import { BODY_OFFSET, refOfStoredTriple } from '../../../../storage/kv/keyspace.ts';
import { endedDataStart } from '../../../../storage/kv/object-keys.ts';
import { decodeCurrent } from '../../../../storage/kv/rows.ts';
import { hex, idOf, isOver, type ModelVersion } from '../../../check/object-model.ts';
import { GROUP } from '../../../kit/applied-group.ts';
import { cursorOf, drain, MemoryState } from '../../../kit/memory-state.ts';
import { BUCKET, ObjectHistory, objectRef } from '../../../kit/object-history.ts';
import { KEYS, type ObjectStep, objectSteps } from '../../../kit/object-steps.ts';

const RUNS = { numRuns: 200 };

/** Does every step to both; each answer, and what the events say is current, is the model's. */
async function play(steps: readonly ObjectStep[]): Promise<ObjectHistory> {
  const history = new ObjectHistory();
  const shown = new Map<string, string>();
  for (const step of steps) {
    const { applied, wanted } = await history.take(step);
    if (applied === null) continue;
    expect(applied.object).toEqual(wanted);
    if (applied.object !== null) expect(applied.events.length).toBeLessThanOrEqual(1);
    for (const { ref, kind, item } of applied.events) {
      if (kind === 'put') shown.set(ref.key, hex(item?.value ?? new Uint8Array(0)));
      else shown.delete(ref.key);
    }
  }
  const current = history.group.rowsOf('c').map(([key, row]): [string, string] => {
    const { key: name } = refOfStoredTriple(key.slice(BODY_OFFSET));
    return [name, hex(decodeCurrent(row).value)];
  });
  expect(new Map(current)).toEqual(shown);
  return history;
}

async function withView<T>(state: GroupState, use: (view: GroupView) => Promise<T>): Promise<T> {
  const view = state.view();
  try {
    return await use(view);
  } finally {
    await view.close();
  }
}

/** Every page of a listing, as one. */
async function allPages(
  view: GroupView,
  query: { prefix: string; delimiter: string | null; limit: number; bytesMax: number },
  revision: number,
) {
  const entries: ListPage['entries'][number][] = [];
  for (let start: string | null = ''; start !== null; ) {
    const page: ListPage | 'compacted' = await listObjects(
      view,
      { ...BUCKET, ...query, start },
      revision,
    );
    if (page === 'compacted') throw new Error('compacted');
    expect(page.entries.length).toBeLessThanOrEqual(query.limit);
    expect(page.next === null || page.entries.length > 0).toBe(true);
    entries.push(...page.entries);
    start = page.next;
  }
  return entries;
}

function rolledUp<T extends { key: string }>(
  all: readonly T[],
  prefix: string,
  delimiter: string | null,
): (T | string)[] {
  const out: (T | string)[] = [];
  for (const one of all) {
    if (!one.key.startsWith(prefix)) continue;
    const at = delimiter === null ? -1 : one.key.indexOf(delimiter, prefix.length);
    const common = at < 0 ? null : one.key.slice(0, at + 1);
    if (common === null) out.push(one);
    else if (out.at(-1) !== common) out.push(common);
  }
  return out;
}

const SORTED = [...KEYS].sort();
const query = fc.record({
  prefix: fc.constantFrom('', '', 'a', 'a/', 'b/', 'b/\xff', '\xff', 'zz'),
  delimiter: fc.constantFrom(null, '/', '/', '\xff'),
  limit: fc.constantFrom(1, 2, 3, 1000),
  bytesMax: fc.constantFrom(1, 400, 1_000_000, 1_000_000),
});

function shape(entry: ListPage['entries'][number]): unknown {
  if (entry.type === 'prefix') return entry.prefix;
  const { key, versionId, isLatest, isMarker, etag, size } = entry;
  return { key, versionId, isLatest, isMarker, etag, size };
}

function wantedShape(
  key: string,
  version: ModelVersion,
  isLatest: boolean,
): Omit<ListedVersion, 'type' | 'putAt' | 'checksum' | 'headers'> {
  const { isMarker, etag, size } = version;
  return { key, versionId: idOf(version), isLatest, isMarker, etag, size };
}

describe('objects against a model of S3', () => {
  test('every answer, and every read of a version, is the model’s', async () => {
    await fc.assert(
      fc.asyncProperty(objectSteps(40), async (steps) => {
        const { group, model } = await play(steps);
        const { state } = group;
        const revision = group.nextRevision() - 1;
        await withView(state, async (view) => {
          for (const key of KEYS) {
            const current = model.current(key, revision);
            const found = await readObject(view, objectRef(key), revision);
            const etag = found.type === 'found' ? found.version.record.etag : null;
            expect(etag).toBe(current?.etag ?? null);
            const [first] = model.versions(key);
            if (found.type === 'none') {
              expect(found.marker).toBe(first?.isMarker ? idOf(first) : null);
            }
            for (const version of model.versions(key)) {
              const read = readObjectVersion(view, objectRef(key), idOf(version), revision);
              if (isOver(version, revision)) {
                expect(read).toBeNull();
                continue;
              }
              expect(read?.record).toMatchObject({
                ...{ putAt: version.putAt, etag: version.etag, isMarker: version.isMarker },
                ...(version.head === null ? {} : { head: version.head }),
              });
              expect(read?.isLatest).toBe(version === first);
              expect(read?.expiresAtMs).toBe(version.expiresAtMs);
            }
          }
          const isEmpty = KEYS.every((key) =>
            model.versions(key).every((one) => isOver(one, revision)),
          );
          expect(await isEmptyBucket(view, BUCKET, revision)).toBe(isEmpty);
        });
      }),
      RUNS,
    );
  });

  test('listings of objects at every revision, of versions and of uploads, page by page', async () => {
    await fc.assert(
      fc.asyncProperty(objectSteps(40), query, async (steps, asked) => {
        const { prefix, delimiter, limit } = asked;
        const { group, model, past } = await play(steps);
        const { state } = group;
        const now = group.nextRevision() - 1;
        await withView(state, async (view) => {
          const noted = past.filter(({ revision }) => revision >= state.floor);
          for (const { revision, current } of noted) {
            const entries = await allPages(view, asked, revision);
            const all = SORTED.filter((key) => current.has(key)).map((key) => ({ key }));
            expect(
              entries.map((one) =>
                one.type === 'prefix' ? one.prefix : `${one.key} ${one.putAt} ${one.etag}`,
              ),
            ).toEqual(
              rolledUp(all, prefix, delimiter).map((one) =>
                typeof one === 'string' ? one : `${one.key} ${current.get(one.key)}`,
              ),
            );
          }
          const versions = SORTED.flatMap((key) =>
            model
              .versions(key)
              .filter((one) => !isOver(one, now))
              .map((one, i) => wantedShape(key, one, i === 0)),
          );
          const listed: unknown[] = [];
          for (
            let at: { key: string; below: number } | null = { key: '', below: 0 };
            at !== null;
          ) {
            const { key: start, below } = at;
            const one = { ...BUCKET, ...asked, start, below };
            const page: VersionPage = await listVersions(view, one, now);
            listed.push(...page.entries.map(shape));
            at = page.next;
          }
          expect(listed).toEqual(rolledUp(versions, prefix, delimiter));
          const id = model.rule?.id ?? 0;
          const uploads = [...model.uploads.values()]
            .filter(({ bucket }) => bucket === id)
            .map(({ key, upload }) => ({ key, upload }))
            .sort((a, b) => (`${a.key}\x00${a.upload}` < `${b.key}\x00${b.upload}` ? -1 : 1))
            .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
          const seen: unknown[] = [];
          for (
            let at: { key: string; after: string } | null = { key: '', after: '' };
            at !== null;
          ) {
            const { key: start, after } = at;
            const page: UploadPage = await listUploads(view, id, {
              ...BUCKET,
              ...asked,
              start,
              after,
            });
            for (const one of page.entries) {
              seen.push(one.type === 'prefix' ? one.prefix : { key: one.key, upload: one.upload });
            }
            at = page.next;
          }
          expect(seen).toEqual(rolledUp(uploads, prefix, delimiter));
          for (const upload of model.uploads.values()) {
            const numbers: number[] = [];
            for (let after = 0, more = true; more; ) {
              const page = await listParts(
                view,
                objectRef(upload.key),
                upload.upload,
                after,
                limit,
              );
              numbers.push(...page.parts.map(({ number }) => number));
              more = page.more;
              after = numbers.at(-1) ?? 0;
            }
            expect(numbers).toEqual([...upload.parts.keys()].sort((a, b) => a - b));
          }
        });
      }),
      RUNS,
    );
  });

  test('exactly the data that something names is named, and its inline bytes are there', async () => {
    await fc.assert(
      fc.asyncProperty(objectSteps(40), async (steps) => {
        const { group, model } = await play(steps);
        const live = group
          .rowsOf('D')
          .filter(([, value]) => decodeRow(dataRowCodec, value).endedAt === 0)
          .map(([key]) => Buffer.from(key.slice(BODY_OFFSET), 'latin1').toString('hex'));
        expect(live.sort()).toEqual([...model.named()].sort());
        const revision = group.nextRevision() - 1;
        await withView(group.state, async (view) => {
          for (const key of KEYS) {
            const found = await readObject(view, objectRef(key), revision);
            if (found.type !== 'found') continue;
            for (const piece of found.version.record.pieces) {
              const inline = readInline(view, piece);
              expect(inline?.length ?? null).toBe(
                piece.data !== null && piece.chunkBytes === 0 ? piece.bytes : null,
              );
            }
          }
        });
      }),
      RUNS,
    );
  });

  test('replicas that remove garbage, restart or come from a snapshot agree in hash', async () => {
    await fc.assert(
      fc.asyncProperty(objectSteps(40), async (steps) => {
        const history = await play(steps);
        const { state } = history.group;
        const hash = await stateHash(state);
        const rows = await withView(state, (view) => drain(snapshotRows(view), 7));
        const store = new MemoryState();
        await loadSnapshot(store, GROUP, cursorOf(rows));
        expect(await stateHash(GroupState.open(store, GROUP))).toBe(hash);
        while ((await gcStep(state, 3)) > 0);
        expect(await stateHash(state)).toBe(hash);
        const end = endedDataStart(state.prefix, state.floor);
        expect(history.group.rowsOf('E').every(([key]) => key >= end)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('an entry applies alike whether its garbage was removed or not', async () => {
    await fc.assert(
      fc.asyncProperty(objectSteps(50), async (steps) => {
        const lazy = await play(steps);
        const eager = new ObjectHistory();
        for (const step of steps) {
          await eager.take(step);
          while ((await gcStep(eager.group.state, 2)) > 0);
        }
        expect(await stateHash(eager.group.state)).toBe(await stateHash(lazy.group.state));
      }),
      { numRuns: 100 },
    );
  });
});
