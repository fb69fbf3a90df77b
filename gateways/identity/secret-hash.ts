import { type Algorithm, hash, verify } from '@node-rs/argon2';
import { AppError } from '../../protocol/errors.ts';
import type { Random } from '../../protocol/random.ts';
import { Turns } from '../../protocol/turns.ts';

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
  readonly #turns = new Turns(RUNNING_MAX, {
    waitingMax: WAITING_MAX,
    refused: () => new AppError('overloaded', 'too many keys are being verified'),
  });

  constructor(random: Random) {
    this.#random = random;
  }

  /** In PHC form. Rejects with `overloaded`. */
  make(secret: string): Promise<string> {
    const salt = Buffer.from(this.#random.bytes(SALT_BYTES));
    return this.#turns.run(() => hash(secret, { ...OPTIONS, salt }));
  }

  /** Rejects with `overloaded`. */
  check(phc: string, secret: string): Promise<boolean> {
    return this.#turns.run(() => verify(phc, secret));
  }
}
