import { type Random, randomInt } from '../../protocol/random.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { askNode } from './client.ts';
import type { ClusterPort } from './cluster-port.ts';
import { SimViolation } from './violation.ts';

const CTX: RequestContext = { deadlineMs: 2_000, traceparent: null, idempotency: null };
const PATIENCE_MS = 1_500;
const LOOKS_MAX = 12;

/**
 * A client that makes keys, uses them at every node, and revokes them. A key that was made is known to every node that looks
 * anew; once a revocation is acknowledged, no request that begins after it finds the key good, wherever it is asked and
 * whatever that node is cut off from.
 */
export class IdentityClient {
  readonly #name: string;
  readonly #cluster: ClusterPort;
  readonly #random: Random;
  #number = 0;
  #stopped = false;
  /** Looks that found a key good, and those after a revocation that did not. */
  readonly counts = { accepted: 0, refused: 0 };

  constructor(name: string, cluster: ClusterPort, random: Random) {
    this.#name = name;
    this.#cluster = cluster;
    this.#random = random;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.#cluster.sleep(this.#random.next() * 400);
      const name = `key/${this.#name}-${this.#number++}`;
      const made = await this.#put(name, 'live', 0);
      if (made) await this.#live(name);
    }
  }

  async #live(name: string): Promise<void> {
    for (let i = 0; i < 3; i++) await this.#expect(name, 'live');
    // A repetition finds it revoked, and still says so only when every node knows.
    for (let i = 0; i < 10 && !this.#stopped; i++) {
      if (await this.#revoke(name)) {
        const looks = randomInt(this.#random, 1, LOOKS_MAX);
        const all = Array.from({ length: looks }, () => this.#expect(name, 'revoked'));
        await Promise.all(all);
        return;
      }
      await this.#cluster.sleep(100);
    }
  }

  async #put(name: string, text: string, revision: number): Promise<boolean> {
    const row = { name, text, revision };
    const outcome = await this.#ask(async ({ identities }) => identities.put(CTX, row));
    return outcome.kind === 'ok' && outcome.value;
  }

  async #revoke(name: string): Promise<boolean> {
    const outcome = await this.#ask(async ({ identities }) => {
      await identities.renewed(CTX.deadlineMs);
      const row = identities.row(name);
      if (row === null) return false;
      if (row.text !== 'revoked') return identities.put(CTX, { ...row, text: 'revoked' });
      await identities.settled();
      return true;
    });
    return outcome.kind === 'ok' && outcome.value;
  }

  async #expect(name: string, text: 'live' | 'revoked'): Promise<void> {
    const outcome = await this.#ask(async ({ identities }) => {
      // A key that is not known is looked for; one that is known is not.
      await identities.current(CTX.deadlineMs);
      if (identities.row(name) === null) await identities.renewed(CTX.deadlineMs);
      return identities.isCurrent() ? (identities.row(name)?.text ?? 'unknown') : 'refused';
    });
    if (outcome.kind !== 'ok' || outcome.value === 'refused') return;
    if (outcome.value !== text) {
      throw new SimViolation(
        'revoked keys are refused',
        `${name} is ${outcome.value}, not ${text}`,
      );
    }
    if (text === 'live') this.counts.accepted++;
    else this.counts.refused++;
  }

  #ask<T>(ask: Parameters<typeof askNode<T>>[3]) {
    const node = randomInt(this.#random, 0, this.#cluster.nodeCount - 1);
    return askNode(this.#cluster, node, CTX.deadlineMs + PATIENCE_MS, ask);
  }
}
