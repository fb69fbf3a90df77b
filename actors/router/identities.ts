import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import {
  IDENTITY_SETTLE_MS,
  IDENTITY_VIEW_MS,
  type Identities,
  type IdentityRow,
} from '../../protocol/identities.ts';
import {
  IDENTITY_CHANGES,
  IDENTITY_PREFIX,
  parseChanges,
} from '../../protocol/identity-changes.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { META_GROUP, type Revision } from '../../protocol/types.ts';
import type { Calls } from './calls.ts';
import { readOptions } from './options.ts';

/** A view in use is confirmed again so long after the last answer. */
const CONFIRM_EVERY_MS = 150;
/** Nobody has used it for this long: it rests until somebody does. */
const REST_AFTER_MS = 5_000;
/** One question; a lost one is asked again after that. */
const ASK_MS_MAX = 1_000;
const RETRY_MS = 50;
const NAMES_PER_CHECK = 64;
const LIST_ROWS = 256;

/**
 * The node's view of the identities. I1: it is acted upon only within IDENTITY_VIEW_MS of the moment in which the
 * question was asked that confirmed it, which the meta group answers linearizably. I2: a change is acknowledged only
 * IDENTITY_SETTLE_MS after it was applied: a question that missed it was asked before that, so its view has ended.
 */
export class RoutedIdentities implements Identities {
  readonly #calls: Calls;
  readonly #clock: Clock;
  #rows: Map<string, IdentityRow> = new Map();
  /** Of the last change in the view. */
  #revision: Revision = 0;
  #validUntilMs = Number.NEGATIVE_INFINITY;
  #usedMs = Number.NEGATIVE_INFINITY;
  #isAsking = false;
  #isStopped = false;
  /** Each is told of the first answer to a question that was asked after it came, or goes at its deadline. */
  readonly #waiting = new Set<() => void>();
  #cancelNext: (() => void) | null = null;
  readonly #listeners = new Set<() => void>();

  constructor(calls: Calls, clock: Clock) {
    this.#calls = calls;
    this.#clock = clock;
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelNext?.();
  }

  isCurrent(): boolean {
    const nowMs = this.#clock.monotonicMs();
    this.#usedMs = nowMs;
    return nowMs < this.#validUntilMs;
  }

  revision(): Revision {
    return this.#revision;
  }

  row(name: string): IdentityRow | null {
    return this.#rows.get(name) ?? null;
  }

  rows(prefix: string): readonly IdentityRow[] {
    const found = [...this.#rows.values()].filter(({ name }) => name.startsWith(prefix));
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  current(deadlineMs: number): Promise<void> {
    return this.isCurrent() ? Promise.resolve() : this.renewed(deadlineMs);
  }

  /** One question, which keeps nobody's view confirmed: that is for those who ask whether it is current. */
  renewed(deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(Math.max(0, deadlineMs), () => {
        this.#waiting.delete(answered);
        reject(new AppError('unavailable', 'the meta group does not say who is who'));
      });
      const answered = () => {
        cancel();
        resolve();
      };
      this.#waiting.add(answered);
      this.#next(0);
    });
  }

  async put(ctx: RequestContext, { name, text, revision }: IdentityRow): Promise<boolean> {
    const put = { name: IDENTITY_PREFIX + name, json: text, ifRevision: revision };
    const options = { deadlineMs: ctx.deadlineMs, ...TO_LEADER };
    try {
      await this.#calls.call(META_GROUP, { type: 'MetaPut', ...put }, 'Done', options);
    } catch (error) {
      if (error instanceof AppError && error.code === 'precondition_failed') return false;
      throw error;
    }
    await this.settled();
    return true;
  }

