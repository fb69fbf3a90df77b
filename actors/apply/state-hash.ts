import { prefixEnd } from '../../protocol/bytes.ts';
import { xxHash64 } from '../../protocol/hash.ts';
import { BODY_OFFSET, feedStart, indexHead, PREFIX_LENGTH } from '../../storage/kv/keyspace.ts';
import { dataKey } from '../../storage/kv/object-keys.ts';
import { decodeIdempotency, encodeCounts } from '../../storage/kv/rows.ts';
import type { EngineRow } from '../../storage/ports.ts';
import { encodeApplied, type GroupState, type GroupView } from './group-state.ts';
import { isRemembered } from './idempotency.ts';
import { encodeIndexes } from './index-codec.ts';
import { dataRowCodec, decodeRow } from './object-codec.ts';
import { RowReader } from './row-reader.ts';
import { openHead } from './text-codec.ts';
import * as txn from './txn.ts';
import { decodeDecision } from './txn-table.ts';

/**
 * A hash over what a group's state means, 16 hex digits: equal on all replicas at an equal applied
 * index, however far each has got with removing garbage. In it: the counters (floor, owned vshards,
 * sequence, key count, usage, shares of quotas, indexes), current rows, expiry rows, leases and what is attached to them, meta state,
 * prepared transactions, entries of indexes, reservations and owed ones, the feed from the floor on, idempotency rows and decisions
 * inside their windows, and all of objects but data that ended below the floor. Not in it: history and past entries (the feed names their versions), and anything
 * below the floor. Reads every row once, in bounded memory.
 */
export async function stateHash(state: GroupState): Promise<string> {
  const hash = new ChainedHash();
  hash.add('', encodeApplied(state));
  hash.add('', encodeCounts(state.ownedSince));
  hash.add('', encodeIndexes(state.indexes));
  const view = state.view();
  try {
    for (const kind of ['M', 'a', 'c', 'l', 'x', 'v', 'u'] as const) {
      await addRows(hash, view, view.prefix + kind, nextKind(view, kind), null);
    }
    await addRows(hash, view, feedStart(view.prefix, view.floor), nextKind(view, 'f'), null);
    for (const { definition } of view.indexes.list) {
      const start = indexHead(view.prefix, 'e', definition.id);
      await addRows(hash, view, start, indexHead(view.prefix, 'e', definition.id + 1), null);
      for (const kind of ['r', 'o'] as const) {
        const from = indexHead(view.prefix, kind, definition.id);
        await addRows(hash, view, from, indexHead(view.prefix, kind, definition.id + 1), null);
      }
      const open = openHead(view.prefix, definition.id);
      await addRows(hash, view, open, prefixEnd(open) as string, null);
    }
    await addRows(hash, view, `${view.prefix}i`, nextKind(view, 'i'), isAlive);
    await addRows(hash, view, `${view.prefix}d`, nextKind(view, 'd'), isKept);
    for (const kind of ['B', 'N', 'O', 'Q', 'T', 'U', 'n', 'q', 'w'] as const) {
      await addRows(hash, view, view.prefix + kind, nextKind(view, kind), null);
    }
    for (const kind of ['D', 'I'] as const) {
      await addRows(hash, view, view.prefix + kind, nextKind(view, kind), hasData);
    }
  } finally {
    await view.close();
  }
  return hash.digest();
}

function nextKind(view: GroupView, kind: string): string {
  return view.prefix + String.fromCharCode(kind.charCodeAt(0) + 1);
}

function isAlive(view: GroupView, row: EngineRow): boolean {
  return isRemembered(decodeIdempotency(row[1]).revision, view.clock);
}

function isKept(view: GroupView, row: EngineRow): boolean {
  return txn.isRemembered(decodeDecision(row[1]).id.start, view.clock);
}

/** Data that something names, or did above the floor; its bytes by the same measure. */
function hasData(view: GroupView, [key, value]: EngineRow): boolean {
  const isData = key.startsWith('D', PREFIX_LENGTH);
  const row = isData ? value : view.get(dataKey(view.prefix, 'D', key.slice(BODY_OFFSET)));
  if (row === null) return false;
  const { endedAt } = decodeRow(dataRowCodec, row);
  return endedAt === 0 || endedAt >= view.floor;
}

async function addRows(
  hash: ChainedHash,
  view: GroupView,
  start: string,
  end: string,
  counts: ((view: GroupView, row: EngineRow) => boolean) | null,
): Promise<void> {
  const reader = new RowReader(view, { start, end, reverse: false });
  try {
    for (;;) {
      if (reader.needsFill) await reader.ready();
      const row = reader.head;
      if (row === undefined) return;
      if (counts === null || counts(view, row)) hash.add(row[0].slice(PREFIX_LENGTH), row[1]);
      reader.advance();
    }
  } finally {
    await reader.close();
  }
}

/** Bytes gathered before they are folded into the hash. */
const FOLD_BYTES = 64 * 1024;

/**
 * xxHash64 over a sequence of rows: every FOLD_BYTES are hashed behind the hash so far. Where it
 * folds depends on the rows alone, not on how they were read.
 */
class ChainedHash {
  #parts: Uint8Array[] = [Buffer.alloc(8)];
  #bytes = 8;

  add(key: string, value: Uint8Array): void {
    const keyBytes = Buffer.from(key, 'latin1');
    this.#parts.push(encodeCounts([keyBytes.length, value.length]), keyBytes, value);
    this.#bytes += 16 + keyBytes.length + value.length;
    if (this.#bytes >= FOLD_BYTES) this.#fold();
  }

  digest(): string {
    this.#fold();
    return Buffer.from(this.#parts[0] as Uint8Array).toString('hex');
  }

  #fold(): void {
    const folded = Buffer.allocUnsafe(8);
    folded.writeBigUInt64BE(xxHash64(Buffer.concat(this.#parts)));
    this.#parts = [folded];
    this.#bytes = folded.length;
  }
}
