import type { ProfileFound, ProfileRow } from '../results.ts';

/** What V8 writes with --cpu-prof, as far as it is used here. Times are microseconds. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly startTime: number;
  readonly endTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface ProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
  };
  readonly children?: readonly number[];
}

/** Functions that say only where the stack ends. */
const OUTER = new Set(['(root)', '(idle)']);

/** Only the samples from `startUs` to `endUs` on V8's clock. URLs become paths inside the repository. */
export function sliceOf(profile: CpuProfile, startUs: number, endUs: number): CpuProfile {
  const samples: number[] = [];
  const timeDeltas: number[] = [];
  let atUs = profile.startTime;
  for (const [i, sample] of profile.samples.entries()) {
    const delta = profile.timeDeltas[i] as number;
    atUs += delta;
    if (atUs < startUs || atUs > endUs) continue;
    samples.push(sample);
    timeDeltas.push(delta);
  }
  const nodes = kept(profile.nodes, new Set(samples)).map(({ id, callFrame, children }) => {
    const { functionName, lineNumber } = callFrame;
    const frame = { functionName, url: placeOf(callFrame.url), lineNumber };
    return { id, callFrame: frame, ...(children === undefined ? {} : { children }) };
  });
  return { nodes, startTime: startUs, endTime: endUs, samples, timeDeltas };
}

/** The nodes on the way to what was sampled. */
function kept(nodes: readonly ProfileNode[], sampled: ReadonlySet<number>): ProfileNode[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const found: ProfileNode[] = [];
  const visit = (node: ProfileNode): boolean => {
    const at = found.push(node) - 1;
    const children = (node.children ?? []).filter((id) => visit(byId.get(id) as ProfileNode));
    if (children.length === 0 && !sampled.has(node.id)) {
      found.length = at;
      return false;
    }
    found[at] = { ...node, children };
    return true;
  };
  visit(nodes[0] as ProfileNode);
  return found;
}

/** `actors/raft/decide.js`, `fastify/lib/reply.js`, `node:internal/...`: no folder of a machine. */
function placeOf(url: string): string {
  const own = /\/dist\/(.+)$/.exec(url);
  const library = /\/node_modules\/(?!.*\/node_modules\/)(.+)$/.exec(url);
  if (library !== null) return library[1] as string;
  if (own !== null) return own[1] as string;
  return url.startsWith('file:') || url.startsWith('/') ? (url.split('/').pop() as string) : url;
}

/** Shares of the CPU time, idle time left out; the largest `rowsMax` of each. */
export function summaryOfProfile(path: string, profile: CpuProfile, rowsMax = 30): ProfileFound {
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const ownUs = new Map<number, number>();
  for (const [i, sample] of profile.samples.entries()) {
    ownUs.set(sample, (ownUs.get(sample) ?? 0) + (profile.timeDeltas[i] as number));
  }
  const self = new Map<string, number>();
  const inclusive = new Map<string, number>();
  const add = (to: Map<string, number>, name: string, us: number): void => {
    to.set(name, (to.get(name) ?? 0) + us);
  };
  /** A function that calls itself counts once. */
  const walk = (node: ProfileNode, above: ReadonlySet<string>): number => {
    const name = nameOf(node);
    const isOuter = OUTER.has(node.callFrame.functionName);
    const own = node.callFrame.functionName === '(idle)' ? 0 : (ownUs.get(node.id) ?? 0);
    const within = above.has(name) ? above : new Set([...above, name]);
    let us = own;
    for (const id of node.children ?? []) us += walk(byId.get(id) as ProfileNode, within);
    if (!isOuter) add(self, name, own);
    if (!isOuter && !above.has(name)) add(inclusive, name, us);
    return us;
  };
  const totalUs = walk(profile.nodes[0] as ProfileNode, new Set());
  return {
    path,
    seconds: Number((totalUs / 1e6).toFixed(2)),
    self: rowsOf(self, totalUs, rowsMax),
    inclusive: rowsOf(inclusive, totalUs, rowsMax),
  };
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  return url === '' ? name : `${name} ${url}:${lineNumber + 1}`;
}

function rowsOf(us: ReadonlyMap<string, number>, totalUs: number, rowsMax: number): ProfileRow[] {
  return [...us]
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .slice(0, rowsMax)
    .filter(([, own]) => own > 0)
    .map(([name, own]) => ({ name, share: Number((own / totalUs).toFixed(4)) }));
}
