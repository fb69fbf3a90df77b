import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyOf } from '../../protocol/messages/request.ts';
import { META_GROUP, type Revision } from '../../protocol/types.ts';
import { type BucketRow, parseBucketRow } from './bucket-row.ts';
import type { Calls } from './calls.ts';

/** A row as it was read; `revision` 0 and `row` null: there is none. */
export interface ReadRow {
  readonly revision: Revision;
  readonly row: BucketRow | null;
}

interface Waiting {
  readonly resolve: (read: ReadRow) => void;
  readonly reject: (error: unknown) => void;
}

const KNOWN_MAX = 4_096;
/** Checks under way at once; what comes then gathers for the next one. */
const CHECKS_MAX = 4;
const NAMES_PER_CHECK = 256;

const ABSENT: ReadRow = Object.freeze({ revision: 0, row: null });

/**
 * Buckets' rows of the meta group, linearizable: what is known here is used only after the meta group has said,
 * since it was asked for, that nothing newer is there. So a read costs one small question, shared with all others
 * that are asked meanwhile.
 */
export class BucketRows {
  readonly #calls: Calls;
  readonly #clock: Clock;
  readonly #known = new Map<string, ReadRow>();
  #gathered = new Map<string, Waiting[]>();
  #checks = 0;

  constructor(calls: Calls, clock: Clock) {
    this.#calls = calls;
    this.#clock = clock;
  }

  read(name: string, deadlineMs: number): Promise<ReadRow> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new AppError('unavailable', 'the meta group does not answer'));
      const cancel = this.#clock.after(Math.max(0, deadlineMs), late);
      const waiting = this.#gathered.get(name);
      const one: Waiting = {
        resolve: (read) => {
          cancel();
          resolve(read);
        },
        reject: (error) => {
          cancel();
          reject(error);
        },
      };
      if (waiting === undefined) this.#gathered.set(name, [one]);
      else waiting.push(one);
      this.#check();
    });
  }

  #check(): void {
    if (this.#checks >= CHECKS_MAX || this.#gathered.size === 0) return;
    const asked = new Map([...this.#gathered].slice(0, NAMES_PER_CHECK));
    for (const name of asked.keys()) this.#gathered.delete(name);
    const before = new Map(
      [...asked.keys()].map((name) => [name, this.#known.get(name) ?? ABSENT]),
    );
    const rows = [...before].map(([name, { revision }]) => ({ name, revision }));
    this.#checks++;
    this.#calls
      .call(META_GROUP, { type: 'MetaCheck', rows }, 'MetaChecked', CHECKING)
      .then(
        (reply) => this.#checked(asked, before, reply),
        (error: unknown) => {
          for (const waiting of asked.values()) for (const one of waiting) one.reject(error);
        },
      )
      .finally(() => {
        this.#checks--;
        this.#check();
      });
  }

  #checked(
    asked: ReadonlyMap<string, Waiting[]>,
    before: ReadonlyMap<string, ReadRow>,
    { changed, unknown }: ReplyOf<'MetaChecked'>,
  ): void {
    const now = new Map(before);
    for (const { name, revision, json } of changed) {
      now.set(name, revision === 0 ? ABSENT : { revision, row: parseBucketRow(json) });
    }
    for (const [name, waiting] of asked) {
      if (unknown.includes(name)) {
        this.#gathered.set(name, [...waiting, ...(this.#gathered.get(name) ?? [])]);
        continue;
      }
      const read = now.get(name) ?? ABSENT;
      this.#note(name, read);
      for (const one of waiting) one.resolve(read);
    }
  }

  /** Answers may overtake each other: the newest counts. What is used most recently is kept. */
  #note(name: string, read: ReadRow): void {
    const known = this.#known.get(name);
    this.#known.delete(name);
    if (read.revision === 0 && known === undefined) return;
    this.#known.set(name, known !== undefined && known.revision > read.revision ? known : read);
    const oldest = this.#known.keys().next().value;
    if (this.#known.size > KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest);
  }
}

const CHECKING = {
  deadlineMs: LIMITS.requestDeadlineMsDefault,
  traceparent: null,
  target: 'leader',
  repeatable: true,
} as const;
