import { hash } from 'node:crypto';
import { type Random, randomHex } from '../../protocol/random.ts';

const REMEMBERED_MAX = 10_000;

/**
 * Which presented keys Argon2 has found to be good, or not, for a stored hash. Kept under hashes keyed with random bytes of this
 * process, so that the memory of a process shows no key. Says nothing of whether the key may still be used.
 */
export class Sessions {
  readonly #pepper: string;
  readonly #found = new Map<string, { readonly phc: string; readonly isGood: boolean }>();

  constructor(random: Random) {
    this.#pepper = randomHex(random, 32);
  }

  digest(presented: string): string {
    return hash('sha256', this.#pepper + presented, 'base64');
  }

  /** Null: nobody has looked. */
  isGood(digest: string, phc: string): boolean | null {
    const found = this.#found.get(digest);
    return found?.phc === phc ? found.isGood : null;
  }

  note(digest: string, phc: string, isGood: boolean): void {
    const oldest = this.#found.keys().next().value;
    if (this.#found.size >= REMEMBERED_MAX && oldest !== undefined) this.#found.delete(oldest);
    this.#found.set(digest, { phc, isGood });
  }
}
