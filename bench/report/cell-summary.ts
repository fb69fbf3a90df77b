import type { Cell, Sample } from '../results.ts';
import { median, ratioOf, type Spread, spreadOf } from './statistics.ts';

/** A peer's figures in one cell, over the rounds that are not void. */
export interface PeerSummary {
  readonly peer: string;
  readonly rate: Spread;
  readonly p50Us: Spread;
  readonly p99Us: number;
  readonly maxUs: number;
  /** Requests or keys for each CPU second of all server processes; null where unknown. */
  readonly perCpuSecond: number | null;
  readonly serverCpu: number | null;
  readonly clientCpu: number;
  /** The client had no CPU left: a faster server would have shown a higher rate. */
  readonly isClientBound: boolean;
  readonly voidRounds: number;
}

const CLIENT_BOUND = 0.9;

/** Keys for workloads of many keys a request, else requests. */
export function rateOf(cell: Cell, sample: Sample): number {
  const { kind } = cell.operation;
  const isMany = kind === 'batch' || kind === 'fill' || kind === 'scan-all';
  return isMany ? sample.keysPerSecond : sample.requestsPerSecond;
}

export function peersOf(cell: Cell): string[] {
  return [...new Set(cell.samples.map(({ peer }) => peer))];
}

/** Null when every round was void. */
export function summaryOf(cell: Cell, peer: string): PeerSummary | null {
  const all = cell.samples.filter((sample) => sample.peer === peer);
  const samples = all.filter(({ flaw }) => flaw === null);
  if (samples.length === 0) return null;
  const rates = samples.map((sample) => rateOf(cell, sample));
  const perCpu = samples.map((sample) =>
    sample.serverCpu === null || sample.serverCpu === 0
      ? null
      : rateOf(cell, sample) / sample.serverCpu,
  );
  const clientCpu = median(samples.map((sample) => sample.clientCpu));
  return {
    peer,
    rate: spreadOf(rates),
    p50Us: spreadOf(samples.map(({ latency }) => latency.p50Us)),
    p99Us: median(samples.map(({ latency }) => latency.p99Us)),
    maxUs: Math.max(...samples.map(({ latency }) => latency.maxUs)),
    perCpuSecond: perCpu.includes(null) ? null : median(perCpu as number[]),
    serverCpu: perCpu.includes(null) ? null : median(samples.map((s) => s.serverCpu as number)),
    clientCpu,
    isClientBound: clientCpu > CLIENT_BOUND,
    voidRounds: all.length - samples.length,
  };
}

/** CPU seconds in a second that other programs took during all measurements; null where unknown. */
export function othersOf(cells: readonly Cell[]): Spread | null {
  const found = cells.flatMap(({ samples }) => samples.map(({ othersCpu }) => othersCpu));
  const known = found.filter((value) => value !== null);
  return known.length === 0 ? null : spreadOf(known);
}

/** More of others than this, and the figures are of a machine that had other things to do. */
export const OTHERS_MAX = 0.3;

/** Our rate to theirs, round by round. */
export function rateRatio(cell: Cell, ours: string, theirs: string): Spread | null {
  return ratioOf(byRound(cell, ours, rateOf), byRound(cell, theirs, rateOf));
}

/** Our median latency to theirs, round by round. */
export function latencyRatio(cell: Cell, ours: string, theirs: string): Spread | null {
  const p50 = (_: Cell, { latency }: Sample): number => latency.p50Us;
  return ratioOf(byRound(cell, ours, p50), byRound(cell, theirs, p50));
}

function byRound(
  cell: Cell,
  peer: string,
  read: (cell: Cell, sample: Sample) => number,
): Map<number, number> {
  const samples = cell.samples.filter((s) => s.peer === peer && s.flaw === null);
  return new Map(samples.map((sample) => [sample.round, read(cell, sample)]));
}
