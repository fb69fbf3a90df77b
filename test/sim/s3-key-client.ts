import { RootKeys } from '../../gateways/encryption/root-keys.ts';
import { S3Directory } from '../../gateways/identity/s3-directory.ts';
import { S3Users } from '../../gateways/identity/s3-users.ts';
import type { Identities } from '../../protocol/identities.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { askNode, type Outcome } from './client.ts';
import type { ClusterPort } from './cluster-port.ts';
import { SimViolation } from './violation.ts';

const CTX: RequestContext = { deadlineMs: 2_000, traceparent: null, idempotency: null };
const PATIENCE_MS = 1_500;
const LOOKS_MAX = 12;
const ROOTS = new RootKeys([Buffer.alloc(32, 1)]);
const CLOCK = { wallMs: () => 1 };

/** Ways in which a pair of keys ends, and may be repeated until that is acknowledged. */
const ENDS = ['revoke', 'disable', 'disable user', 'delete', 'delete user'] as const;
type End = (typeof ENDS)[number];

interface Pair {
  readonly user: string;
  readonly id: string;
  readonly secretAccessKey: string;
}

/**
 * A client that makes users of S3 with keys, looks them up at every node as a signature is judged, and ends them. Once an
 * end is acknowledged no node finds the key; once it is enabled again each finds it, with its own secret.
 */
export class S3KeyClient {
  readonly #name: string;
  readonly #cluster: ClusterPort;
  readonly #random: Random;
  /** One for each life of a node, as there. */
  readonly #directories = new WeakMap<Identities, S3Directory>();
  #number = 0;
  #stopped = false;

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
      const pair = await this.#make(`${this.#name}-${this.#number++}`);
      if (pair !== null) await this.#live(pair);
    }
  }

  async #make(user: string): Promise<Pair | null> {
    const wanted = { name: user, displayName: user, email: null, role: 'read_write' as const };
    const made = await this.#ask((identities) => this.#users(identities).createUser(CTX, wanted));
    if (made.kind !== 'ok') return null;
    const outcome = await this.#ask((identities) =>
      this.#users(identities).createKey(CTX, { user, expiresInMs: null }),
    );
    if (outcome.kind !== 'ok') return null;
    const { shown, secretAccessKey } = outcome.value;
    return { user, id: shown.accessKeyId, secretAccessKey };
  }

  async #live(pair: Pair): Promise<void> {
    while (!this.#stopped) {
      for (let i = 0; i < 3; i++) await this.#expect(pair, true);
      const end = ENDS[randomInt(this.#random, 0, ENDS.length - 1)] as End;
      if (!(await this.#until(pair, end))) return;
      const looks = randomInt(this.#random, 1, LOOKS_MAX);
      await Promise.all(Array.from({ length: looks }, () => this.#expect(pair, false)));
      const isLasting = end !== 'disable' && end !== 'disable user';
      if (isLasting || !(await this.#until(pair, end === 'disable' ? 'enable' : 'enable user')))
        return;
    }
  }

  /** Whether it was acknowledged. */
  async #until(pair: Pair, what: End | 'enable' | 'enable user'): Promise<boolean> {
    for (let i = 0; i < 10 && !this.#stopped; i++) {
      const done = await this.#ask((identities) => change(this.#users(identities), pair, what));
      if (done.kind === 'ok') return true;
      await this.#cluster.sleep(100);
    }
    return false;
  }

  async #expect({ id, secretAccessKey }: Pair, isGood: boolean): Promise<void> {
    const outcome = await this.#ask(async (identities) => {
      const found = await this.#directory(identities).keyOf(id);
      return found?.secretAccessKey ?? null;
    });
    if (outcome.kind !== 'ok') return;
    if (outcome.value === (isGood ? secretAccessKey : null)) return;
    throw new SimViolation(
      'ended keys of S3 are refused, and others found',
      `${id} is ${outcome.value === null ? 'unknown' : 'found'}, and not ${isGood ? 'good' : 'ended'}`,
    );
  }

  #users(identities: Identities): S3Users {
    return new S3Users({ identities, roots: ROOTS, random: this.#random, clock: CLOCK });
  }

  #directory(identities: Identities): S3Directory {
    const known = this.#directories.get(identities);
    if (known !== undefined) return known;
    const made = new S3Directory({ identities, roots: ROOTS, clock: CLOCK });
    this.#directories.set(identities, made);
    return made;
  }

  #ask<T>(ask: (identities: Identities) => Promise<T>): Promise<Outcome<T>> {
    const node = randomInt(this.#random, 0, this.#cluster.nodeCount - 1);
    const giveUpMs = CTX.deadlineMs + PATIENCE_MS;
    return askNode(this.#cluster, node, giveUpMs, ({ identities }) => ask(identities));
  }
}

function change(
  users: S3Users,
  { id, user }: Pair,
  what: End | 'enable' | 'enable user',
): Promise<unknown> {
  switch (what) {
    case 'revoke':
      return users.revokeKey(CTX, id);
    case 'delete':
      return users.deleteKey(CTX, id);
    case 'disable':
    case 'enable':
      return users.setKeyState(CTX, id, `${what}d`);
    case 'disable user':
      return users.setUserState(CTX, user, 'disabled');
    case 'enable user':
      return users.setUserState(CTX, user, 'enabled');
    case 'delete user':
      return users.deleteUser(CTX, user);
  }
}
