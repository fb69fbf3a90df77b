import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { PutsSeen } from '../check/all-or-nothing.ts';
import type { BankSeen } from '../check/bank.ts';
import type { Operation } from '../check/history.ts';
import type { AppendSeen, ListSeen } from '../check/list-append.ts';
import type { LockSeen } from '../check/locks.ts';
import type { AddSeen, SetSeen } from '../check/sets.ts';
import type { ScanSeen } from '../check/snapshot-read.ts';
import type { TxnSeen } from '../check/transactions.ts';
import type { Change } from '../check/truth.ts';
import type { WatcherSeen, WatchSession } from '../check/watch.ts';

/** A fault as it happened. Times are of the machine's monotonic clock in ms, as in operations. */
export interface FaultSeen {
  readonly number: number;
  readonly kind: string;
  readonly what: string;
  readonly start: number;
  /** When it was taken away again. */
  readonly end: number;
  /** When the workload had recovered and was silenced, so that the nodes could become level. */
  readonly silenced: number;
  /** When all nodes were level; null: never. */
  readonly converged: number | null;
  /** Why they never were. */
  readonly open?: string;
}

/** A transaction that was asked for, and what came of it. */
export interface TxnEnded {
  /** `refused`: a compare failed, others were in the way, or nobody could serve it. */
  readonly outcome: 'done' | 'refused' | 'unknown';
  readonly operations: number;
  /** How many groups have keys of it. */
  readonly groups: number;
  readonly at: number;
}

/** A put that its client was told certainly did not happen. */
export interface Refused {
  readonly key: string;
  readonly value: string;
  readonly why: string;
  readonly call: number;
}

/** Something no history is needed for: an answer that must never be given, replicas that differ. */
export interface Flaw {
  readonly what: string;
  readonly at: number;
}

type Watched = WatchSession['messages'][number];

/** One line of a history file. */
export type HistoryLine =
  | { readonly t: 'run'; readonly seed: number; readonly started: number }
  /** Every request's end, for rates and gaps. */
  | { readonly t: 'answer'; readonly at: number; readonly ok: boolean; readonly operations: number }
  | { readonly t: 'op'; readonly op: Operation }
  | { readonly t: 'refused'; readonly put: Refused }
  | { readonly t: 'append'; readonly append: AppendSeen }
  | { readonly t: 'list'; readonly list: ListSeen }
  | { readonly t: 'add'; readonly add: AddSeen }
  | { readonly t: 'set'; readonly set: SetSeen }
  | { readonly t: 'scan'; readonly scan: ScanSeen }
  | { readonly t: 'transaction'; readonly ended: TxnEnded }
  | { readonly t: 'puts'; readonly puts: PutsSeen }
  | { readonly t: 'txn'; readonly txn: TxnSeen }
  | { readonly t: 'bank'; readonly bank: BankSeen }
  | { readonly t: 'lock'; readonly lock: LockSeen }
  | { readonly t: 'watcher'; readonly name: string; readonly prefix: string }
  | { readonly t: 'session'; readonly name: string; readonly start: WatchSession['start'] }
  | { readonly t: 'seen'; readonly name: string; readonly seen: Watched }
  | { readonly t: 'truth'; readonly change: Change }
  | { readonly t: 'end'; readonly revision: number }
  | { readonly t: 'fault'; readonly fault: FaultSeen }
  | { readonly t: 'flaw'; readonly flaw: Flaw };

/** A request has ended, with what was asked for or not. */
export interface Ended {
  readonly at: number;
  readonly ok: boolean;
  /** More than one in a batch. */
  readonly operations: number;
}

/** A whole run, as read back. */
export interface History {
  seed: number;
  started: number;
  /** When requests ended, and which of them with what was asked for. */
  answers: Ended[];
  operations: Operation[];
  refused: Refused[];
  appends: AppendSeen[];
  lists: ListSeen[];
  adds: AddSeen[];
  sets: SetSeen[];
  scans: ScanSeen[];
  transactions: TxnEnded[];
  /** What transactions put, all or nothing. */
  together: PutsSeen[];
  /** Transactions over lists. */
  txns: TxnSeen[];
  banks: BankSeen[];
  locks: LockSeen[];
  watchers: WatcherSeen[];
  /** Every change up to `endRevision`, from the store itself after the last fault; null: not read. */
  truth: Change[];
  endRevision: number | null;
  faults: FaultSeen[];
  flaws: Flaw[];
}

const TENANT = { tenant: 'default', space: 'kv' } as const;

/** Infinity has no JSON; a return time of null is one. */
export function encodeLine(line: HistoryLine): string {
  return `${JSON.stringify(line)}\n`;
}

function decodeLine(text: string): HistoryLine {
  return JSON.parse(text, (key, value) =>
    key === 'ret' && value === null ? Number.POSITIVE_INFINITY : value,
  ) as HistoryLine;
}

interface OpenWatcher {
  readonly name: string;
  readonly prefix: string;
  readonly sessions: { start: WatchSession['start']; messages: Watched[] }[];
}

export async function readHistory(path: string): Promise<History> {
  const history: History = {
    ...{ seed: 0, started: 0, answers: [], operations: [], refused: [], appends: [], lists: [] },
    ...{ adds: [], sets: [], scans: [], transactions: [], together: [], txns: [], banks: [] },
    ...{ locks: [], watchers: [], truth: [], endRevision: null, faults: [], flaws: [] },
  };
  const watchers = new Map<string, OpenWatcher>();
  for await (const text of createInterface({ input: createReadStream(path) })) {
    if (text !== '') add(history, watchers, decodeLine(text));
  }
  const complete = history.endRevision !== null;
  for (const { name, prefix, sessions } of watchers.values()) {
    history.watchers.push({ name, ...TENANT, prefix, sessions, complete });
  }
  return history;
}

function add(history: History, watchers: Map<string, OpenWatcher>, line: HistoryLine): void {
  switch (line.t) {
    case 'run':
      history.seed = line.seed;
      history.started = line.started;
      return;
    case 'answer':
      history.answers.push({ at: line.at, ok: line.ok, operations: line.operations });
      return;
    case 'op':
      history.operations.push(line.op);
      return;
    case 'refused':
      history.refused.push(line.put);
      return;
    case 'append':
      history.appends.push(line.append);
      return;
    case 'list':
      history.lists.push(line.list);
      return;
    case 'add':
      history.adds.push(line.add);
      return;
    case 'set':
      history.sets.push(line.set);
      return;
    case 'scan':
      history.scans.push(line.scan);
      return;
    case 'transaction':
      history.transactions.push(line.ended);
      return;
    case 'puts':
      history.together.push(line.puts);
      return;
    case 'txn':
      history.txns.push(line.txn);
      return;
    case 'bank':
      history.banks.push(line.bank);
      return;
    case 'lock':
      history.locks.push(line.lock);
      return;
    case 'watcher':
      watchers.set(line.name, { name: line.name, prefix: line.prefix, sessions: [] });
      return;
    case 'session':
      watchers.get(line.name)?.sessions.push({ start: line.start, messages: [] });
      return;
    case 'seen':
      watchers.get(line.name)?.sessions.at(-1)?.messages.push(line.seen);
      return;
    case 'truth':
      history.truth.push(line.change);
      return;
    case 'end':
      history.endRevision = line.revision;
      return;
    case 'fault':
      history.faults.push(line.fault);
      return;
    case 'flaw':
      history.flaws.push(line.flaw);
  }
}
