import type { Bucket } from '../../protocol/object-access.ts';
import { type Policy, readPolicy } from './policy-document.ts';

const POLICIES_MAX = 256;

/** Policies by their text, read once: a bucket is asked for with each request. */
export class StoredPolicies {
  readonly #read = new Map<string, Policy>();

  /** Null: the bucket has none. */
  of({ documents, rule }: Bucket): Policy | null {
    const text = documents['policy'];
    if (text === undefined) return null;
    const name = `${rule.name}\n${text}`;
    const known = this.#read.get(name);
    if (known !== undefined) return known;
    const policy = readPolicy(Buffer.from(text), rule.name);
    if (this.#read.size >= POLICIES_MAX) this.#forgetOldest();
    this.#read.set(name, policy);
    return policy;
  }

  #forgetOldest(): void {
    for (const name of this.#read.keys()) {
      this.#read.delete(name);
      return;
    }
  }
}
