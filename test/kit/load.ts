import type { Operation, Output } from '../check/history.ts';
import { sleep } from './wait.ts';

/** One key's requests over HTTP, recorded for the linearizability checker. */

export interface LoadOptions {
  readonly urls: () => readonly string[];
  readonly keys: readonly string[];
  readonly clients: number;
  /** Sent with every request. */
  readonly timeoutMs: number;
}

let nextProcess = 1;

/**
 * Clients that put, get, delete and compare-and-set a few keys at random nodes until stopped. What
 * has no definite answer is recorded as unknown, and its client goes on as a new process.
 */
export class Load {
  readonly history: Operation[] = [];
  /** Values of acknowledged puts by key: the newest per key is found in the history. */
  acknowledged = 0;
  unknown = 0;
  #running = true;
  readonly #clients: Promise<void>[] = [];

  constructor(options: LoadOptions) {
    for (let i = 0; i < options.clients; i++) this.#clients.push(this.#client(options, i));
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#clients);
  }

  async #client(options: LoadOptions, seed: number): Promise<void> {
    let process = nextProcess++;
    for (let n = 0; this.#running; n++) {
      const key = options.keys[Math.floor(Math.random() * options.keys.length)] as string;
      const urls = options.urls();
      const url = urls[Math.floor(Math.random() * urls.length)] as string;
      const known = await this.#one(
        url,
        key,
        process,
        `c${seed}-${n}-${process}`,
        options.timeoutMs,
      );
      if (!known) process = nextProcess++;
      await sleep(2 + Math.random() * 8);
    }
  }

  /** False when the outcome is not known. */
  async #one(
    base: string,
    key: string,
    process: number,
    value: string,
    timeoutMs: number,
  ): Promise<boolean> {
    const path = `${base}/v1/kv/${encodeURIComponent(key)}`;
    const dice = Math.random();
    const call = performance.now();
    const input: Operation['input'] =
      dice < 0.45
        ? { type: 'get' }
        : dice < 0.9
          ? { type: 'put', value, condition: null, expires: false }
          : { type: 'delete', condition: null };
    let output: Output | null = null;
    try {
      const signal = AbortSignal.timeout(timeoutMs + 2_000);
      const headers = { 'x-minikv-timeout-ms': String(timeoutMs) };
      const method = input.type.toUpperCase();
      const init: RequestInit = { method, headers, signal };
      if (input.type === 'put') init.body = value;
      const answer = await fetch(path, init);
      const text = await answer.text();
      output = outputOf(input, answer, text);
      if (output === null && isDefinite(answer.status, text)) return true;
    } catch {
      output = null;
    }
    const ret = output === null ? Number.POSITIVE_INFINITY : performance.now();
    this.history.push({ process, key, input, output, call, ret });
    if (output === null) this.unknown++;
    else this.acknowledged++;
    return output !== null;
  }
}

function outputOf(input: Operation['input'], answer: Response, text: string): Output | null {
  if (input.type === 'get') {
    if (answer.status === 404) return { type: 'got', value: null, revision: 0 };
    if (answer.status !== 200) return null;
    const revision = Number(answer.headers.get('etag')?.replaceAll('"', ''));
    return { type: 'got', value: text, revision };
  }
  if (answer.status !== 200 && answer.status !== 201) return null;
  const body = JSON.parse(text) as { revision: number; deleted?: boolean };
  if (input.type === 'put') return { type: 'put', revision: body.revision };
  const deleted = body.deleted === true;
  return { type: 'deleted', deleted, revision: deleted ? body.revision : 0 };
}

/** A refusal that certainly changed nothing and shows nothing. */
function isDefinite(status: number, text: string): boolean {
  if (status < 400) return false;
  try {
    return (JSON.parse(text) as { definite?: boolean }).definite === true;
  } catch {
    return false;
  }
}
