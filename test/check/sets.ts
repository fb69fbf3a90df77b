import { byName, type ElementSeen, type ElementsRead, type Flaw } from './elements.ts';

export interface AddSeen extends ElementSeen {
  readonly set: string;
}

export interface SetSeen extends ElementsRead {
  readonly set: string;
}

export type SetVerdict =
  | { readonly result: 'ok'; readonly sets: number; readonly reads: number }
  | ({ readonly result: 'violation'; readonly set: string } & Flaw);

/**
 * Checks sets from which nothing is removed:
 * E1 an element that is read was added, by an addition that had begun and was not refused, and is there once;
 * E2 an element whose addition was done before a read began is in it;
 * E3 an element that was read is in every read that began after that one was over.
 */
export function checkSets(adds: readonly AddSeen[], reads: readonly SetSeen[]): SetVerdict {
  const sets = byName(adds, reads, ({ set }) => set);
  for (const [set, seen] of sets) {
    const flaw = checkSet(seen.writes, seen.reads);
    if (flaw !== null) return { result: 'violation', set, ...flaw };
  }
  return { result: 'ok', sets: sets.size, reads: reads.length };
}

function checkSet(adds: readonly AddSeen[], reads: readonly SetSeen[]): Flaw | null {
  const added = new Map(adds.map((add) => [add.element, add]));
  /** From when on an element is known to be there: the end of its addition, or of the first read with it. */
  const knownFrom = new Map<string, number>();
  const know = (element: string, from: number): void => {
    knownFrom.set(element, Math.min(from, knownFrom.get(element) ?? Number.POSITIVE_INFINITY));
  };
  for (const { element, outcome, ret } of adds) if (outcome === 'done') know(element, ret);
  for (const { elements, call, ret } of reads) {
    const seen = new Set(elements);
    if (seen.size < elements.length) return { at: call, reason: 'an element was read twice' };
    for (const element of elements) {
      const add = added.get(element);
      if (add === undefined) return { at: call, reason: `${element} was read but never added` };
      if (add.outcome === 'refused') {
        return { at: call, reason: `${element} was read, but its addition was refused` };
      }
      if (add.call > ret) return { at: call, reason: `${element} was read before its addition` };
      know(element, ret);
    }
  }
  for (const { elements, call } of reads) {
    const seen = new Set(elements);
    for (const [element, from] of knownFrom) {
      if (from < call && !seen.has(element)) {
        return { at: call, reason: `${element} was there before a read began that lacks it` };
      }
    }
  }
  return null;
}
