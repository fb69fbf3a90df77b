import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Operation } from '../client/job.ts';
import { startMinikv } from '../peers/minikv.ts';
import type { ProfileFound } from '../results.ts';
import { LoadedPeer } from '../workloads/load.ts';
import { type CpuProfile, sliceOf, summaryOfProfile } from './summary.ts';

/** Where the CPU goes in each hot path: a node of its own for each, under V8's profiler. */

interface HotPath {
  readonly name: string;
  readonly nodes: 1 | 3;
  readonly connections: number;
  readonly operation: Operation;
}

const PATHS: readonly HotPath[] = [
  { name: 'put-64', nodes: 1, connections: 64, operation: { kind: 'put' } },
  { name: 'get-64', nodes: 1, connections: 64, operation: { kind: 'get' } },
  { name: 'batch-1000', nodes: 1, connections: 4, operation: { kind: 'batch', size: 1_000 } },
  { name: 'scan-100', nodes: 1, connections: 16, operation: { kind: 'scan', limit: 100 } },
  { name: 'put-64-three-nodes', nodes: 3, connections: 64, operation: { kind: 'put' } },
];
const WARM_MS = 3_000;

export interface Profiled {
  readonly found: ProfileFound;
  /** The profile itself, gzipped. */
  readonly gzip: Buffer;
}

export async function runProfiles(options: {
  readonly nodes: readonly number[];
  readonly seconds: number;
  readonly seed: number;
  readonly folder: string;
  readonly say: (line: string) => void;
}): Promise<Profiled[]> {
  const done: Profiled[] = [];
  for (const path of PATHS.filter(({ nodes }) => options.nodes.includes(nodes))) {
    const profile = await profileOf(path, options);
    const found = summaryOfProfile(path.name, profile);
    const first = found.self[0];
    options.say(`profile of ${path.name}: most in ${first?.name}, ${first?.share}`);
    done.push({ found, gzip: gzipSync(JSON.stringify(profile), { level: 9 }) });
  }
  return done;
}

/** The first node's profile, of the measured time only. */
async function profileOf(
  { name, nodes, connections, operation }: HotPath,
  { seconds, seed, folder }: { seconds: number; seed: number; folder: string },
): Promise<CpuProfile> {
  const own = join(folder, name);
  const profiles = join(own, 'profiles');
  mkdirSync(profiles, { recursive: true });
  const nodeFlags = ['--cpu-prof', `--cpu-prof-dir=${profiles}`];
  const peer = await startMinikv({ nodes, folder: own, nodeFlags });
  const loaded = new LoadedPeer(peer);
  const pid = peer.nodes[0]?.pid;
  try {
    await loaded.fill(seed);
    const windowMs = seconds * 1000;
    const endsUs: number[] = [];
    await loaded.run({ operation, connections, seed, windowMs, warmupMs: WARM_MS }, () => {
      endsUs.push(clockUs());
    });
    endsUs.push(clockUs());
    // An orderly stop makes Node write the profile.
    await Promise.all(peer.nodes.map((node) => node.stop()));
    const file = readdirSync(profiles).find((found) => found.includes(`.${pid}.`));
    if (file === undefined) throw new Error(`no profile of ${name} was written`);
    const profile = JSON.parse(readFileSync(join(profiles, file), 'utf8')) as CpuProfile;
    return sliceOf(profile, endsUs[0] as number, endsUs[1] as number);
  } finally {
    await loaded.close();
  }
}

/** V8 stamps profiles with the same monotonic clock. */
function clockUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
