/**
 * A page of 1,000 common prefixes out of one group whose listing knows nothing yet, as after a start, on LevelDB:
 * processor time and time of objects, of versions, and of objects once gaps are remembered.
 *
 *   npx tsx bench/micro/list-folders.ts [keys in each folder: 31] [rounds: 3]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listObjects } from '../../actors/apply/object-list.ts';
import { listVersions } from '../../actors/apply/object-version-list.ts';
import { systemClock } from '../../cli/system-clock.ts';
import { NO_CONDITION } from '../../protocol/object-ops.ts';
import { NO_HEAD } from '../../protocol/objects.ts';
import { openClassicEngine } from '../../storage/kv/classic-engine.ts';
import { MemtableStore } from '../../storage/kv/state-store.ts';
import { AppliedGroup } from '../../test/kit/applied-group.ts';
import type { MemoryState } from '../../test/kit/memory-state.ts';
import { BUCKET, objectRef, RULE, VOTERS } from '../../test/kit/object-history.ts';

const PER_FOLDER = Number(process.argv[2] ?? 31);
const ROUNDS = Number(process.argv[3] ?? 3);
const FOLDERS = 1_000;
const KEYS_PER_TURN = 500;

const clock = systemClock({ holdOpen: true });
const folder = mkdtempSync(join(tmpdir(), 'minikv-list-'));
const store = new MemtableStore(
  await openClassicEngine(join(folder, 'kv'), { bootId: 'bench', clock }),
  clock,
  {
    ...{ memtableBytes: 8 * 1024 * 1024, memtableAgeMs: 1_000, mayWrite: () => true },
    onFatal: (error) => {
      throw error;
    },
  },
);
// What a group uses of its store, any store has.
const openGroup = (): AppliedGroup => new AppliedGroup(store as unknown as MemoryState);

async function fill(): Promise<void> {
  const group = openGroup();
  group.apply({ type: 'bucket', rule: RULE });
  const name = (n: number): string => String(n).padStart(7, '0');
  const data = { head: NO_HEAD, data: null, checksum: null, ttlMs: null } as const;
  for (let n = 0; n < FOLDERS * PER_FOLDER; n++) {
    const ref = objectRef(`shared/${name(n % FOLDERS)}/${name(n)}`);
    const etag = '5d41402abc4b2a76b9719d911017c592';
    group.apply({
      ...{ type: 'object', revision: group.nextRevision(), epoch: 1, bucket: RULE.id },
      ...{ founders: VOTERS, idempotency: null, traceparent: null },
      op: { type: 'put', ref, size: 0, etag, ...data, condition: NO_CONDITION },
    });
    if (n % KEYS_PER_TURN === 0) await new Promise((resolved) => setImmediate(resolved));
  }
  await store.flush();
}

await fill();
for (let round = 0; round < ROUNDS; round++) {
  const view = openGroup().state.view();
  const query = { ...BUCKET, prefix: 'shared/', start: '', delimiter: '/', limit: FOLDERS };
  const asked = { ...query, bytesMax: 10_000_000 };
  for (const what of ['objects', 'versions', 'objects again'] as const) {
    const used = process.cpuUsage();
    const startMs = performance.now();
    const page =
      what === 'versions'
        ? await listVersions(view, { ...asked, below: 0 }, view.clock)
        : await listObjects(view, asked, view.clock);
    const ms = performance.now() - startMs;
    const { user, system } = process.cpuUsage(used);
    if (page === 'compacted' || page.entries.length !== FOLDERS) throw new Error('another page');
    const cpuMs = ((user + system) / 1000).toFixed(0);
    console.log(`${what}: ${cpuMs} ms of processor time, ${ms.toFixed(0)} ms`);
  }
  await view.close();
}
await store.close();
rmSync(folder, { recursive: true });
