import { createRequire } from 'node:module';
import type sortedBtree from 'sorted-btree';
import type { EngineRange } from '../ports.ts';

// CommonJS with a `default` member: import unwraps it under some loaders only, require never does.
const { default: BTree } = createRequire(import.meta.url)('sorted-btree') as typeof sortedBtree;

/** Ordered map of latin1 keys; clone() is O(1) and shares nodes. The only door to sorted-btree. */
export type Tree<V> = sortedBtree.default<string, V>;

function compare(a: string, b: string): number {
  return a > b ? 1 : a < b ? -1 : 0;
}

export function newTree<V>(): Tree<V> {
  return new BTree<string, V>(undefined, compare);
}

/** A place in ordered rows: `peek` gives the row there (null at the end), `skip` moves on. */
export interface RowPlace<V> {
  peek(): readonly [key: string, value: V] | null;
  skip(): void;
}

/** The rows of a range of a tree that no longer changes. */
export function treeRows<V>(tree: Tree<V>, range: EngineRange): RowPlace<V> {
  const { start, end, reverse } = range;
  const rows =
    start >= end
      ? [].values()
      : reverse
        ? tree.entriesReversed(end, undefined, true)
        : tree.entries(start);
  const read = (): readonly [string, V] | null => {
    const { done, value } = rows.next() as IteratorResult<[string, V], void>;
    if (done || value === undefined) return null;
    return (reverse ? value[0] >= start : value[0] < end) ? value : null;
  };
  let row = read();
  return {
    peek: () => row,
    skip: () => {
      row = row === null ? null : read();
    },
  };
}
