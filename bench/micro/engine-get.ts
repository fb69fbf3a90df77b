import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compose } from '../../cli/compose.ts';
import { type Config, loadConfig } from '../../cli/config.ts';
import type { BatchOp, KvService, RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT, type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';

/**
 * What one linearizable `KvService.get`, and one `KvService.scan` of 100 keys, costs a single node,
 * without HTTP.
 * `npx tsx bench/micro/engine-get.ts [keys] [rounds]`; prints microseconds of processor time, the
 * least of several rounds.
 */

const KEYS = Number(process.argv[2] ?? 10_000);
const ROUNDS = Number(process.argv[3] ?? 7);
const GETS = 20_000;
const SCANS = 200;
const AT_ONCE = 64;
const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const LATEST = { consistency: 'linearizable' as const, revision: null };

const refOf = (i: number): KeyRef => ({
  tenant: DEFAULT_TENANT,
  space: KV_SPACE,
  key: `key${i}`,
});

function configOf(data: string): Config {
  const flags = { data, port: '0', 'log-level': 'silent' };
  return loadConfig({ flags, env: {}, readFile: () => '' }).config;
}

async function fill(service: KvService): Promise<void> {
  const value = new Uint8Array(100).fill(120);
  for (let at = 0; at < KEYS; at += 1_000) {
    const ops: BatchOp[] = [];
    for (let i = at; i < Math.min(KEYS, at + 1_000); i++) {
      const put = { type: 'put', ref: refOf(i), value, contentType: null } as const;
      ops.push({ kind: 'write', op: { ...put, ttlMs: null, condition: null } });
    }
    await service.batch(CTX, ops);
  }
}

/** `AT_ONCE` readers, each one get after another. */
async function read(service: KvService): Promise<number> {
  let next = 0;
  const start = process.cpuUsage();
  const reader = async (): Promise<void> => {
    while (next < GETS) {
      const { item } = await service.get(CTX, refOf((next++ * 7_919) % KEYS), LATEST);
      if (item === null) throw new Error('a key is missing');
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, reader));
  const { user, system } = process.cpuUsage(start);
  return (user + system) / GETS;
}

/** Pages of 100 from drawn places, one after another. */
async function scan(service: KvService): Promise<number> {
  const start = process.cpuUsage();
  for (let i = 0; i < SCANS; i++) {
    const { key } = refOf((i * 7_919) % KEYS);
    const range = { tenant: DEFAULT_TENANT, space: KV_SPACE, start: key, end: null };
    await service.scan(CTX, { ...range, reverse: false, limit: 100, values: true, ...LATEST });
  }
  const { user, system } = process.cpuUsage(start);
  return (user + system) / SCANS;
}

async function least(measure: () => Promise<number>): Promise<string> {
  let found = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) found = Math.min(found, await measure());
  return found.toFixed(2);
}

const folder = mkdtempSync(join(tmpdir(), 'minikv-get-'));
const node = await compose(configOf(folder));
try {
  await node.ready;
  await fill(node.service);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const figures = [await least(() => read(node.service)), await least(() => scan(node.service))];
  console.log(`${KEYS} keys: get ${figures[0]} us, scan of 100 ${figures[1]} us of processor time`);
} finally {
  await node.stop();
  rmSync(folder, { recursive: true });
}
