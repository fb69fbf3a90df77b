import { AppError } from '../../protocol/errors.ts';
import type { Edge } from './app.ts';
import { leaveBody, watchBody } from './body.ts';
import type { EdgeRequest } from './exchange.ts';

/** What is held of one body before its connection is asked to wait. */
const HELD_BYTES_MAX = 256 * 1024;

/**
 * A body as it comes, in pieces: the connection waits while its reader is behind. A body must keep coming
 * (HTTP_BOUNDS.bodyWindowMs), unless we are what holds it up.
 */
export class BodyStream {
  readonly #edge: Pick<Edge, 'bounds' | 'clock'>;
  readonly #req: EdgeRequest;
  #pieces: Buffer[] = [];
  #heldBytes = 0;
  #received = 0;
  #receivedBefore = 0;
  /** The connection waited for us at some time in this window. */
  #wasHeldUp = false;
  #isDropping = false;
  #isEnded = false;
  #failure: AppError | null = null;
  #wake: () => void = () => {};
  #cancelTimer: () => void = () => {};

  constructor(edge: Pick<Edge, 'bounds' | 'clock'>, req: EdgeRequest) {
    this.#edge = edge;
    this.#req = req;
    const early = watchBody(req, (error) => this.#fail(error));
    if (early !== null) this.#fail(early);
    if (req.destroyed) {
      // The client went away before anyone read: no event will come any more.
      this.#onClose();
      return;
    }
    req.on('data', (piece: Buffer) => this.#onData(piece));
    req.on('end', () => this.#onEnd());
    req.on('error', () => this.#onClose());
    req.on('close', () => this.#onClose());
    this.#watchProgress();
  }

  /** The next bytes, null at the end. Only one call at a time. Throws AppError where the body breaks. */
  async next(): Promise<Buffer | null> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        this.#heldBytes -= piece.length;
        if (this.#heldBytes < HELD_BYTES_MAX && this.#req.isPaused()) this.#req.resume();
        return piece;
      }
      if (this.#failure !== null) throw this.#failure;
      if (this.#isEnded) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Nobody wants the rest: it is dropped, within bounds, so that the client sees its answer and not a reset. */
  drop(): void {
    if (this.#isDropping) return;
    this.#isDropping = true;
    this.#pieces = [];
    this.#heldBytes = 0;
    this.#received = 0;
    this.#receivedBefore = 0;
    this.#req.resume();
  }

  #onData(piece: Buffer): void {
    this.#received += piece.length;
    if (this.#isDropping) {
      if (this.#received > this.#edge.bounds.bodyDropBytesMax) this.#req.socket.destroy();
      return;
    }
    if (this.#failure !== null) return;
    this.#pieces.push(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes >= HELD_BYTES_MAX) {
      this.#wasHeldUp = true;
      this.#req.pause();
    }
    this.#wake();
  }

  #onEnd(): void {
    this.#isEnded = true;
    this.#cancelTimer();
    leaveBody(this.#req);
    this.#wake();
  }

  #onClose(): void {
    this.#cancelTimer();
    leaveBody(this.#req);
    if (!this.#req.complete) this.#fail(new AppError('malformed', 'the body ended early'));
  }

  #fail(error: AppError): void {
    if (this.#isEnded || this.#failure !== null) return;
    this.#failure = error;
    this.#wake();
  }

  #watchProgress(): void {
    const { bodyWindowMs, bodyWindowBytesMin } = this.#edge.bounds;
    this.#cancelTimer = this.#edge.clock.after(bodyWindowMs, () => {
      const { socket } = this.#req;
      const isSlow = this.#received - this.#receivedBefore < bodyWindowBytesMin;
      if (isSlow && !this.#wasHeldUp) {
        if (this.#isDropping) socket.destroy();
        else this.#fail(new AppError('request_timeout', 'the body came too slowly'));
      }
      // Of a request that is answered already, Node does not tell that its connection is gone.
      if (socket.destroyed) return this.#onClose();
      this.#receivedBefore = this.#received;
      this.#wasHeldUp = this.#req.isPaused();
      this.#watchProgress();
    });
  }
}
