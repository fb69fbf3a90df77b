import { tornTransaction } from '../check/all-or-nothing.ts';
import { checkBank } from '../check/bank.ts';
import type { Operation } from '../check/history.ts';
import { checkLinearizability } from '../check/linearizability.ts';
import { checkLists } from '../check/list-append.ts';
import { flawOfFencing, flawOfLocks } from '../check/locks.ts';
import { checkSets } from '../check/sets.ts';
import { type AckedWrite, checkSnapshotReads } from '../check/snapshot-read.ts';
import { checkTransactions } from '../check/transactions.ts';
import { type Change, Truth } from '../check/truth.ts';
import { checkWatchers, type WatcherSeen } from '../check/watch.ts';
import type { History } from './history-file.ts';
import { BANK } from './workload/bank.ts';
import { lockKeyOf } from './workload/locks.ts';

/**
 * Something that is wrong with a run: a promise of consistency that was broken, what could not be shown to be
 * right (`unknown`), or nodes that were level too late after a fault, or never (`late`).
 */
export interface Finding {
  readonly result: 'violation' | 'unknown' | 'late';
  readonly checker: string;
  readonly reason: string;
  /** The time it is about, ms of the history's clock; a key's whole life where nothing is narrower. */
  readonly from: number;
  readonly to: number;
}

/** Runs every checker over a run. All nodes must be level `levelMs` after a fault. Nothing found is good. */
export function judge(history: History, levelMs: number): Finding[] {
  const found: Finding[] = [];
  for (const { what, at } of history.flaws) {
    found.push({ result: 'violation', checker: 'nemesis', reason: what, from: at, to: at });
  }
  found.push(
    ...judgeConvergence(history, levelMs),
    ...judgeRegisters(history),
    ...judgeCollections(history),
    ...judgeTransactions(history),
  );
  if (history.endRevision === null) {
    const reason = 'the store could not be read after the last fault';
    found.push({ result: 'unknown', checker: 'truth', reason, from: 0, to: Infinity });
    return found;
  }
  found.push(...judgeTruth(history, history.endRevision));
  return found;
}

function judgeConvergence({ faults }: History, levelMs: number): Finding[] {
  return faults.flatMap(({ number, kind, what, start, end, silenced, converged, open }) => {
    if (converged !== null && converged - end <= levelMs) return [];
    const took = converged === null ? 'never' : `only after ${Math.round(converged - end)} ms`;
    const why = open === undefined ? '' : `: ${open}`;
    const reason = `after fault ${number}, ${kind} ${what}, the nodes were level ${took}${why}`;
    const to = converged ?? silenced;
    return [{ result: 'late' as const, checker: 'convergence', reason, from: start, to }];
  });
}

function judgeRegisters({ operations }: History): Finding[] {
  const byKey = new Map<string, Operation[]>();
  for (const op of operations) {
    const ops = byKey.get(op.key);
    if (ops === undefined) byKey.set(op.key, [op]);
    else ops.push(op);
  }
  const found: Finding[] = [];
  for (const [key, ops] of byKey) {
    const verdict = checkLinearizability(ops);
    if (verdict.result === 'ok') continue;
    const from = ops.reduce((first, { call }) => Math.min(first, call), Infinity);
    const to = ops.reduce((last, { call }) => Math.max(last, call), 0);
    const reason = `${key}: ${verdict.reason}`;
    found.push({ result: verdict.result, checker: 'linearizability', reason, from, to });
  }
  return found;
}

function judgeCollections({ appends, lists, adds, sets }: History): Finding[] {
  const found: Finding[] = [];
  const list = checkLists(appends, lists);
  if (list.result === 'violation') {
    found.push(violation('lists', `${list.key}: ${list.reason}`, list.at));
  }
  const set = checkSets(adds, sets);
  if (set.result === 'violation') {
    found.push(violation('sets', `${set.set}: ${set.reason}`, set.at));
  }
  return found;
}

