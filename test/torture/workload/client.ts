import type { Random } from '../../../protocol/random.ts';
import { sleep } from '../../kit/wait.ts';
import { type Answer, fieldsOf, isDefinite, nameOf, type Reply, send } from './http.ts';
import { now, type Recorder } from './recorder.ts';

/** What all clients of a run share. */
export interface Shared {
  readonly urls: readonly string[];
  readonly recorder: Recorder;
  nextProcess(): number;
  /** Unique in the run. */
  nextValue(): string;
  /** The group that has a key. */
  groupOf(key: string): number;
  readonly groups: number;
}

/** Statuses that are answers to the question, not failures. */
const ANSWERS: ReadonlySet<number> = new Set([200, 201, 404, 412]);
/** Refusals that a fault explains. Any other means that client and server misunderstand each other. */
const EXPECTED: ReadonlySet<number> = new Set([408, 429, 503, 504, 507]);
/** The same by code, where a status has several meanings. */
const ANSWER_CODES: ReadonlySet<string> = new Set(['compare_failed', 'lock_held']);
const EXPECTED_CODES: ReadonlySet<string> = new Set(['conflict']);
const REPEATS_MAX = 8;
/** After the first refusal; twice that after the next, up to the other. */
const BACKOFF_MS = 60;
const BACKOFF_MS_MAX = 900;

/** One sequential client: a process in the checkers' sense, and a new one after each lost answer. */
export class Client {
  readonly shared: Shared;
  readonly random: Random;
  process: number;
  /** Refusals since the last success. */
  #failures = 0;

  constructor(shared: Shared, random: Random) {
    this.shared = shared;
    this.random = random;
    this.process = shared.nextProcess();
  }

  /**
   * `count` different ones of these keys; every other time of one group, as far as there are so many: a
   * transaction in one group is another one than a transaction over several.
   */
  pick(keys: readonly string[], count: number): string[] {
    const left = [...keys];
    const take = (from: readonly string[]): string => {
      const key = from[Math.floor(this.random.next() * from.length)] as string;
      left.splice(left.indexOf(key), 1);
      return key;
    };
    const picked = [take(left)];
    const isNear = this.chance(0.5);
    const group = this.shared.groupOf(picked[0] as string);
    while (picked.length < count) {
      const near = left.filter((key) => this.shared.groupOf(key) === group);
      picked.push(take(isNear && near.length > 0 ? near : left));
    }
    return picked;
  }

  chance(share: number): boolean {
    return this.random.next() < share;
  }

  /** A client that is refused leaves the processor to those who are to serve it. */
  async rest(): Promise<void> {
    if (this.#failures === 0) return;
    const longest = Math.min(BACKOFF_MS * 2 ** (this.#failures - 1), BACKOFF_MS_MAX);
    await sleep(longest * (0.5 + 0.5 * this.random.next()));
  }

  /** Sends one request to any node and counts its answer. Null: its outcome is not known. */
  async ask(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body: string | null = null,
    operations = 1,
  ): Promise<Answer | 'refused' | null> {
    return this.#judge(await send(this.#url(), method, path, headers, body), operations);
  }

  /**
   * Repeats one request, with its Idempotency-Key, at any node until its outcome is known. Null when
   * it is not after all of them; `refused` only when none of them can have done anything.
   */
  async insist(
    method: string,
    path: string,
    headers: Record<string, string>,
    body: string | null,
  ): Promise<Answer | 'refused' | null> {
    const keyed = { ...headers, 'idempotency-key': this.shared.nextValue() };
    let isLost = false;
    for (let n = 0; n < REPEATS_MAX; n++) {
      const reply = await send(this.#url(), method, path, keyed, body);
      if (isAnswer(reply)) return this.#judge(reply, 1);
      if (!isDefinite(reply)) isLost = true;
      this.#noteOddity(reply);
      await sleep(50 + this.random.next() * 200);
    }
    return this.#judge(isLost ? 'lost' : 'refused', 1);
  }

  /** Called with an operation's outcome: a process that lost an answer is over. */
  settle(outcome: unknown): void {
    if (outcome === null) this.process = this.shared.nextProcess();
  }

  begin(key: string): { process: number; key: string; call: number } {
    return { process: this.process, key, call: now() };
  }

  #url(): string {
    const { urls } = this.shared;
    return urls[Math.floor(this.random.next() * urls.length)] as string;
  }

  #judge(reply: Reply, operations: number): Answer | 'refused' | null {
    const { recorder } = this.shared;
    if (isAnswer(reply)) {
      this.#failures = 0;
      recorder.count('success', '', operations);
      return reply;
    }
    this.#noteOddity(reply);
    this.#failures++;
    const isKnown = isDefinite(reply);
    recorder.count(isKnown ? 'refused' : 'unknown', nameOf(reply), operations);
    return isKnown ? 'refused' : null;
  }

  #noteOddity(reply: Reply): void {
    if (typeof reply === 'string' || EXPECTED.has(reply.status)) return;
    if (reply.status === 409 && EXPECTED_CODES.has(codeOf(reply))) return;
    this.shared.recorder.flaw(`answered ${reply.status}: ${reply.text.slice(0, 300)}`);
  }
}

function isAnswer(reply: Reply): reply is Answer {
  if (typeof reply === 'string') return false;
  if (ANSWERS.has(reply.status)) return true;
  return reply.status === 409 && ANSWER_CODES.has(codeOf(reply));
}

function codeOf(answer: Answer): string {
  const { code } = fieldsOf(answer);
  return typeof code === 'string' ? code : '';
}
