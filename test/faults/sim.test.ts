import { describe, expect, it } from 'vitest';
import { runSimulator } from '../sim/child.ts';
import { runSeed } from '../sim/seed-run.ts';
import type { SimResult } from '../sim/simulate.ts';
import { type BusyKind, drawSwarm, type FaultKind, type SwarmConfig } from '../sim/swarm.ts';

/**
 * Rows met in virtual time: three nodes, one kind of fault again and again, and every property that
 * the simulator checks (linearizable reads, watches, applied once, equal states, convergence).
 * `npm run faults` runs four times as long.
 */
const SCALE = process.env['MINIKV_FAULTS'] === '1' ? 4 : 1;
const SECONDS = 30;

async function survives(
  faults: readonly FaultKind[],
  seeds: readonly number[],
  changes: Partial<SwarmConfig> = {},
  busy?: BusyKind,
): Promise<SimResult[]> {
  const results: SimResult[] = [];
  for (const seed of seeds) {
    const drawn = drawSwarm(seed, { nodeCount: 3, seconds: SECONDS * SCALE, faults, busy });
    // Fair weather, rough start off: what is seen comes from the fault. Often enough to matter.
    const weather = { ...drawn.weather, loss: 0, duplicate: 0, reorder: 0, latencyMsMin: 0.3 };
    const steady = { ...drawn, weather, roughStart: false, faultGapMsMean: 1_500 };
    const config = { ...steady, ...changes };
    const result = await runSeed(config, { mutant: null, verbose: false, sink: null });
    expect(result.failure, `seed ${seed}\n${result.lines.slice(-40).join('\n')}`).toBeNull();
    // A run in which nothing happened shows nothing.
    for (const kind of faults) expect(result.faults.get(kind) ?? 0, kind).toBeGreaterThan(0);
    expect(result.operations.ok).toBeGreaterThan(50);
    results.push(result);
  }
  return results;
}

