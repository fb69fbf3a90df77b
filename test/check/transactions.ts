/** One transaction over lists: what it read before its own appends, and what it appended. */
export interface TxnSeen {
  readonly name: string;
  readonly reads: readonly { readonly key: string; readonly elements: readonly string[] }[];
  /** Each element is unique in a run; at most one per list. */
  readonly appends: readonly { readonly key: string; readonly element: string }[];
  /** `refused`: it certainly did not happen. `unknown`: it may have, or may yet; its reads are not known. */
  readonly outcome: 'done' | 'refused' | 'unknown';
  readonly call: number;
  /** Infinity when the outcome is not known. */
  readonly ret: number;
}

export type TxnVerdict =
  | { readonly result: 'ok'; readonly transactions: number; readonly edges: number }
  | { readonly result: 'violation'; readonly anomaly: Anomaly; readonly reason: string };

/** Adya's names; `real-time` when only the order in time closes the cycle. */
export type Anomaly =
  | 'G0'
  | 'G1a'
  | 'G1c'
  | 'G-single'
  | 'G2'
  | 'real-time'
  | 'incompatible-order'
  | 'duplicate'
  | 'unwritten'
  | 'lost';

type EdgeKind = 'ww' | 'wr' | 'rw' | 'rt';

interface Edge {
  readonly to: number;
  readonly kind: EdgeKind;
  readonly why: string;
}

/**
 * Checks transactions over append-only lists the way Elle does: the lists give the order of all writes, so
 * every dependency is known, and a cycle of them is an anomaly. With the edges of real time (one was over
 * before the other began) no cycle means strict serializable.
 */
export function checkTransactions(all: readonly TxnSeen[]): TxnVerdict {
  const writers = new Map<string, number>();
  for (const [i, txn] of all.entries()) {
    for (const { key, element } of txn.appends) {
      const name = `${key}\0${element}`;
      if (writers.has(name)) throw new Error(`recorder error: ${element} was appended twice`);
      writers.set(name, i);
    }
  }
  const orders = new Map<string, readonly string[]>();
  for (const { reads, outcome } of all) {
    if (outcome !== 'done') continue;
    for (const { key, elements } of reads) {
      if (elements.length > (orders.get(key)?.length ?? -1)) orders.set(key, elements);
    }
  }
  const flaw = flawOfLists(all, orders, writers);
  if (flaw !== null) return { result: 'violation', ...flaw };
  const graph = dependencies(all, orders, writers);
  const edges = graph.reduce((sum, out) => sum + out.length, 0);
  const withTime = addTime(all, graph);
  const found = anomalyIn(all, graph) ?? cycleIn(all, withTime, 'real-time');
  if (found !== null) return { result: 'violation', ...found };
  return { result: 'ok', transactions: all.length, edges };
}

interface Flaw {
  readonly anomaly: Anomaly;
  readonly reason: string;
}

/** What can be told list by list, before any graph. */
function flawOfLists(
  all: readonly TxnSeen[],
  orders: ReadonlyMap<string, readonly string[]>,
  writers: ReadonlyMap<string, number>,
): Flaw | null {
  for (const [key, order] of orders) {
    if (new Set(order).size < order.length) {
      return { anomaly: 'duplicate', reason: `${key} has an element twice: ${order.join(' ')}` };
    }
    for (const element of order) {
      const writer = writers.get(`${key}\0${element}`);
      if (writer === undefined) {
        return { anomaly: 'unwritten', reason: `${element} in ${key} was never appended` };
      }
      if ((all[writer] as TxnSeen).outcome === 'refused') {
        return { anomaly: 'G1a', reason: `${element} in ${key} is of a refused transaction` };
      }
    }
  }
  for (const { reads, name, outcome } of all) {
    if (outcome !== 'done') continue;
    for (const { key, elements } of reads) {
      const order = orders.get(key) ?? [];
      const at = elements.findIndex((element, i) => order[i] !== element);
      if (at < 0) continue;
      const reason = `${name} read ${elements[at]} at ${at} of ${key}, another read ${order[at]}`;
      return { anomaly: 'incompatible-order', reason };
    }
  }
  return lostIn(all, orders);
}

/** An append that was done before the longest read began has to be in it. */
function lostIn(
  all: readonly TxnSeen[],
  orders: ReadonlyMap<string, readonly string[]>,
): Flaw | null {
  const began = new Map<string, number>();
  for (const { reads, call, outcome } of all) {
    if (outcome !== 'done') continue;
    for (const { key, elements } of reads) {
      if (elements.length !== orders.get(key)?.length) continue;
      began.set(key, Math.max(began.get(key) ?? 0, call));
    }
  }
  for (const { appends, ret, outcome, name } of all) {
    if (outcome !== 'done') continue;
    for (const { key, element } of appends) {
      if (ret >= (began.get(key) ?? 0) || orders.get(key)?.includes(element)) continue;
      return { anomaly: 'lost', reason: `${element}, appended to ${key} by ${name}, is gone` };
    }
  }
  return null;
}

