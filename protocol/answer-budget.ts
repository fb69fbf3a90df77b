import { AppError } from './errors.ts';
import { LIMITS } from './limits.ts';
import type { Item } from './messages/request.ts';

/** Bytes held in memory at once by many. */
export class ByteBudget {
  readonly #bytesMax: number;
  #held = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#held;
  }

  take(bytes: number): boolean {
    if (this.#held + bytes > this.#bytesMax) return false;
    this.#held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

export interface AnswerBudgetOptions {
  /** At most, and by default, batchAnswerBytesMax. */
  readonly bytesMax?: number;
  /** What all answers of an edge hold together. */
  readonly shared?: ByteBudget;
  /** The answer is JSON: a value's bytes are counted as they are escaped. */
  readonly isText?: boolean;
}

/** Of an item beside its key and value: field names, revisions, a content type. */
const ITEM_BYTES = 256;

/**
 * What the reads of one batch may bring into its answer. The item that does not fit fails, definitely, and
 * so does all that is read after it: a small request must not make a node hold a large answer.
 */
export class AnswerBudget {
  readonly #bytesMax: number;
  readonly #shared: ByteBudget | null;
  readonly #isText: boolean;
  #held = 0;
  #failure: AppError | null = null;

  constructor(options: AnswerBudgetOptions) {
    this.#bytesMax = Math.min(options.bytesMax ?? Infinity, LIMITS.batchAnswerBytesMax);
    this.#shared = options.shared ?? null;
    this.#isText = options.isText ?? false;
  }

  /** Why nothing more may be read, or null. */
  get failure(): AppError | null {
    return this.#failure;
  }

  /** Counts an item; null, or why it does not fit. */
  take(item: Item): AppError | null {
    if (this.#failure !== null) return this.#failure;
    const bytes = ITEM_BYTES + this.#bytesOf(item);
    if (this.#held + bytes > this.#bytesMax) {
      const max = this.#bytesMax;
      this.#failure = new AppError('too_large', `the batch's results are larger than ${max} bytes`);
    } else if (this.#shared !== null && !this.#shared.take(bytes)) {
      this.#failure = new AppError('overloaded', 'too many answers are held in memory');
    } else this.#held += bytes;
    return this.#failure;
  }

  /** The answer is out, or nobody waits for it any more. Nothing can be taken from now on. */
  release(): void {
    this.#shared?.give(this.#held);
    this.#held = 0;
    this.#failure ??= new AppError('unavailable', 'the request has ended');
  }

  #bytesOf({ ref, value }: Item): number {
    if (!this.#isText) return ref.key.length + value.length;
    let bytes = ref.key.length + value.length;
    for (let i = 0; i < ref.key.length; i++) bytes += escapeBytes(ref.key.charCodeAt(i));
    for (let i = 0; i < value.length; i++) bytes += escapeBytes(value[i] as number);
    return bytes;
  }
}

/** What JSON adds to one byte of text: `\u0001`, `\"`. Base64 adds less than this does to the same bytes. */
function escapeBytes(byte: number): number {
  if (byte < 0x20) return 5;
  return byte === 0x22 || byte === 0x5c ? 1 : 0;
}
