/** One element of a run, each of them unique, on its way into a list or a set. */
export interface ElementSeen {
  readonly element: string;
  /** `refused`: it certainly did not happen. `unknown`: it may have, or may yet. */
  readonly outcome: 'done' | 'refused' | 'unknown';
  readonly call: number;
  /** Infinity when the outcome is not known. */
  readonly ret: number;
}

/** One read of a whole list or set, of one moment. */
export interface ElementsRead {
  readonly elements: readonly string[];
  readonly call: number;
  readonly ret: number;
}

export interface Flaw {
  readonly at: number;
  readonly reason: string;
}

/** What was done to each list or set, by its name. */
export function byName<W, R>(
  writes: readonly W[],
  reads: readonly R[],
  nameOf: (one: W | R) => string,
): Map<string, { writes: W[]; reads: R[] }> {
  const found = new Map<string, { writes: W[]; reads: R[] }>();
  const entry = (name: string) => {
    const known = found.get(name) ?? { writes: [], reads: [] };
    found.set(name, known);
    return known;
  };
  for (const write of writes) entry(nameOf(write)).writes.push(write);
  for (const read of reads) entry(nameOf(read)).reads.push(read);
  return found;
}