  settled(): Promise<void> {
    return new Promise((resolve) => this.#clock.after(IDENTITY_SETTLE_MS, () => resolve()));
  }

  onConfirmed(run: () => void): () => void {
    this.#listeners.add(run);
    this.#next(0);
    return () => this.#listeners.delete(run);
  }

  /** Asks after `ms`; a question under way is let end first. */
  #next(ms: number): void {
    if (this.#isAsking || this.#isStopped) return;
    this.#cancelNext?.();
    this.#cancelNext = null;
    if (ms === 0) void this.#ask();
    else this.#cancelNext = this.#clock.after(ms, () => void this.#ask());
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    this.#cancelNext = null;
    const waiting = [...this.#waiting];
    const askedMs = this.#clock.monotonicMs();
    let isAnswered = false;
    try {
      await this.#confirm();
      isAnswered = true;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
    } finally {
      this.#isAsking = false;
    }
    if (isAnswered) {
      this.#validUntilMs = askedMs + IDENTITY_VIEW_MS;
      for (const answered of waiting) {
        if (this.#waiting.delete(answered)) answered();
      }
      for (const run of this.#listeners) run();
    }
    if (this.#waiting.size > 0) this.#next(isAnswered ? 0 : RETRY_MS);
    else if (this.#isInUse()) this.#next(isAnswered ? CONFIRM_EVERY_MS : RETRY_MS);
  }

  #isInUse(): boolean {
    return this.#listeners.size > 0 || this.#clock.monotonicMs() - this.#usedMs < REST_AFTER_MS;
  }

  /** What has changed is read after the list of changes: newer than that it may be, older never. */
  async #confirm(): Promise<void> {
    const known = this.#revision;
    const [list] = await this.#check([{ name: IDENTITY_CHANGES, revision: known }]);
    if (list === undefined) return;
    const { since, recent } = parseChanges(list.json);
    if (known < since) {
      this.#rows = await this.#all();
    } else {
      const names = recent.filter(([revision]) => revision > known).map(([, name]) => name);
      const changed = await this.#read([...new Set(names)]);
      for (const row of changed) this.#rows.set(row.name, row);
    }
    this.#revision = list.revision;
  }

  async #read(names: readonly string[]): Promise<IdentityRow[]> {
    const found: IdentityRow[] = [];
    let left = names.map((name) => ({ name: IDENTITY_PREFIX + name, revision: 0 }));
    while (left.length > 0) {
      const asked = left.slice(0, NAMES_PER_CHECK);
      const changed = await this.#check(asked);
      if (changed.length === 0)
        throw new AppError('unavailable', 'rows that have changed are gone');
      const read = new Set(changed.map(({ name }) => name));
      for (const row of changed) found.push(rowOf(row));
      left = left.filter(({ name }) => !read.has(name));
    }
    return found;
  }

  async #check(rows: readonly { readonly name: string; readonly revision: Revision }[]) {
    const body = { type: 'MetaCheck' as const, rows: [...rows] };
    const { changed } = await this.#calls.call(META_GROUP, body, 'MetaChecked', ASKING);
    return changed;
  }

  async #all(): Promise<Map<string, IdentityRow>> {
    const found = new Map<string, IdentityRow>();
    for (let after = ''; ; ) {
      const body = { type: 'MetaList' as const, prefix: IDENTITY_PREFIX, after, limit: LIST_ROWS };
      const page = await this.#calls.call(META_GROUP, body, 'MetaListed', ASKING);
      for (const row of page.rows) {
        after = row.name;
        const read = rowOf(row);
        found.set(read.name, read);
      }
      if (!page.more) return found;
    }
  }
}

function rowOf(row: { name: string; json: string; revision: Revision }): IdentityRow {
  const name = row.name.slice(IDENTITY_PREFIX.length);
  return { name, text: row.json, revision: row.revision };
}

const NO_CONTEXT = { deadlineMs: ASK_MS_MAX, traceparent: null, idempotency: null };
const ASKING = readOptions(NO_CONTEXT, 'leader');
const TO_LEADER = { traceparent: null, target: 'leader', repeatable: false } as const;
