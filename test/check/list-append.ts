import { byName, type ElementSeen, type ElementsRead, type Flaw } from './elements.ts';

/** One append of a value to a list, however it was done. */
export interface AppendSeen extends ElementSeen {
  readonly key: string;
}

export interface ListSeen extends ElementsRead {
  readonly key: string;
}

export type ListVerdict =
  | { readonly result: 'ok'; readonly lists: number; readonly reads: number }
  | ({ readonly result: 'violation'; readonly key: string } & Flaw);

/**
 * Checks lists that are only ever appended to, Elle's way: the longest read is the order of the elements.
 * A1 every read is a beginning of it, so no element moves, comes twice or goes;
 * A2 an element that is read was appended, by an append that had begun and was not refused;
 * A3 an append that was done before a read began is in that read;
 * A4 of two appends, the one that was done before the other began comes first;
 * A5 a read that begins after another was over is not shorter.
 * Cost: near-linear per list, but for A1, which is linear in what was read.
 */
export function checkLists(
  appends: readonly AppendSeen[],
  reads: readonly ListSeen[],
): ListVerdict {
  const lists = byName(appends, reads, ({ key }) => key);
  for (const [key, list] of lists) {
    const flaw = checkList(list.writes, list.reads);
    if (flaw !== null) return { result: 'violation', key, ...flaw };
  }
  return { result: 'ok', lists: lists.size, reads: reads.length };
}

function checkList(appends: readonly AppendSeen[], reads: readonly ListSeen[]): Flaw | null {
  const byElement = new Map<string, AppendSeen>();
  for (const append of appends) {
    if (byElement.has(append.element)) {
      throw new Error(`recorder error: ${append.element} was appended twice; elements are unique`);
    }
    byElement.set(append.element, append);
  }
  const order = reads.reduce<readonly string[]>(
    (longest, { elements }) => (elements.length > longest.length ? elements : longest),
    [],
  );
  return (
    checkOrder(order, appends, byElement) ??
    checkPrefixes(order, reads) ??
    checkPresence(order, appends, reads) ??
    checkRealTime(order, byElement)
  );
}

/** A1 within the longest read, and A2 for elements that were never appended. */
function checkOrder(
  order: readonly string[],
  appends: readonly AppendSeen[],
  byElement: ReadonlyMap<string, AppendSeen>,
): Flaw | null {
  const at = appends[0]?.call ?? 0;
  if (new Set(order).size < order.length) {
    const twice = order.find((element, i) => order.indexOf(element) < i);
    return { at, reason: `${twice} is in the list twice` };
  }
  for (const element of order) {
    const append = byElement.get(element);
    if (append === undefined) return { at, reason: `${element} was read but never appended` };
    if (append.outcome === 'refused') {
      return { at: append.call, reason: `${element} was read, but its append was refused` };
    }
  }
  return null;
}

/** A1: every read is a beginning of the longest. */
function checkPrefixes(order: readonly string[], reads: readonly ListSeen[]): Flaw | null {
  for (const { elements, call } of reads) {
    for (const [i, element] of elements.entries()) {
      if (order[i] === element) continue;
      const reason = `one read has ${element} at ${i}, another ${order[i]}: an append was lost`;
      return { at: call, reason };
    }
  }
  return null;
}

/** A2's time, A3 and A5, where a read's length says all. */
function checkPresence(
  order: readonly string[],
  appends: readonly AppendSeen[],
  reads: readonly ListSeen[],
): Flaw | null {
  const position = new Map(order.map((element, i) => [element, i]));
  const floors: { ret: number; length: number; what: string }[] = [];
  for (const { element, outcome, ret } of appends) {
    if (outcome !== 'done') continue;
    const at = position.get(element) ?? Number.POSITIVE_INFINITY;
    floors.push({ ret, length: at + 1, what: `the append of ${element}` });
  }
  for (const { ret, elements } of reads) {
    floors.push({ ret, length: elements.length, what: 'an earlier read' });
  }
  floors.sort((a, b) => a.ret - b.ret);
  const began = new Map(appends.map(({ element, call }) => [element, call]));
  let next = 0;
  let floor = { ret: 0, length: 0, what: '' };
  for (const read of [...reads].sort((a, b) => a.call - b.call)) {
    for (; next < floors.length && (floors[next] as { ret: number }).ret < read.call; next++) {
      const candidate = floors[next] as typeof floor;
      if (candidate.length > floor.length) floor = candidate;
    }
    if (read.elements.length < floor.length) {
      const reason = `a read of ${read.elements.length} elements began after ${floor.what} was over`;
      return { at: read.call, reason };
    }
    const early = read.elements.find((element) => (began.get(element) ?? 0) > read.ret);
    if (early !== undefined)
      return { at: read.call, reason: `${early} was read before its append` };
  }
  return null;
}

/** A4, over the final order: nothing comes after an append that began only when it was done. */
function checkRealTime(
  order: readonly string[],
  byElement: ReadonlyMap<string, AppendSeen>,
): Flaw | null {
  let latest: AppendSeen | null = null;
  for (const element of order) {
    const append = byElement.get(element) as AppendSeen;
    if (latest !== null && append.ret < latest.call) {
      const reason = `${element} was appended before ${latest.element}, but comes after it`;
      return { at: append.call, reason };
    }
    if (latest === null || append.call > latest.call) latest = append;
  }
  return null;
}
