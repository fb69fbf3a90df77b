import { readdirSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ProcessCluster } from '../../test/kit/process-cluster.ts';
import { type Bound, judge, laterHalf, type Verdict } from './flatness.ts';
import { fill, type LoadCounts, SoakLoad } from './load.ts';

const INSIDE = fileURLToPath(new URL('inside.mjs', import.meta.url));
const MB = 1e6;

/** One node at one moment. Memory in MB, lag as p99 of the event loop in ms since the last sample. */
export interface Sample {
  readonly minute: number;
  readonly rss: number;
  /** After a full collection. */
  readonly heap: number;
  readonly external: number;
  readonly handles: number;
  readonly sockets: number;
  readonly lag: number;
}

export type Figure = Exclude<keyof Sample, 'minute'>;

/**
 * What is flat, in the later half of a run. Heap and handles are what a leak shows in first; RSS follows
 * with what allocators keep, and the lag of a shared machine is its neighbours' as well.
 */
export type Bounds = Readonly<Record<Figure, Bound>>;

export const BOUNDS: Bounds = {
  // The log grows in memory, too, until a checkpoint cuts it: up to walCheckpointBytes, over minutes.
  rss: { slopeMax: 2, noise: 40 },
  heap: { slopeMax: 1, noise: 4 },
  external: { slopeMax: 1, noise: 66 },
  handles: { slopeMax: 1, noise: 8 },
  sockets: { slopeMax: 1, noise: 10 },
  lag: { slopeMax: 2, noise: 20 },
};

export interface NodeResult {
  readonly node: string;
  readonly samples: readonly Sample[];
  readonly verdicts: Readonly<Record<Figure, Verdict>>;
  /** Sockets before the load and a while after it: what is left belongs to nobody. */
  readonly socketsLeft: number;
}

export interface SoakResult {
  readonly minutes: number;
  readonly counts: LoadCounts;
  readonly nodes: readonly NodeResult[];
  readonly flaws: readonly string[];
}

export interface SoakOptions {
  readonly nodes: number;
  readonly minutes: number;
  readonly perSecond: number;
  /** Changes written before the load, in equal parts through each node; every node has all of them. */
  readonly fill: number;
  /** BOUNDS are meant for ten minutes; a short run has caches to fill. */
  readonly bounds?: Bounds;
  readonly say: (line: string) => void;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** Longer than a keep-alive connection is kept without a request, and than a heartbeat of a dead watch. */
const SETTLE_MS = 20_000;

/** Mixed load on a cluster of the build; what must stay flat does, or is named in `flaws`. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { nodes, minutes, perSecond, say } = options;
  const cluster = await ProcessCluster.start({
    nodes,
    nodeFlags: ['--expose-gc', '--import', INSIDE],
    // The data has to stay as much as it is: within ten minutes old versions come and go.
    env: { MINIKV_RETENTION_SECONDS: '60' },
  });
  try {
    const samples: Sample[][] = Array.from({ length: nodes }, () => []);
    const idle = await Promise.all(samples.map((_, index) => sampleOf(cluster, index, 0)));
    for (const url of cluster.urls()) await fill(url, Math.ceil(options.fill / nodes));
    const load = new SoakLoad(cluster.urls(), perSecond);
    const startMs = performance.now();
    const everyMs = Math.max(1_000, (minutes * 60_000) / 120);
    for (;;) {
      await sleep(everyMs);
      const minute = (performance.now() - startMs) / 60_000;
      for (const [index, known] of samples.entries()) {
        known.push(await sampleOf(cluster, index, minute));
      }
      say(progressLine(minute, load.counts, samples));
      if (minute >= minutes) break;
    }
    await load.stop();
    await sleep(SETTLE_MS);
    const results = await Promise.all(
      samples.map(async (known, index) => {
        const after = await sampleOf(cluster, index, minutes);
        return nodeResult(
          cluster.node(index).id,
          known,
          after.sockets - idle[index]!.sockets,
          options.bounds,
        );
      }),
    );
    return { minutes, counts: load.counts, nodes: results, flaws: flawsOf(results, load.counts) };
  } finally {
    await cluster.dispose();
  }
}

async function sampleOf(cluster: ProcessCluster, index: number, minute: number): Promise<Sample> {
  const inside = (await cluster.ask(index, 'sample')) as {
    readonly [name in 'lagMs' | 'rss' | 'heapUsed' | 'external']: number;
  };
  const { handles, sockets } = handlesOf(cluster.node(index).pid);
  return {
    ...{ minute, handles, sockets, lag: inside.lagMs },
    ...{ rss: inside.rss / MB, heap: inside.heapUsed / MB, external: inside.external / MB },
  };
}

/** Open files and sockets of a process; zeros where there is no /proc. */
function handlesOf(pid: number | null): { handles: number; sockets: number } {
  if (pid === null || process.platform !== 'linux') return { handles: 0, sockets: 0 };
  let handles = 0;
  let sockets = 0;
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      if (readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:')) sockets++;
      else handles++;
    } catch {
      // Closed in between.
    }
  }
  return { handles, sockets };
}

export const FIGURES = Object.keys(BOUNDS) as Figure[];

export function nodeResult(
  node: string,
  samples: readonly Sample[],
  socketsLeft: number,
  bounds: Bounds = BOUNDS,
): NodeResult {
  const later = laterHalf(samples);
  const verdicts = Object.fromEntries(
    FIGURES.map((figure) => {
      const points = later.map((sample) => ({ minute: sample.minute, value: sample[figure] }));
      return [figure, judge(points, bounds[figure])];
    }),
  ) as Record<Figure, Verdict>;
  return { node, samples, verdicts, socketsLeft };
}

const SOCKETS_LEFT_MAX = 2;
/** A run in which little succeeded has shown nothing. */
const OK_SHARE_MIN = 0.98;

export function flawsOf(results: readonly NodeResult[], counts: LoadCounts): string[] {
  const flaws: string[] = [];
  for (const { node, verdicts, socketsLeft } of results) {
    for (const figure of FIGURES) {
      const { isFlat, slopePerMinute, last } = verdicts[figure];
      if (isFlat) continue;
      const growth = `${slopePerMinute.toFixed(2)} per minute, ${last.toFixed(1)} at the end`;
      flaws.push(`${node}: ${figure} grows by ${growth}`);
    }
    if (socketsLeft > SOCKETS_LEFT_MAX) flaws.push(`${node}: ${socketsLeft} sockets are left`);
  }
  const asked = counts.ok + counts.refused + counts.failed;
  if (counts.ok < asked * OK_SHARE_MIN || asked === 0) {
    flaws.push(`${counts.ok} of ${asked} operations were answered`);
  }
  if (counts.events === 0) flaws.push('no watcher saw an event');
  return flaws;
}

function progressLine(minute: number, counts: LoadCounts, samples: readonly Sample[][]): string {
  const now = samples.map((known) => {
    const { rss, heap, handles, sockets, lag } = known.at(-1) as Sample;
    const memory = `rss ${rss.toFixed(0)} heap ${heap.toFixed(1)} MB`;
    return `${memory}, ${handles} files, ${sockets} sockets, lag ${lag.toFixed(0)} ms`;
  });
  return `${minute.toFixed(1)} min  ${counts.ok} ok ${counts.refused + counts.failed} not  ${now.join(' | ')}`;
}
