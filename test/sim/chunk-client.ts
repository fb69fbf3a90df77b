import { NO_CONDITION } from '../../protocol/object-ops.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import { askNode } from './client.ts';
import type { ClusterPort } from './cluster-port.ts';
import type { History } from './history.ts';
import { settingsOf } from './lifecycle-truth.ts';
import { putOp } from './object-requests.ts';

const DEADLINE_MS = 5_000;
const PATIENCE_MS = 500;
/** Just above what is inline: one chunk each, as small as chunks get. */
const BYTES_MIN = 66_000;
const BYTES_MAX = 80_000;

export const CHUNKED = 'sim-chunks';

/** An object that was acknowledged: `fill` is each of its bytes. */
export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
  readonly fill: number;
}

/** A client that puts objects whose bytes are on the nodes' disks, each under a key of its own, and never takes one away. */
export class ChunkClient {
  readonly #name: string;
  readonly #cluster: ClusterPort;
  readonly #history: History;
  readonly #random: Random;
  readonly #thinkMsMean: number;
  #number = 0;
  #stopped = false;

  constructor(
    name: string,
    cluster: ClusterPort,
    history: History,
    random: Random,
    thinkMsMean: number,
  ) {
    this.#name = name;
    this.#cluster = cluster;
    this.#history = history;
    this.#random = random;
    this.#thinkMsMean = thinkMsMean;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.#cluster.sleep(-Math.log(1 - this.#random.next()) * this.#thinkMsMean);
      if (!this.#stopped) await this.#put();
    }
  }

  async #put(): Promise<void> {
    const key = `${this.#name}-${this.#number++}`;
    const bytes = randomInt(this.#random, BYTES_MIN, BYTES_MAX);
    const fill = randomInt(this.#random, 1, 255);
    const node = randomInt(this.#random, 0, this.#cluster.nodeCount - 1);
    const ref = { tenant: DEFAULT_TENANT, space: CHUNKED, key };
    const ctx = { deadlineMs: DEADLINE_MS, traceparent: null, idempotency: null };
    const giveUpMs = DEADLINE_MS + PATIENCE_MS;
    const outcome = await askNode(this.#cluster, node, giveUpMs, async (_, objects) => {
      const { buckets, data } = objects;
      const wanted = { tenant: DEFAULT_TENANT, name: CHUNKED, owner: 'sim' };
      const known = await buckets.get(ctx, DEFAULT_TENANT, CHUNKED);
      const bucket =
        known ?? (await buckets.create(ctx, { ...wanted, ...settingsOf(CHUNKED) })).bucket;
      const stored = await data.write(ctx, ref, once(Buffer.alloc(bytes, fill)));
      const op = putOp(ref, stored, NO_CONDITION, key);
      const { result, clock } = await objects.apply(ctx, bucket, op);
      this.#history.see(clock);
      return result.type;
    });
    if (outcome.kind === 'ok' && outcome.value === 'put') {
      this.#history.objects.stored.push({ key, bytes, fill });
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}
