import { ClientProcess } from '../client/client-process.ts';
import type { Job, Operation } from '../client/job.ts';
import type { WorkloadName } from '../options.ts';
import type { Peer } from '../peers/peer.ts';
import type { Cell, Sample } from '../results.ts';
import { cpuSecondsOf, machineCpuSeconds } from '../system/process-use.ts';

/** Closed loops over several peers in turn: A B C A B C ..., so that a slow minute slows all. */

export const VALUE_BYTES = 100;
/** Keys that exist in load workloads. */
export const KEYS = 10_000;
const FILL_BATCH = 1_000;
const FILL_CONNECTIONS = 8;
const WARM_CONNECTIONS = 64;
/** As long as so many measurements. */
const WARM_WINDOWS = 2;
/** Filling is no measurement: a node that has just started may refuse. */
const FILL_ATTEMPTS = 3;

export interface CellPlan {
  readonly workload: WorkloadName;
  readonly name: string;
  readonly nodes: number;
  readonly connections: number;
  readonly operation: Operation;
}

export interface LoadSettings {
  readonly rounds: number;
  readonly seconds: number;
  readonly seed: number;
  readonly say: (line: string) => void;
}

/** A peer with the client process that asks it. */
export class LoadedPeer {
  readonly peer: Peer;
  readonly #client = new ClientProcess();
  readonly #keys: number;

  constructor(peer: Peer, keys = KEYS) {
    this.peer = peer;
    this.#keys = keys;
  }

  /** Writes every key, in up to three attempts. Throws when one cannot be written. */
  async fill(seed: number, from = 0, to = this.#keys): Promise<number> {
    if (!this.peer.can('fill', FILL_CONNECTIONS)) return 0;
    const operation = { kind: 'fill', size: FILL_BATCH, from, to } as const;
    for (let attempt = 1; ; attempt++) {
      const sample = await this.run({
        ...{ operation, connections: FILL_CONNECTIONS, seed, windowMs: 0, warmupMs: 0 },
      });
      if (sample.flaw === null) return sample.keysPerSecond;
      if (attempt === FILL_ATTEMPTS) {
        throw new Error(`${this.peer.name} was not filled: ${sample.flaw}`);
      }
    }
  }

  /** Half puts, half gets, not measured: code is compiled, caches are filled. Every server gets it. */
  async warm({ seconds, seed }: LoadSettings): Promise<void> {
    if (!this.peer.can('mix', WARM_CONNECTIONS)) return;
    await this.run({
      ...{ operation: { kind: 'mix', putShare: 0.5 }, connections: WARM_CONNECTIONS, seed },
      ...{ warmupMs: 0, windowMs: seconds * WARM_WINDOWS * 1000 },
    });
  }

  async measure(plan: CellPlan, round: number, settings: LoadSettings): Promise<Sample> {
    const { connections, operation } = plan;
    const windowMs = settings.seconds * 1000;
    const seed = settings.seed * 1000 + round;
    // The first round also waits for the compiler, where a server has one.
    const warmupMs = Math.min(round === 1 ? 1_200 : 600, windowMs);
    const sample = await this.run({ operation, connections, seed, windowMs, warmupMs });
    return { ...sample, round };
  }

  async close(): Promise<void> {
    this.#client.close();
    await this.peer.stop();
  }

  /** One job against this peer, as round 0. */
  async run(
    of: Omit<Job, 'dialect' | 'targets' | 'keys' | 'valueBytes'>,
    onWindow: () => void = () => {},
  ): Promise<Sample> {
    const { name, dialect, targets, file } = this.peer;
    const job: Job = {
      ...{ dialect, targets, ...(file === undefined ? {} : { file }) },
      ...{ ...of, keys: this.#keys, valueBytes: VALUE_BYTES },
    };
    let before: number | null = null;
    let machineBefore: number | null = null;
    const result = await this.#client.run(job, () => {
      before = cpuSecondsOf(this.peer.pids());
      machineBefore = machineCpuSeconds();
      onWindow();
    });
    const after = cpuSecondsOf(this.peer.pids());
    const machineAfter = machineCpuSeconds();
    const { seconds, errors, firstError } = result;
    const own = (before === null || after === null ? 0 : after - before) + result.clientCpuSeconds;
    const machine =
      machineBefore === null || machineAfter === null ? null : machineAfter - machineBefore;
    const flaw = errors > 0 ? `${errors} errors, first: ${firstError}` : null;
    return {
      ...{ peer: name, round: 0, flaw, latency: result.latency },
      requestsPerSecond: result.requests / seconds,
      keysPerSecond: result.keys / seconds,
      serverCpu: before === null || after === null ? null : (after - before) / seconds,
      clientCpu: result.clientCpuSeconds / seconds,
      othersCpu: machine === null ? null : Math.max(0, (machine - own) / seconds),
    };
  }
}

/** One cell over all peers that can do it. */
export async function measureCell(
  plan: CellPlan,
  peers: readonly LoadedPeer[],
  settings: LoadSettings,
): Promise<Cell> {
  const able = peers.filter(({ peer }) => peer.can(plan.operation.kind, plan.connections));
  const samples: Sample[] = [];
  for (let round = 1; round <= settings.rounds; round++) {
    for (const peer of able) samples.push(await peer.measure(plan, round, settings));
  }
  return { ...plan, samples };
}
