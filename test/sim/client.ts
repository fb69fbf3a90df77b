import type { OpResult, WriteOp } from '../../protocol/commands.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Item } from '../../protocol/messages/request.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT, type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import type { Input, Output, Precondition } from '../check/history.ts';
import { type Ask, type ClusterPort, NodeDown } from './cluster-port.ts';
import type { History } from './history.ts';
import type { KeyPool, LiveKey } from './keys.ts';
import { CLIENT_OPERATIONS, type ClientOperation } from './operations.ts';

/** How long clients wait for an answer, beyond the deadline they give to the node. */
const PATIENCE_MS = 500;

export interface ClientConfig {
  readonly thinkMsMean: number;
  readonly deadlineMs: number;
  /** Weights of the operations, by name; 0 is off. */
  readonly mix: Readonly<Record<ClientOperation, number>>;
  readonly valueBytesMax: number;
}

/** What a request came to, as its client may judge it. */
export type Outcome<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'refused'; readonly code: string; readonly error: unknown }
  | { readonly kind: 'unknown'; readonly code: string };

/** Numbers processes over all clients of a run. */
export interface ProcessNumbers {
  next: number;
}

/**
 * One client: thinks, picks an operation, a key and a node, and writes down what it saw. After an
 * answer that leaves the outcome open it goes on as a new process.
 */
export class Client {
  readonly name: string;
  readonly cluster: ClusterPort;
  readonly history: History;
  readonly random: Random;
  readonly keys: KeyPool;
  readonly ttlKeys: KeyPool;
  readonly config: ClientConfig;
  readonly #numbers: ProcessNumbers;
  #process: number;
  #valueNumber = 0;
  #node = 0;
  #stopped = false;

  constructor(
    name: string,
    cluster: ClusterPort,
    history: History,
    random: Random,
    pools: { keys: KeyPool; ttlKeys: KeyPool },
    config: ClientConfig,
    numbers: ProcessNumbers,
  ) {
    this.name = name;
    this.cluster = cluster;
    this.history = history;
    this.random = random;
    this.keys = pools.keys;
    this.ttlKeys = pools.ttlKeys;
    this.config = config;
    this.#numbers = numbers;
    this.#process = numbers.next++;
  }

  /** Works until `stop`; resolves after its last operation. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.cluster.sleep(-Math.log(1 - this.random.next()) * this.config.thinkMsMean);
      if (this.#stopped) return;
      if (this.random.next() < 0.2) {
        this.#node = randomInt(this.random, 0, this.cluster.nodeCount - 1);
      }
      await CLIENT_OPERATIONS[this.#pickOperation()](this);
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  get process(): number {
    return this.#process;
  }

  /** A value no other operation of the run writes, as a JSON string; sometimes a large one. */
  uniqueValue(): string {
    const head = `${this.name}-${this.#valueNumber++}`;
    if (this.random.next() > 0.05) return `"${head}"`;
    const length = randomInt(this.random, head.length, this.config.valueBytesMax);
    return `"${head.padEnd(length, '.')}"`;
  }

  uniqueElement(): string {
    return `${this.name}:${this.#valueNumber++}`;
  }

  context(idempotency: RequestContext['idempotency'] = null): RequestContext {
    return { deadlineMs: this.config.deadlineMs, traceparent: null, idempotency };
  }

  /** Goes to another node, as a client does whose node did not help. */
  moveOn(): void {
    this.#node = (this.#node + 1) % this.cluster.nodeCount;
  }

  /** Sends one request and judges its answer. */
  async request<T>(ask: (service: KvService) => Promise<T>): Promise<Outcome<T>> {
    const outcome = await this.#ask(ask);
    const code = outcome.kind === 'ok' ? 'ok' : outcome.code;
    this.history.answer(this.#process, outcome.kind, code, this.#node);
    if (outcome.kind !== 'ok') this.moveOn();
    return outcome;
  }

  #ask<T>(ask: (service: KvService) => Promise<T>): Promise<Outcome<T>> {
    return askNode(this.cluster, this.#node, this.config.deadlineMs + PATIENCE_MS, ask);
  }

  /** Writes one operation and its answer into the history. */
  record(key: LiveKey, input: Input, output: Output | null, call: number): void {
    this.history.note(this.#process, key.name, input, output, call, this.cluster.nowMs());
    if (output === null) {
      key.unknown++;
      this.#process = this.#numbers.next++;
    } else {
      key.lastRevision = output.revision;
    }
  }

  #pickOperation(): ClientOperation {
    const { mix } = this.config;
    let total = 0;
    for (const name of Object.keys(mix) as ClientOperation[]) total += mix[name];
    let at = this.random.next() * total;
    for (const name of Object.keys(mix) as ClientOperation[]) {
      at -= mix[name];
      if (at < 0) return name;
    }
    return 'get';
  }
}

/** One request to one node, and what its answer means. */
export async function askNode<T>(
  cluster: ClusterPort,
  node: number,
  giveUpMs: number,
  ask: Ask<T>,
): Promise<Outcome<T>> {
  try {
    const connection = await cluster.connect(node);
    return { kind: 'ok', value: await connection.call(giveUpMs, ask) };
  } catch (error) {
    if (error instanceof NodeDown) return { kind: 'refused', code: 'node_down', error };
    if (!(error instanceof AppError)) {
      if ((error as Error).name !== 'NodeLost') throw error;
      return { kind: 'unknown', code: 'node_lost' };
    }
    if (error.definite) return { kind: 'refused', code: error.code, error };
    return { kind: 'unknown', code: error.code };
  }
}

export function refOf(key: LiveKey): KeyRef {
  return { tenant: DEFAULT_TENANT, space: KV_SPACE, key: key.name };
}

/** The op a checker's input stands for. */
export function writeOf(
  key: LiveKey,
  input: Exclude<Input, { type: 'get' }>,
  ttlMs: number | null,
) {
  const condition = input.condition as Precondition | null;
  if (input.type === 'delete') return { type: 'delete', ref: refOf(key), condition } as const;
  const value = Buffer.from(input.value, 'latin1');
  return {
    type: 'put',
    ref: refOf(key),
    value,
    contentType: null,
    ttlMs,
    condition,
  } as const satisfies WriteOp;
}

export function outputOf(result: OpResult): Output | null {
  switch (result.type) {
    case 'put':
      return { type: 'put', revision: result.revision };
    case 'deleted':
      return {
        type: 'deleted',
        deleted: result.deleted,
        revision: result.deleted ? result.revision : 0,
      };
    case 'precondition_failed':
      return { type: 'precondition_failed', revision: result.revision };
    case 'wrong_shard':
    case 'lease_stale':
    case 'duplicate':
    case 'failed':
      return null;
  }
}

export function gotOf(item: Item | null): Output {
  if (item === null) return { type: 'got', value: null, revision: 0 };
  const value = Buffer.from(item.value).toString('latin1');
  return { type: 'got', value, revision: item.revision };
}
