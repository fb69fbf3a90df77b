import type { Template } from '../template.ts';
import type { DialectOptions } from './dialect.ts';

/** The templates of a dialect; those that a workload does not need are not made. */
export interface RequestShapes {
  put(): Template;
  get(): Template;
  /** Null where the server has no such request. */
  batch(count: number): Template | null;
  scan(limit: number): Template | null;
  scanAll(): Template | null;
}

export type Expected = 'put' | 'get' | 'batch' | 'scan' | 'scan-all';

/** A prime: steps of it meet every key before they meet one again. */
const STRIDE = 7919;

/** Draws keys and values and writes them into the templates, for whichever dialect. */
export class RequestStream {
  readonly #options: DialectOptions;
  readonly #values: readonly Buffer[];
  readonly #putThreshold: number;
  readonly #put: Template | null;
  readonly #get: Template | null;
  readonly #many: Template | null;
  /** What the request that was made last asks for, and of how many keys. */
  expected: Expected = 'put';
  count = 1;

  /** `values` are in the form in which the templates hold them. */
  constructor(options: DialectOptions, shapes: RequestShapes, values: readonly Buffer[]) {
    const { operation } = options;
    const { kind } = operation;
    this.#options = options;
    this.#values = values;
    this.#putThreshold = kind === 'mix' ? operation.putShare : kind === 'put' ? 1 : 0;
    const isSingleFill = kind === 'fill' && operation.size === 1;
    this.#put = kind === 'put' || kind === 'mix' || isSingleFill ? shapes.put() : null;
    this.#get = kind === 'get' || kind === 'mix' ? shapes.get() : null;
    this.#many = manyOf(options, shapes);
  }

  /** The next request's bytes, valid until the next call; null at the end of a fill. */
  next(): Buffer | null {
    const { operation, keys, random } = this.#options;
    switch (operation.kind) {
      case 'put':
      case 'get':
      case 'mix': {
        const isPut = this.#putThreshold === 1 || random.next() / 2 ** 32 < this.#putThreshold;
        if (isPut) return this.#one(random.below(keys));
        this.expected = 'get';
        this.#get?.setKey(0, random.below(keys));
        return (this.#get as Template).bytes;
      }
      case 'batch':
        return this.#batch(operation.size, null);
      case 'fill': {
        const range = this.#options.nextRange();
        if (range === null) return null;
        return this.#put === null ? this.#batch(range.count, range.from) : this.#one(range.from);
      }
      case 'scan': {
        this.expected = 'scan';
        this.count = operation.limit;
        this.#many?.setKey(0, random.below(keys - operation.limit + 1));
        return (this.#many as Template).bytes;
      }
      case 'scan-all':
        this.expected = 'scan-all';
        this.count = keys;
        return (this.#many as Template).bytes;
    }
  }

  #one(key: number): Buffer {
    const template = this.#put as Template;
    this.expected = 'put';
    template.setKey(0, key);
    template.setValue(0, this.#value());
    return template.bytes;
  }

  /** Keys one after another from `from` on; else far apart from a drawn one on, none of them twice. */
  #batch(count: number, from: number | null): Buffer {
    const { keys, random } = this.#options;
    const template = this.#many as Template;
    this.expected = 'batch';
    this.count = count;
    const first = from ?? random.below(keys);
    for (let slot = 0; slot < count; slot++) {
      template.setKey(slot, from === null ? (first + slot * STRIDE) % keys : first + slot);
      template.setValue(slot, this.#value());
    }
    return template.bytes;
  }

  #value(): Buffer {
    return this.#values[this.#options.random.below(this.#values.length)] as Buffer;
  }
}

function manyOf({ operation }: DialectOptions, shapes: RequestShapes): Template | null {
  const found =
    operation.kind === 'batch' || (operation.kind === 'fill' && operation.size > 1)
      ? shapes.batch(operation.size)
      : operation.kind === 'scan'
        ? shapes.scan(operation.limit)
        : operation.kind === 'scan-all'
          ? shapes.scanAll()
          : undefined;
  if (found === null) throw new Error(`this server has no ${operation.kind}`);
  return found ?? null;
}

/** How often `mark` occurs. */
export function countOf(bytes: Buffer, mark: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, at + mark.length)) count++;
  return count;
}
