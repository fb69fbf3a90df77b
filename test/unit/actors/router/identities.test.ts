import { expect, it } from 'vitest';
import type { Calls } from '../../../../actors/router/calls.ts';
import { RoutedIdentities } from '../../../../actors/router/identities.ts';
import { AppError } from '../../../../protocol/errors.ts';
import {
  IDENTITY_SETTLE_MS,
  IDENTITY_VIEW_MS,
  type Identities,
} from '../../../../protocol/identities.ts';
import { MemoryCluster } from '../../../kit/memory-cluster.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };

async function started() {
  const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 1 });
  await cluster.start();
  const of = (name: string): Identities => cluster.node(name).service.identities;
  const ask = <T>(name: string, work: (view: Identities) => Promise<T>): Promise<T> =>
    cluster.time.until(work(of(name)));
  return { cluster, of, ask };
}

it('a view is current when it was confirmed, and for a while', async () => {
  const { cluster, of, ask } = await started();
  expect(of('n2').isCurrent()).toBe(false);
  await ask('n2', (view) => view.current(1_000));
  expect(of('n2').isCurrent()).toBe(true);
  expect(of('n2').rows('key/')).toEqual([]);
  // In use it is confirmed again and again.
  for (let i = 0; i < 20; i++) {
    await cluster.time.pass(IDENTITY_VIEW_MS / 2);
    expect(of('n2').isCurrent()).toBe(true);
  }
});

it('what was put is in every view when it is acknowledged, and not before the older ones have ended', async () => {
  const { cluster, of, ask } = await started();
  for (const name of ['n1', 'n2', 'n3']) await ask(name, (view) => view.current(1_000));
  const beforeMs = cluster.time.scheduler.nowMs();
  const row = { name: 'key/a', text: 'one', revision: 0 };
  expect(await ask('n1', (view) => view.put(CTX, row))).toBe(true);
  expect(cluster.time.scheduler.nowMs() - beforeMs).toBeGreaterThanOrEqual(IDENTITY_SETTLE_MS);
  for (const name of ['n1', 'n2', 'n3']) {
    await ask(name, (view) => view.current(1_000));
    expect(of(name).row('key/a')).toMatchObject({ text: 'one' });
  }
  expect(await ask('n2', (view) => view.put(CTX, { ...row, text: 'late' }))).toBe(false);
});

it('a node that is cut off acts on its view no longer than others wait, and on the new one when it is back', async () => {
  const { cluster, of, ask } = await started();
  await ask('n1', (view) => view.put(CTX, { name: 'key/a', text: 'live', revision: 0 }));
  for (const name of ['n1', 'n2', 'n3']) await ask(name, (view) => view.renewed(1_000));
  const leader = ['n1', 'n2', 'n3'].find((name) =>
    cluster
      .node(name)
      .inspect()
      .some(({ group, role }) => group === 0 && role === 'leader'),
  ) as string;
  const [cut, other] = ['n1', 'n2', 'n3'].filter((name) => name !== leader) as [string, string];
  cluster.cut(cut, true);
  const live = of(other).row('key/a');
  const put = ask(other, (view) => view.put(CTX, { ...live!, text: 'revoked' }));
  expect(await put).toBe(true);
  expect(of(cut).row('key/a')).toMatchObject({ text: 'live' });
  expect(of(cut).isCurrent()).toBe(false);
  const refused = await ask(cut, (view) => view.current(300).catch((error) => error.code));
  expect(refused).toBe('unavailable');
  cluster.cut(cut, false);
  await ask(cut, (view) => view.current(5_000));
  expect(of(cut).row('key/a')).toMatchObject({ text: 'revoked' });
});

it('a view that is far behind is read anew', async () => {
  const { of, ask } = await started();
  await ask('n1', (view) => view.current(1_000));
  const names = Array.from({ length: 300 }, (_, i) => `key/${String(i).padStart(3, '0')}`);
  const put = (name: string) => of('n2').put(CTX, { name, text: name, revision: 0 });
  await ask('n2', () => Promise.all(names.map(put)));
  for (const node of ['n1', 'n3']) {
    await ask(node, (view) => view.renewed(2_000));
    expect(
      of(node)
        .rows('key/')
        .map(({ name }) => name),
    ).toEqual(names);
  }
});

it('who waited in vain leaves nothing behind: a view that nobody uses rests, though the meta group is away', async () => {
  const time = new VirtualTime(3);
  const { clock } = time.process();
  let asked = 0;
  const away = () => {
    asked += 1;
    return new Promise((_, reject) =>
      clock.after(30, () => reject(new AppError('unavailable', 'the meta group is away'))),
    );
  };
  const view = new RoutedIdentities({ call: away } as unknown as Calls, clock);
  const waits = Array.from({ length: 8 }, (_, i) =>
    view.renewed(100 + 10 * i).catch(({ code }) => code),
  );
  expect(await time.until(Promise.all(waits))).toEqual(Array(8).fill('unavailable'));
  expect(asked).toBeGreaterThan(1);
  await time.pass(6_000);
  const rested = asked;
  await time.pass(10_000);
  expect(asked).toBe(rested);
});
