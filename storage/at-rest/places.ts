import type { SealedPlace } from '../../protocol/sealing-keys.ts';
import type { BlobFiles } from '../blob/blob-files.ts';
import { isDamage } from '../disk/port.ts';
import type { MemtableStore } from '../kv/state-store.ts';
import type { SnapshotFiles } from '../snapshot-file.ts';
import type { SegmentWal } from '../wal/wal.ts';
import type { SealedDisk } from './sealed-disk.ts';
import type { SealedEngine } from './sealed-engine.ts';

/** Where there is something sealed, in the order in which it is sealed anew. */
export const PLACES: readonly SealedPlace[] = ['log', 'values', 'chunks', 'snapshots'];

/** What one step of a walk did. */
export interface Step {
  /** Segments, values, chunks or snapshots that were looked at. */
  readonly seen: number;
  /** Of those, sealed anew. */
  readonly resealed: number;
  /** Of those, left as they are since they do not open. */
  readonly damaged: number;
}

/** One look at everything in a place; what is sealed under an older data key is sealed anew, durably by the end of it. */
export interface Walk {
  /** Null: that is not known. */
  readonly total: number | null;
  /** A bounded piece of work; null at the end. */
  step(): Promise<Step | null>;
}

export interface Place {
  readonly name: SealedPlace;
  walk(): Promise<Walk>;
}

const NOTHING: Step = { seen: 0, resealed: 0, damaged: 0 };
const ROWS_PER_STEP = 256;
/** Rows wait for the engine: more are not read before there is room in memory. */
const PENDING_BYTES_MAX = 2 * 1024 * 1024;
/** Of the files that are merged at once, to be rid of what was overwritten in them. */
const COMPACTED_BYTES = 32 * 1024 * 1024;
const FILES_PER_PAGE = 256;
const FILES_PER_STEP = 16;

export function logPlace(wal: SegmentWal): Place {
  return {
    name: 'log',
    walk: async () => {
      await wal.endSegment();
      let after = 0;
      return {
        total: null,
        async step() {
          const next = await wal.resealNext(after);
          if (next === null) return null;
          after = next.sequence;
          return { seen: 1, resealed: next.isChanged ? 1 : 0, damaged: next.isDamaged ? 1 : 0 };
        },
      };
    },
  };
}

/** Values, and then what was overwritten or removed before: tables and logs of the engine keep that for a while. */
export function valuesPlace(store: MemtableStore, engine: SealedEngine): Place {
  let isCompacted = false;
  return {
    name: 'values',
    walk: async () => {
      const ranges: [start: string, end: string][] = [];
      let begin = '';
      let bytes = 0;
      let after: string | null = '';
      const look = async (from: string): Promise<Step> => {
        if (store.pendingBytes() > PENDING_BYTES_MAX) return NOTHING;
        const found = await engine.oldRows(from, ROWS_PER_STEP);
        store.rewrite(found.keys);
        if (found.keys.length > 0) isCompacted = false;
        after = found.last;
        bytes += found.bytes;
        if (bytes >= COMPACTED_BYTES || after === null) {
          const end = after ?? ABOVE_ALL_KEYS;
          ranges.push([begin, end]);
          begin = end;
          bytes = 0;
        }
        if (after === null) await store.flush();
        return { seen: found.rows, resealed: found.keys.length, damaged: 0 };
      };
      return {
        total: null,
        async step() {
          if (after !== null) return look(after);
          const range = isCompacted ? undefined : ranges.shift();
          if (range === undefined) {
            isCompacted = true;
            return null;
          }
          await engine.compact(...range);
          return NOTHING;
        },
      };
    },
  };
}

const ABOVE_ALL_KEYS = '\xff'.repeat(64);

export function chunksPlace(blobs: BlobFiles, disk: SealedDisk): Place {
  return {
    name: 'chunks',
    walk: async () => {
      let total = 0;
      for (let after: string | null = null; ; ) {
        const files = await blobs.list(after, FILES_PER_PAGE * 16);
        if (files.length === 0) break;
        total += files.length;
        after = files.at(-1)?.path ?? null;
      }
      let files = await blobs.list(null, FILES_PER_PAGE);
      return {
        total,
        async step() {
          let done = NOTHING;
          for (let i = 0; i < FILES_PER_STEP && done.resealed === 0; i++) {
            const file = files.shift();
            if (file === undefined) break;
            const { name } = file;
            const step = await countingDamage(async () => {
              const isChanged =
                name !== null &&
                (await blobs.replace(name, (from, to) => disk.copyOfOld(from, to)));
              return { seen: 1, resealed: isChanged ? 1 : 0, damaged: 0 };
            });
            if (step !== null) done = sum(done, step);
            if (files.length === 0) files = await blobs.list(file.path, FILES_PER_PAGE);
          }
          return done.seen === 0 ? null : done;
        },
      };
    },
  };
}

export function snapshotsPlace(snapshots: SnapshotFiles, disk: SealedDisk): Place {
  return {
    name: 'snapshots',
    walk: async () => {
      const names = await snapshots.list();
      return {
        total: names.length,
        step: () =>
          countingDamage(async () => {
            const name = names.shift();
            if (name === undefined) return null;
            const isChanged = await snapshots.replace(name, {
              copy: (from, to) => disk.copyOfOld(from, to),
              isOld: (path) => disk.isOld(path),
            });
            return { seen: 1, resealed: isChanged ? 1 : 0, damaged: 0 };
          }),
      };
    },
  };
}

async function countingDamage(work: () => Promise<Step | null>): Promise<Step | null> {
  try {
    return await work();
  } catch (error) {
    if (isDamage(error)) return { seen: 1, resealed: 0, damaged: 1 };
    throw error;
  }
}

function sum(a: Step, b: Step): Step {
  return {
    seen: a.seen + b.seen,
    resealed: a.resealed + b.resealed,
    damaged: a.damaged + b.damaged,
  };
}
