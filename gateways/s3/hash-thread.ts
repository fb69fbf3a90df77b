import { Worker } from 'node:worker_threads';
import { AppError } from '../../protocol/errors.ts';

/** Bytes that go over at once. */
const SLAB_BYTES = 256 * 1024;
/** Of one body, on their way to be hashed: then its reader waits. */
const SLABS_OUT_MAX = 2;
/** Kept for the bodies to come. */
const SLABS_FREE_MAX = 64;

/** What runs in the thread: a body's slabs come in order, and each goes back when it is hashed. */
const SOURCE = `
const { parentPort } = require('node:worker_threads');
const { createHash } = require('node:crypto');
const bodies = new Map();
parentPort.on('message', ({ id, names, slab, bytes, isLast }) => {
  if (slab === null) return void bodies.delete(id);
  let hashes = bodies.get(id);
  if (hashes === undefined) bodies.set(id, (hashes = names.map((name) => createHash(name))));
  for (const hash of hashes) hash.update(new Uint8Array(slab, 0, bytes));
  if (isLast) bodies.delete(id);
  parentPort.postMessage({ id, slab, digests: isLast ? hashes.map((hash) => hash.digest()) : null }, [slab]);
});
`;

interface FromThread {
  readonly id: number;
  readonly slab: ArrayBuffer;
  readonly digests: readonly Uint8Array[] | null;
}

/**
 * Hashes of large bodies, computed in a thread beside the one that serves: MD5 alone takes it longer than all else that is
 * done with a byte. The thread begins with the first body, and does not keep the process alive.
 */
export class HashThread {
  readonly #bodies = new Map<number, ThreadedHashes>();
  readonly #free: ArrayBuffer[] = [];
  #worker: Worker | null = null;
  #drawn = 0;

  /** `names` as createHash knows them. */
  begin(names: readonly string[]): ThreadedHashes {
    const id = ++this.#drawn;
    const body = new ThreadedHashes({
      take: () => this.#free.pop() ?? new ArrayBuffer(SLAB_BYTES),
      send: (slab, bytes, isLast) => {
        this.#bodies.set(id, body);
        this.#running().postMessage({ id, names, slab, bytes, isLast }, [slab]);
      },
      forget: () => {
        if (this.#bodies.delete(id)) this.#worker?.postMessage({ id, slab: null });
      },
    });
    return body;
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }

  #running(): Worker {
    if (this.#worker !== null) return this.#worker;
    const worker = new Worker(SOURCE, { eval: true, execArgv: [] });
    worker.unref();
    worker.on('message', (message: FromThread) => this.#onMessage(message));
    worker.on('error', (error) => this.#ended(worker, error));
    worker.on('exit', () => this.#ended(worker, null));
    this.#worker = worker;
    return worker;
  }

  #onMessage({ id, slab, digests }: FromThread): void {
    if (this.#free.length < SLABS_FREE_MAX) this.#free.push(slab);
    const body = this.#bodies.get(id);
    if (digests !== null) this.#bodies.delete(id);
    body?.hashed(digests);
  }

  /** Bodies that it had begun cannot be hashed any more; the next one begins another thread. */
  #ended(worker: Worker, cause: unknown): void {
    if (this.#worker === worker) this.#worker = null;
    const bodies = [...this.#bodies.values()];
    this.#bodies.clear();
    for (const body of bodies) body.fail(new AppError('internal', 'hashing ended', { cause }));
  }
}

interface Slabs {
  take(): ArrayBuffer;
  send(slab: ArrayBuffer, bytes: number, isLast: boolean): void;
  forget(): void;
}

/** All hashes of one body. Bytes are copied, so whoever gave them may use them on. */
export class ThreadedHashes {
  readonly #slabs: Slabs;
  #slab: Uint8Array | null = null;
  #filled = 0;
  #out = 0;
  #digests: readonly Uint8Array[] | null = null;
  #failure: Error | null = null;
  #wake: () => void = () => {};

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
  }

  /** Null: go on. One call at a time. Rejects with AppError where the thread ended. */
  update(bytes: Uint8Array): Promise<void> | null {
    for (let at = 0; at < bytes.length; ) {
      this.#slab ??= new Uint8Array(this.#slabs.take());
      const part = bytes.subarray(at, at + SLAB_BYTES - this.#filled);
      this.#slab.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === SLAB_BYTES) this.#send(false);
    }
    return this.#out >= SLABS_OUT_MAX || this.#failure !== null ? this.#untilFew() : null;
  }

  /** In the order of their names. Rejects with AppError. */
  async finish(): Promise<readonly Uint8Array[]> {
    this.#slab ??= new Uint8Array(this.#slabs.take());
    this.#send(true);
    while (this.#digests === null) await this.#next();
    return this.#digests;
  }

  /** At the end of a body, also of one that broke off. */
  close(): void {
    if (this.#digests === null) this.#slabs.forget();
  }

  hashed(digests: readonly Uint8Array[] | null): void {
    this.#out--;
    this.#digests = digests;
    this.#wake();
  }

  fail(error: Error): void {
    this.#failure = error;
    this.#wake();
  }

  #send(isLast: boolean): void {
    const { buffer } = this.#slab as Uint8Array;
    const bytes = this.#filled;
    this.#slab = null;
    this.#filled = 0;
    this.#out++;
    this.#slabs.send(buffer as ArrayBuffer, bytes, isLast);
  }

  async #untilFew(): Promise<void> {
    do await this.#next();
    while (this.#out >= SLABS_OUT_MAX);
  }

  async #next(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (this.#failure !== null) throw this.#failure;
  }
}
