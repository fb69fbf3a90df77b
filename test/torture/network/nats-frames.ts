/** One piece of a NATS stream: a control line, or a message with its payload. */
export interface Frame {
  readonly bytes: Buffer;
  readonly isMessage: boolean;
}

const CRLF = Buffer.from('\r\n');
/** PUB and MSG carry one size at the end of their line, HPUB and HMSG the total one there. */
const MESSAGE = /^H?(?:PUB|MSG) /i;

/** Cuts a stream of the NATS client protocol, in either direction, into its frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Frame[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    for (;;) {
      const frame = this.#next();
      if (frame === null) return frames;
      frames.push(frame);
      this.#rest = this.#rest.subarray(frame.bytes.length);
    }
  }

  #next(): Frame | null {
    const lineEnd = this.#rest.indexOf(CRLF);
    if (lineEnd < 0) return null;
    const head = this.#rest.toString('latin1', 0, Math.min(5, lineEnd));
    if (!MESSAGE.test(head.padEnd(5)))
      return { bytes: this.#rest.subarray(0, lineEnd + 2), isMessage: false };
    const line = this.#rest.toString('latin1', 0, lineEnd);
    const size = Number(line.slice(line.lastIndexOf(' ') + 1));
    if (!Number.isSafeInteger(size)) throw new Error(`not a NATS message: ${line}`);
    const end = lineEnd + 2 + size + 2;
    if (this.#rest.length < end) return null;
    return { bytes: this.#rest.subarray(0, end), isMessage: true };
  }
}