describe('in virtual time', { timeout: 60_000 * SCALE }, () => {
  it('F03 symmetric partition: the minority never answers stale, the majority goes on', async () => {
    // Those on the wrong side are told so.
    for (const { operations } of await survives(['partition'], [3101, 3102])) {
      expect(operations.refused + operations.unknown).toBeGreaterThan(0);
    }
  });

  it('B21 B22 transactions over groups while coordinators die and clocks jump: no anomaly, no lock left', async () => {
    const faults = ['crashCoordinator', 'killLeader', 'clockJump'] as const;
    for (const { transactions } of await survives(faults, [2101], {}, 'transactions')) {
      expect(transactions.overGroups).toBeGreaterThan(20);
    }
  });

  it('B28 indexes are defined and dropped under load and faults: every replica has them from the same entry on', async () => {
    const faults = ['killLeader', 'transferLeader', 'partition'] as const;
    for (const { queries } of await survives(faults, [2802, 2803], {}, 'indexes')) {
      expect(queries).toBeGreaterThan(20);
    }
  });

  it('F04 partial partition: progress, and no storm of elections', async () => {
    for (const result of await survives(['partialPartition'], [3201, 3202])) {
      const cuts = result.faults.get('partialPartition') as number;
      // Pre-vote: at most a change of leader when the cut begins and one when it ends.
      expect(result.terms).toBeLessThanOrEqual(3 + 2 * cuts);
    }
  });

  it('F05 one-way cut: a leader that hears no quorum steps down and others go on', async () => {
    await survives(['oneWayCut'], [3301, 3302]);
  });

  it('F06 F30 links clog and burst after up to 13 s: late messages change nothing', async () => {
    await survives(['clog'], [3401, 3402]);
  });

  it('F07 30 % loss, repetition, delay and reordering: correct, only slower', async () => {
    const weather = {
      ...{ latencyMsMin: 30, jitterMsMean: 20, bytesPerMs: 100_000 },
      ...{ tellsAbsence: true, falseAbsence: 0 },
      ...{ loss: 0.3, duplicate: 0.3, reorder: 0.3, reorderMsMax: 100 },
    };
    // Slower indeed: elections of 400 to 800 ms beside round trips of 80 ms and more. So four times as long.
    await survives([], [3501], { weather, faults: new Map(), workMs: 4_000 * SECONDS * SCALE });
  });

  it('F30 swizzle: links cut one after another, in all ways at once, then mended: it converges', async () => {
    await survives(['partition', 'partialPartition', 'oneWayCut', 'clog'], [3601], {
      faultGapMsMean: 700,
    });
  });

  it('B25 hung disk: a leader whose fsync does not return is replaced, and nothing it says counts', async () => {
    const results = await survives(['hungSync'], [2501, 2502]);
    for (const { terms } of results) expect(terms).toBeGreaterThan(2);
  });

  it('F18 slow disk: nodes with 3 to 50 fsyncs a second, and everything stays correct', async () => {
    await survives(['slowSync'], [1801]);
  });

  it('F14 fsync fails: the process ends, its supervisor starts it again, nothing acknowledged is lost', async () => {
    await survives(['syncError'], [1401]);
  });

  it('F15 disk full in the middle of a write: cut back, refused, and recovered', async () => {
    await survives(['diskFull'], [1501, 1502]);
  });

  it('F19 clocks jump an hour or run at twice the speed: safety does not depend on them', async () => {
    await survives(['clockJump', 'clockDrift'], [1901, 1902]);
  });

  it('F20 B07 members replaced under kills, pauses and partitions: one history', async () => {
    const faults = new Map<FaultKind, number>([
      ['emptyDisk', 3],
      ['killLeader', 1],
      ['pause', 1],
      ['partition', 1],
    ]);
    const results = await survives([], [2003, 2004], { faults, faultGapMsMean: 800 });
    for (const result of results) expect(result.faults.get('emptyDisk') ?? 0).toBeGreaterThan(0);
  });

  it('F28 nodes with a tenth to a third of a processor, in slices of up to 2 s: one history', async () => {
    await survives(['slowCpu'], [2801, 2802]);
  });

  it('F06 B09 messages come again up to 13 s later, also to the next process: nothing applies twice', async () => {
    await survives(['lateRepeats', 'killAny'], [601, 602]);
  });

  it('F16 F17 writes fail for seconds: nothing that was acknowledged is lost, and it recovers', async () => {
    await survives(['writeError', 'killAny'], [1601, 1602]);
  });

  it('F23 answers dropped and requests repeated with their key: applied once, the same answer', async () => {
    const drawn = drawSwarm(2301, { nodeCount: 3, seconds: SECONDS * SCALE, faults: [] });
    const mix = { ...drawn.client.mix };
    for (const name of Object.keys(mix) as (keyof typeof mix)[]) mix[name] = 0.05;
    const client = { ...drawn.client, mix: { ...mix, putRepeated: 5, get: 2 }, thinkMsMean: 40 };
    await survives(['killLeader', 'isolateLeader', 'busDown'], [2301], { client });
  });

  it('B26 no fault, no election: a healthy cluster refuses nothing and keeps its leaders', async () => {
    const results = await survives([], [2601], { faults: new Map(), syncMsMean: 1 });
    for (const { operations, terms, codes } of results) {
      expect(terms).toBeLessThanOrEqual(3);
      expect(operations.unknown, [...codes].join(' ')).toBe(0);
    }
  });

  it('F21 F22 B12 B18 snapshots and checkpoints all the time, with crashes aimed at their steps', async () => {
    const faults = 'crashDuringSnapshot,crashBeforeSyncEnds,powerCutOne,killAny,laggardAfterLeader';
    const seconds = String(SECONDS * SCALE);
    const base = ['--small', '--nodes', '3', '--seconds', seconds, '--faults', faults];
    const { code, output } = await runSimulator([...base, '--seeds', '2101..2102']);
    expect(code, output.slice(-6000)).toBe(0);
    expect(output.match(/^seed \d+: ok/gm)?.length).toBe(2);
  });
});