/** What clients saw of transactions, by itself. */
function judgeTransactions({ txns, locks }: History): Finding[] {
  const found: Finding[] = [];
  const verdict = checkTransactions(txns);
  if (verdict.result === 'violation') {
    found.push(violation('transactions', `${verdict.anomaly}: ${verdict.reason}`, null));
  }
  const flaw = flawOfLocks(locks);
  if (flaw !== null) found.push(violation('locks', flaw.reason, flaw.at));
  return found;
}

/** The same against the whole history. */
function judgeTogether({ banks, together }: History, changes: readonly Change[]): Finding[] {
  const found: Finding[] = [];
  const bank = checkBank(BANK, banks, changes);
  if (bank.result === 'violation') found.push(violation('bank', bank.reason, bank.at));
  const torn = tornTransaction(together, changes);
  if (torn !== null) found.push(violation('all or nothing', torn.reason, torn.at));
  const fencing = flawOfFencing(changes, lockKeyOf);
  if (fencing !== null) found.push(violation('fencing', fencing, null));
  return found;
}

/** What needs the whole history: answers, scans and watches against it, and itself. */
function judgeTruth(history: History, end: number): Finding[] {
  const found: Finding[] = [];
  const truth = new Truth(history.truth);
  const flaw = truth.flaw();
  if (flaw !== null) found.push(violation('truth', flaw, null));
  found.push(...judgeAnswers(history, truth.changes), ...judgeTogether(history, truth.changes));
  const acked: AckedWrite[] = [];
  for (const { output, ret } of history.operations) {
    const isWrite = output?.type === 'put' || (output?.type === 'deleted' && output.deleted);
    if (isWrite) acked.push({ revision: output.revision, ret });
  }
  const scans = checkSnapshotReads(truth, history.scans, acked);
  if (scans.result === 'violation') found.push(violation('scans', scans.reason, null));
  const watches = checkWatchers(truth, upTo(history.watchers, end));
  if (watches.result === 'violation') {
    found.push(violation('watches', `${watches.watcher}: ${watches.reason}`, null));
  }
  return found;
}

/** What was seen at or below the revision up to which the history is known. */
function upTo(watchers: readonly WatcherSeen[], end: number): WatcherSeen[] {
  return watchers.map((watcher) => ({
    ...watcher,
    sessions: watcher.sessions.map(({ start, messages }) => ({
      start,
      messages: messages.filter((message) => !('revision' in message) || message.revision <= end),
    })),
  }));
}

/** Acknowledged: in the history once, at the revision told. Refused: not in it. Anything: at most once. */
function judgeAnswers(history: History, changes: readonly Change[]): Finding[] {
  const found: Finding[] = [];
  const puts = new Map<string, Change>();
  for (const change of changes) {
    // Keys with an underscore are the product's own: places in the line for a lock have no values.
    if (change.kind !== 'put' || change.value === null || change.ref.key[0] === '_') continue;
    const earlier = puts.get(change.value);
    if (earlier !== undefined) {
      const reason = `${change.value} was applied twice: @${earlier.revision} and @${change.revision}`;
      found.push(violation('answers', reason, null));
    }
    puts.set(change.value, change);
  }
  for (const { input, output, call, ret } of history.operations) {
    if (input.type !== 'put' || output === null) continue;
    const revision = puts.get(input.value)?.revision ?? null;
    const told = output.type === 'put' ? output.revision : null;
    if (revision === told) continue;
    const reason = `${input.value}: the client was told ${told}, the history has ${revision}`;
    found.push({ result: 'violation', checker: 'answers', reason, from: call, to: ret });
  }
  for (const { value, key, why, call } of history.refused) {
    if (!puts.has(value)) continue;
    found.push(violation('answers', `${value} of ${key} was refused (${why}), but is there`, call));
  }
  for (const { element, set, outcome, call } of history.adds) {
    if (outcome === 'unknown' || puts.has(element) === (outcome === 'done')) continue;
    const reason = `${element} of ${set} was ${outcome}, but ${puts.has(element) ? 'is' : 'is not'} there`;
    found.push(violation('answers', reason, call));
  }
  return found;
}

function violation(checker: string, reason: string, at: number | null): Finding {
  return { result: 'violation', checker, reason, from: at ?? 0, to: at ?? Infinity };
}