function dependencies(
  all: readonly TxnSeen[],
  orders: ReadonlyMap<string, readonly string[]>,
  writers: ReadonlyMap<string, number>,
): Edge[][] {
  const graph: Edge[][] = all.map(() => []);
  const link = (from: number | undefined, to: number | undefined, kind: EdgeKind, why: string) => {
    if (from === undefined || to === undefined || from === to) return;
    graph[from]?.push({ to, kind, why });
  };
  const writerOf = (key: string, element: string | undefined) =>
    element === undefined ? undefined : writers.get(`${key}\0${element}`);
  for (const [key, order] of orders) {
    for (let i = 1; i < order.length; i++) {
      const why = `${order[i]} follows ${order[i - 1]} in ${key}`;
      link(writerOf(key, order[i - 1]), writerOf(key, order[i]), 'ww', why);
    }
  }
  for (const [i, { reads, outcome }] of all.entries()) {
    if (outcome !== 'done') continue;
    for (const { key, elements } of reads) {
      const last = elements[elements.length - 1];
      const next = orders.get(key)?.[elements.length];
      link(writerOf(key, last), i, 'wr', `read ${last} in ${key}`);
      link(i, writerOf(key, next), 'rw', `read ${key} before ${next}`);
    }
  }
  return graph;
}

/**
 * The same graph with the order in time, over a chain of instants: a transaction points to the instant it
 * was over at, an instant to the next one and to what began after it. Linear in the transactions.
 */
function addTime(all: readonly TxnSeen[], graph: readonly Edge[][]): Edge[][] {
  const over = all
    .map(({ ret }, i) => ({ ret, i }))
    .filter(({ ret }) => Number.isFinite(ret))
    .sort((a, b) => a.ret - b.ret);
  const timed = graph.map((out) => out.slice());
  const instant = (at: number): number => all.length + at;
  for (const [at, { i, ret }] of over.entries()) {
    timed[i]?.push({ to: instant(at), kind: 'rt', why: `over at ${ret}` });
    const out: Edge[] = [];
    if (at + 1 < over.length) out.push({ to: instant(at + 1), kind: 'rt', why: 'time' });
    timed.push(out);
  }
  for (const [i, { call }] of all.entries()) {
    let low = 0;
    let high = over.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((over[middle] as { ret: number }).ret < call) low = middle + 1;
      else high = middle;
    }
    if (low > 0) timed[instant(low - 1)]?.push({ to: i, kind: 'rt', why: `began at ${call}` });
  }
  return timed;
}

/** The weakest kinds of edges that close a cycle name the anomaly. */
function anomalyIn(all: readonly TxnSeen[], graph: readonly Edge[][]): Flaw | null {
  const only = (...kinds: EdgeKind[]) =>
    graph.map((out) => out.filter(({ kind }) => kinds.includes(kind)));
  const g0 = cycleIn(all, only('ww'), 'G0');
  if (g0 !== null) return g0;
  const g1c = cycleIn(all, only('ww', 'wr'), 'G1c');
  if (g1c !== null) return g1c;
  const any = cycleIn(all, graph, 'G2');
  if (any === null) return null;
  const single = singleIn(graph);
  return single ? { ...any, anomaly: 'G-single' } : any;
}

/** Whether some cycle has exactly one anti-dependency: from its end back to its beginning by others only. */
function singleIn(graph: readonly Edge[][]): boolean {
  for (const [from, out] of graph.entries()) {
    for (const { to, kind } of out) {
      if (kind === 'rw' && reaches(graph, to, from)) return true;
    }
  }
  return false;
}

function reaches(graph: readonly Edge[][], from: number, wanted: number): boolean {
  const seen = new Set([from]);
  const stack = [from];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (at === wanted) return true;
    for (const { to, kind } of graph[at] ?? []) {
      if (kind === 'rw' || seen.has(to)) continue;
      seen.add(to);
      stack.push(to);
    }
  }
  return false;
}

/** Some cycle, described; null when there is none. Depth first, without recursion. */
function cycleIn(all: readonly TxnSeen[], graph: readonly Edge[][], anomaly: Anomaly): Flaw | null {
  const state = new Uint8Array(graph.length);
  for (let root = 0; root < graph.length; root++) {
    if (state[root] !== 0) continue;
    const path: { node: number; next: number }[] = [{ node: root, next: 0 }];
    state[root] = 1;
    while (path.length > 0) {
      const top = path[path.length - 1] as { node: number; next: number };
      const edge = graph[top.node]?.[top.next++];
      if (edge === undefined) {
        state[top.node] = 2;
        path.pop();
      } else if (state[edge.to] === 0) {
        state[edge.to] = 1;
        path.push({ node: edge.to, next: 0 });
      } else if (state[edge.to] === 1) {
        const from = path.findIndex(({ node }) => node === edge.to);
        return { anomaly, reason: describe(all, graph, path.slice(from)) };
      }
    }
  }
  return null;
}

function describe(
  all: readonly TxnSeen[],
  graph: readonly Edge[][],
  path: readonly { node: number; next: number }[],
): string {
  const steps: string[] = [];
  for (const { node, next } of path) {
    const edge = graph[node]?.[next - 1] as Edge;
    const name = all[node]?.name;
    if (name !== undefined || edge.to < all.length) {
      steps.push(`${name ?? '...'} -${edge.kind}-> ${all[edge.to]?.name ?? '...'} (${edge.why})`);
    }
  }
  return steps.join('; ');
}
