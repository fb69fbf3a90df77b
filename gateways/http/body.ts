import type { IncomingMessage } from 'node:http';
import { AppError, onlyRefusals } from '../../protocol/errors.ts';
import type { Edge } from './app.ts';

type Fail = (error: AppError) => void;
/** Bodies being read, so that the listener can say what broke one. */
const reading = new WeakMap<IncomingMessage, Fail>();
/** Bodies that broke before anyone read them. */
const broken = new WeakMap<IncomingMessage, AppError>();

/** Who reads this request's body is told what breaks it; what did so before is returned. */
export function watchBody(req: IncomingMessage, fail: Fail): AppError | null {
  reading.set(req, fail);
  return broken.get(req) ?? null;
}

/** Nobody reads this request's body any more. */
export function leaveBody(req: IncomingMessage): void {
  reading.delete(req);
}

/** Tells the reader of this request's body that it cannot be completed. */
export function failBody(req: IncomingMessage, error: AppError): void {
  broken.set(req, error);
  reading.get(req)?.(error);
}

/**
 * Lets what is left of a body be read and dropped, within bounds. False where it cannot be: it broke, or
 * came too slowly, so the connection has to end.
 */
export function dropBody(edge: Edge, req: IncomingMessage): boolean {
  if (broken.has(req)) return false;
  const { 'content-length': length, 'transfer-encoding': coding } = req.headers;
  const hasBody = coding !== undefined || (length !== undefined && length !== '0');
  if (!hasBody || req.complete || reading.has(req)) return true;
  // Always refused: it is only to be dropped.
  readBody(edge, req, { bytesMax: -1, limit: 'none' }).catch(onlyRefusals);
  return true;
}

const EMPTY = Buffer.alloc(0);
const ENDED = 'the body ended early';

export interface BodyOptions {
  readonly bytesMax: number;
  /** Named in the refusal. */
  readonly limit: string;
}

/**
 * The whole body, at most `bytesMax`. A body must keep coming (HTTP_BOUNDS.bodyWindowMs); what is refused for
 * its size is read and dropped for a while, so that the client sees the answer and not a reset.
 * The bytes count against the budget until `release` is called.
 */
export function readBody(
  edge: Edge,
  req: IncomingMessage,
  options: BodyOptions,
): Promise<{ bytes: Buffer; release: () => void }> {
  return new Promise((resolve, reject) => {
    new BodyReader(edge, req, options, resolve, reject).start();
  });
}

class BodyReader {
  readonly #edge: Edge;
  readonly #req: IncomingMessage;
  readonly #options: BodyOptions;
  readonly #resolve: (body: { bytes: Buffer; release: () => void }) => void;
  readonly #reject: (error: AppError) => void;
  #chunks: Buffer[] = [];
  #received = 0;
  #receivedBefore = 0;
  #heldBytes = 0;
  #isSettled = false;
  #cancelTimer: () => void = () => {};

  constructor(
    edge: Edge,
    req: IncomingMessage,
    options: BodyOptions,
    resolve: (body: { bytes: Buffer; release: () => void }) => void,
    reject: (error: AppError) => void,
  ) {
    this.#edge = edge;
    this.#req = req;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const early = broken.get(this.#req);
    const declared = Number(this.#req.headers['content-length'] ?? 0);
    if (early !== undefined) this.#fail(early);
    else if (declared > this.#options.bytesMax) this.#fail(this.#tooLarge());
    else this.#hold(declared);
    if (this.#req.destroyed) {
      // The client went away before anyone read: no event will come any more.
      this.#fail(new AppError('malformed', ENDED));
      return;
    }
    reading.set(this.#req, (error) => this.#fail(error));
    this.#req.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#req.on('end', () => this.#onEnd());
    this.#req.on('error', () => this.#onClose());
    this.#req.on('close', () => this.#onClose());
    this.#watchProgress();
  }

  #onData(chunk: Buffer): void {
    this.#received += chunk.length;
    if (this.#isSettled) {
      if (this.#received > this.#edge.bounds.bodyDropBytesMax) this.#req.socket.destroy();
      return;
    }
    if (this.#received > this.#options.bytesMax) {
      this.#fail(this.#tooLarge());
      return;
    }
    if (this.#received > this.#heldBytes) this.#hold(this.#received - this.#heldBytes);
    this.#chunks.push(chunk);
  }

  #onEnd(): void {
    this.#cancelTimer();
    reading.delete(this.#req);
    if (this.#isSettled) return;
    this.#isSettled = true;
    const [first] = this.#chunks;
    const bytes = this.#chunks.length > 1 ? Buffer.concat(this.#chunks) : (first ?? EMPTY);
    this.#chunks = [];
    let held = this.#heldBytes;
    const release = (): void => {
      this.#edge.bodies.give(held);
      held = 0;
    };
    this.#resolve({ bytes, release });
  }

  #onClose(): void {
    this.#cancelTimer();
    reading.delete(this.#req);
    if (!this.#req.complete) this.#fail(new AppError('malformed', ENDED));
  }

  #hold(bytes: number): void {
    if (this.#isSettled) return;
    if (this.#edge.bodies.take(bytes)) this.#heldBytes += bytes;
    else this.#fail(new AppError('overloaded', 'too many request bodies are held in memory'));
  }

  #fail(error: AppError): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#chunks = [];
    this.#edge.bodies.give(this.#heldBytes);
    this.#heldBytes = 0;
    this.#reject(error);
  }

  /** Every window must bring its share; also while a refused body is being dropped. */
  #watchProgress(): void {
    const { bodyWindowMs, bodyWindowBytesMin } = this.#edge.bounds;
    this.#cancelTimer = this.#edge.clock.after(bodyWindowMs, () => {
      const { socket } = this.#req;
      if (this.#received - this.#receivedBefore < bodyWindowBytesMin) {
        if (this.#isSettled) socket.destroy();
        else failBody(this.#req, new AppError('request_timeout', 'the body came too slowly'));
      }
      // Of a request that is answered already, Node does not tell that its connection is gone.
      if (socket.destroyed) return this.#onClose();
      this.#receivedBefore = this.#received;
      this.#watchProgress();
    });
  }

  #tooLarge(): AppError {
    const { limit, bytesMax } = this.#options;
    return new AppError('too_large', `the body is larger than ${limit}, ${bytesMax}`, {
      details: { limit, max: bytesMax },
    });
  }
}
