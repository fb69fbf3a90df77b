import { type Algorithm, hash, verify } from '@node-rs/argon2';
import { AppError } from '../../protocol/errors.ts';
import type { Random } from '../../protocol/random.ts';

/** OWASP's second choice for Argon2id: 19 MiB, 2 passes, 1 lane. */
const OPTIONS = {
  // A const enum of the library's types: Argon2id.
  algorithm: 2 as Algorithm.Argon2id,
  memoryCost: 19 * 1024,
  timeCost: 2,
  parallelism: 1,
};
const SALT_BYTES = 16;
/** Each takes a thread and 19 MiB for some ten milliseconds. */
const RUNNING_MAX = 2;
const WAITING_MAX = 64;

/** Argon2id, bounded: so many at once, so many that wait, and whoever comes then is refused. */
export class SecretHash {
  readonly #random: Random;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** In PHC form. Rejects with `overloaded`. */
  make(secret: string): Promise<string> {
    const salt = Buffer.from(this.#random.bytes(SALT_BYTES));
    return this.#inTurn(() => hash(secret, { ...OPTIONS, salt }));
  }

  /** Rejects with `overloaded`. */
  check(phc: string, secret: string): Promise<boolean> {
    return this.#inTurn(() => verify(phc, secret));
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= RUNNING_MAX) {
      if (this.#waiting.length >= WAITING_MAX) {
        throw new AppError('overloaded', 'too many keys are being verified');
      }
      await new Promise<void>((go) => this.#waiting.push(go));
    } else {
      this.#running++;
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
