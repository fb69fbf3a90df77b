import { describe, expect, it } from 'vitest';
import { encodeCatalog } from '../../../../actors/indexer/catalog.ts';
import { RoutedIndexes } from '../../../../actors/router/indexes.ts';
import { initialShardMap } from '../../../../actors/router/shard-map.ts';
import { Snapshots } from '../../../../actors/router/snapshots.ts';
import type { IndexHits, IndexInfo, SearchHits } from '../../../../protocol/index-access.ts';
import { encodeString } from '../../../../protocol/index-encoding.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { ref } from '../../../kit/applied-group.ts';
import { itemAt } from '../../../kit/change-events.ts';
import { type Answer, FakeReach } from '../../../kit/fake-reach.ts';

const CTX = { deadlineMs: 1_000, traceparent: null, idempotency: null };
const EVERYTHING = {
  ...{ eq: null, gt: null, gte: null, lt: null, lte: null, prefix: null, reverse: false },
  ...{ limit: 10, values: true, revision: null, after: null },
};
const REST = { tenant: 't1', space: 'kv', prefix: '', sparse: false, state: 'live' } as const;
const FIELDS: IndexInfo = {
  ...{ id: 1, name: 'city', kind: 'fields', ...REST },
  fields: [{ path: '/c', steps: ['c'], type: 'string' }],
};
const TEXT: IndexInfo = { id: 2, name: 'text', kind: 'text', fields: [], ...REST };

/** Three groups that each have one hit. */
class World {
  readonly reach = new FakeReach();
  readonly indexes: RoutedIndexes;
  /** What each Close answers, in order; true afterwards. */
  closes: boolean[] = [];

  constructor() {
    const map = initialShardMap(3);
    for (let group = 0; group <= 3; group++) {
      this.reach.leaders.set(group as GroupId, 'n2' as NodeId);
    }
    const json = encodeCatalog({ epoch: 1, nextId: 3, indexes: [FIELDS, TEXT] });
    const row = { name: 'indexes', json, revision: 1 };
    this.reach.answer = ({ group, body }): Answer => {
      const clock = 40 + group;
      if (body.type === 'MetaRead') return { type: 'MetaRows', rows: [row], clock };
      if (body.type === 'ReadClock') return { type: 'Clock', clock, gate: group * 10 };
      if (body.type === 'Close') {
        return { type: 'Closed', closed: clock, wasClosed: this.closes.shift() ?? true };
      }
      const hits = [{ encoded: encodeString(`c${group}`), item: itemAt(ref(`k${group}`), 1) }];
      return { type: 'IndexPage', hits, reached: null, rows: 1, clock };
    };
    const { calls, clock } = this.reach;
    const snapshots = new Snapshots(calls, clock, () => map, 'n1.7');
    const host = { map: () => map, indexesChanged: () => {} };
    this.indexes = new RoutedIndexes(calls, host, snapshots, 't1');
  }

  async query(revision: number | null = null): Promise<IndexHits> {
    const asked = this.indexes.query(CTX, 'city', { ...EVERYTHING, revision });
    return (await this.reach.outcome(asked)) as IndexHits;
  }

  bodies<T extends string>(type: T) {
    return this.reach.asked.flatMap(({ body }) => (body.type === type ? [body] : []));
  }
}

describe('a query of the latest', () => {
  it('is of one snapshot: every gate is closed until its group has closed the revision', async () => {
    const world = new World();
    const { hits, revision } = await world.query();
    expect(revision).toBe(43);
    expect(hits.map(({ item }) => item.ref.key)).toEqual(['k1', 'k2', 'k3']);
    expect(world.bodies('ReadClock')).toHaveLength(3);
    for (const body of world.bodies('ReadClock'))
      expect(body).toMatchObject({ snapshot: 'n1.7.1' });
    expect(world.bodies('Close')).toHaveLength(3);
    for (const body of world.bodies('Close')) expect(body).toMatchObject({ revision: 43 });
    for (const body of world.bodies('IndexQuery')) expect(body).toMatchObject({ revision: 43 });
  });

  it('is done again when a gate was open in between', async () => {
    const world = new World();
    world.closes = [true, true, false];
    expect((await world.query()).hits).toHaveLength(3);
    expect(world.bodies('ReadClock')).toHaveLength(6);
    expect(world.bodies('IndexQuery')).toHaveLength(6);
  });

  it('at a revision that is named needs no gate', async () => {
    const world = new World();
    expect((await world.query(42)).revision).toBe(42);
    expect(world.bodies('Close')).toHaveLength(0);
    for (const body of world.bodies('IndexQuery')) expect(body).toMatchObject({ revision: 42 });
  });
});

it('a search of the latest is of one snapshot, and done again like a query', async () => {
  const world = new World();
  world.closes = [false];
  const options = { text: 'abc', prefix: '', limit: 10, values: true, revision: null, after: '' };
  const found = (await world.reach.outcome(world.indexes.search(CTX, options))) as SearchHits;
  expect(found.items.map(({ ref: { key } }) => key)).toEqual(['k1', 'k2', 'k3']);
  expect(world.bodies('Close')).toHaveLength(6);
  expect(world.bodies('IndexSearch')).toHaveLength(6);
});
