import { describe, expect, test } from 'vitest';
import { atMost } from '../../../../actors/indexer/builder.ts';
import type { IndexHits, IndexQueryOptions } from '../../../../protocol/index-access.ts';
import type { KvService, RequestContext } from '../../../../protocol/service.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../../../protocol/vshard.ts';
import { definitionOf, fullScan } from '../../../kit/index-history.ts';
import { MemoryCluster } from '../../../kit/memory-cluster.ts';

const ctx: RequestContext = { deadlineMs: 5000, traceparent: null, idempotency: null };
const FIELDS = [['/n', 'number']] as const;
const { id: _, ...BY_N } = definitionOf(1, FIELDS, {
  ...{ name: 'by-n', tenant: DEFAULT_TENANT, space: KV_SPACE, prefix: 'k/' },
});
const ALL: IndexQueryOptions = {
  ...{ eq: null, gt: null, gte: null, lt: null, lte: null, prefix: null },
  ...{ reverse: false, limit: 1000, values: true, revision: null, after: null },
};

function put(service: KvService, key: string, n: number) {
  const ref = { tenant: DEFAULT_TENANT, space: KV_SPACE, key };
  const value = Buffer.from(JSON.stringify({ n }));
  return service.put(ctx, {
    ...{ type: 'put', ref, value, contentType: null, ttlMs: null, condition: null },
  });
}

/** The index and a scan at its revision, by the same node. */
async function expectExact(cluster: MemoryCluster, node: string, revision: number | null = null) {
  const { service } = cluster.node(node);
  const hits: IndexHits['hits'][number][] = [];
  let page: IndexHits | null = null;
  do {
    const at: number | null = page?.revision ?? revision;
    const options: IndexQueryOptions = { ...ALL, revision: at, after: page?.next ?? null };
    page = await cluster.time.until(service.indexes.query(ctx, 'by-n', options));
    hits.push(...page.hits);
  } while (page.next !== null);
  const scan = await cluster.time.until(
    service.scan(ctx, {
      ...{ tenant: DEFAULT_TENANT, space: KV_SPACE, start: 'k/', end: 'k0', reverse: false },
      ...{ limit: 1000, values: true, revision: page.revision, consistency: 'linearizable' },
    }),
  );
  const wanted = fullScan(scan.items, FIELDS, 'k/', false).map(({ key }) => key);
  expect(hits.map(({ item }) => item.ref.key)).toEqual(wanted);
  return { count: wanted.length, revision: page.revision };
}

async function waitLive(cluster: MemoryCluster, node: string): Promise<void> {
  for (let waited = 0; waited < 600; waited++) {
    const [info] = await cluster.time.until(cluster.node(node).service.indexes.list(ctx));
    if (info?.state === 'live') return;
    await cluster.time.pass(100);
  }
  throw new Error('the index does not go live');
}

async function filled(keys: number): Promise<MemoryCluster> {
  const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 2 });
  await cluster.start();
  const { service } = cluster.node('n1');
  const puts = Array.from({ length: keys }, (_, i) => put(service, `k/${i}`, (i * 37) % 101));
  await cluster.time.until(Promise.all(puts));
  return cluster;
}

describe('pieces of work', () => {
  test('are done two at a time, each once', async () => {
    const seen: number[] = [];
    let [running, most] = [0, 0];
    await atMost(2, [1, 2, 3, 4, 5], async (one) => {
      most = Math.max(most, ++running);
      seen.push(one);
      for (let i = 0; i < one; i++) await Promise.resolve();
      running--;
    });
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(most).toBe(2);
    await expect(atMost(2, [1], () => Promise.reject(new Error('gone')))).rejects.toThrow('gone');
  });
});

describe('the index builder', () => {
  test('builds beside writes, goes live on every node, and past revisions stay exact', async () => {
    const cluster = await filled(700);
    const { service } = cluster.node('n2');
    const info = await cluster.time.until(service.indexes.define(ctx, BY_N));
    expect(info.state).toBe('building');
    await expect(cluster.time.until(service.indexes.query(ctx, 'by-n', ALL))).rejects.toMatchObject(
      {
        code: 'index_building',
      },
    );
    for (let i = 0; i < 50; i++) {
      await cluster.time.until(put(cluster.node('n3').service, `k/${i * 9}`, 1000 + i));
    }
    await waitLive(cluster, 'n1');
    const first = await expectExact(cluster, 'n1');
    expect(first.count).toBe(700);
    for (let i = 0; i < 20; i++) await cluster.time.until(put(service, `k/${i}`, -i));
    for (const node of ['n1', 'n2', 'n3']) {
      await expectExact(cluster, node);
      await expectExact(cluster, node, first.revision);
    }
    expect(cluster.fatals).toEqual([]);
  });

  test('goes on where it stood after the node that ran it is gone, paused and resumed', async () => {
    const cluster = await filled(900);
    const { service } = cluster.node('n1');
    await cluster.time.until(service.indexes.define(ctx, BY_N));
    await cluster.time.until(service.indexes.pause(ctx, 'by-n', true));
    await cluster.time.pass(5000);
    const paused = await cluster.time.until(service.indexes.inspect(ctx, 'by-n'));
    expect(paused.info.state).toBe('paused');
    expect(paused.progress.groupsBuilt).toBeLessThan(2);
    await cluster.time.until(put(service, 'k/new', 5));
    await cluster.time.until(service.indexes.pause(ctx, 'by-n', false));
    await cluster.time.pass(30);
    const leader = cluster
      .node('n1')
      .service.status()
      .groups.find(({ group }) => group === 0)?.leader;
    cluster.kill(leader as string);
    const left = ['n1', 'n2', 'n3'].filter((name) => name !== leader);
    await cluster.ready();
    await waitLive(cluster, left[0] as string);
    expect((await expectExact(cluster, left[1] as string)).count).toBe(901);
    await cluster.startNode(leader as string);
    await cluster.ready();
    await expectExact(cluster, leader as string);
  });

  test('a dropped index answers nobody, also not a node that knew it; a new one of its name is another', async () => {
    const cluster = await filled(30);
    const [n1, n2] = [cluster.node('n1').service.indexes, cluster.node('n2').service.indexes];
    await cluster.time.until(n1.define(ctx, BY_N));
    await waitLive(cluster, 'n1');
    await expectExact(cluster, 'n2');
    expect(await cluster.time.until(n1.drop(ctx, 'by-n'))).toBe(true);
    await expect(cluster.time.until(n2.query(ctx, 'by-n', ALL))).rejects.toMatchObject({
      code: 'not_found',
    });
    await cluster.time.until(n1.define(ctx, { ...BY_N, prefix: 'k/1' }));
    await waitLive(cluster, 'n1');
    const page = await cluster.time.until(n2.query(ctx, 'by-n', ALL));
    expect(page.hits).toHaveLength(11);
  });
});
