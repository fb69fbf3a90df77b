import { createHash } from 'node:crypto';
import { createWriteStream, type WriteStream } from 'node:fs';
import type { Input, Output } from '../../check/history.ts';
import { encodeLine, type HistoryLine } from '../history-file.ts';

/** ms of the machine's monotonic clock: the same in all processes. */
export function now(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

const LONG = 48;

/** A long value stands in a history as its hash: equal exactly when the values are. */
export function shown(value: string): string {
  if (value.length <= LONG) return value;
  return `#${createHash('sha1').update(value).digest('base64url')}`;
}

/** Writes down what the clients see, all with one clock, into the run's history file. */
export class Recorder {
  readonly #file: WriteStream;
  /** What was asked for, each operation of a batch by itself; repeats of a request are not counted. */
  operations = 0;
  /** Of them: answered with what was asked for. */
  successes = 0;
  unknown = 0;
  /** Answers by status and code, other than successes. */
  readonly answers = new Map<string, number>();
  highestRevision = 0;
  /** Seconds to live of the values that were sent with some. */
  readonly ttls = new Map<string, number>();

  constructor(path: string) {
    this.#file = createWriteStream(path, { highWaterMark: 1 << 20 });
  }

  write(line: HistoryLine): void {
    this.#file.write(encodeLine(line));
  }

  /** A finished operation on one key; null: its outcome is not known. */
  operation(
    at: { readonly process: number; readonly key: string; readonly call: number },
    input: Input,
    output: Output | null,
  ): void {
    const ret = output === null ? Number.POSITIVE_INFINITY : now();
    if (output !== null) this.see(output.revision);
    this.write({ t: 'op', op: { ...at, input, output, ret } });
  }

  see(revision: number): void {
    if (revision > this.highestRevision) this.highestRevision = revision;
  }

  /** `operations`: of a batch, each of which has an outcome of its own; else 1. */
  count(outcome: 'success' | 'refused' | 'unknown', answer: string, operations: number): void {
    this.operations += operations;
    if (outcome === 'success') this.successes += operations;
    else this.answers.set(answer, (this.answers.get(answer) ?? 0) + 1);
    if (outcome === 'unknown') this.unknown += operations;
    this.write({ t: 'answer', at: now(), ok: outcome === 'success', operations });
  }

  /** Something that must never be seen, whatever happens. */
  flaw(what: string): void {
    this.write({ t: 'flaw', flaw: { what, at: now() } });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#file.end(resolve));
  }
}
