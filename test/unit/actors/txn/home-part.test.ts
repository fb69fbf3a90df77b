import { describe, expect, it } from 'vitest';
import type { IndexDefinition } from '../../../../protocol/indexes.ts';
import { ABORTED, type TxnBody, type TxnOp, type TxnOpOf } from '../../../../protocol/txn.ts';
import { keyIn, ONCE, THEN, voted, World, yes } from '../../../kit/coordinator-world.ts';
import type { Answer, AskedRequest } from '../../../kit/fake-reach.ts';

describe('the part of the home group', () => {
  const at = (world: World) => world.replica.clock.clock;
  const logged = (world: World): string[] => world.types;
  const votesYes =
    (revision: () => number) =>
    ({ body }: AskedRequest): Answer =>
      body.type === 'TxnPrepare'
        ? voted(yes(revision(), body.part.body.then))
        : { type: 'Done', revision: 7 };

  it('is done by the entry that decides, above what the others prepared at, and locks nothing', async () => {
    const world = new World();
    let prepared = 0;
    world.answer = votesYes(() => {
      prepared = at(world) + 5_000;
      return prepared;
    });
    world.begin(1_000);
    await world.pass(50);
    expect(world.answers).toMatchObject([{ type: 'TxnDone', outcome: { succeeded: true } }]);
    expect(logged(world)).toEqual(['txnCommit']);
    const told = world.asked('TxnResolve')[0]?.ends[0];
    expect(told?.fate.commitRevision).toBeGreaterThan(prepared);
    const [done] = world.answers;
    const outcome = done?.type === 'TxnDone' ? done.outcome : null;
    expect(outcome?.revision).toBe(told?.fate.commitRevision);
    expect(outcome?.results).toMatchObject([
      { type: 'put', createRevision: outcome?.revision, version: 1 },
      { type: 'put', createRevision: outcome?.revision, version: 1 },
    ]);
    expect([world.coordinator.size, world.isLocked]).toEqual([0, false]);
  });

  it('is prepared like the others where a range, a lease or an idempotency key wants it', async () => {
    const lease = { ...(THEN[0] as TxnOpOf<'put'>), attach: { lease: 7, until: 2 ** 50 } };
    const ref = { tenant: 'default', space: 'kv' };
    const range = { type: 'deleteRange', ...ref, start: 'a', end: 'b' } as const;
    const kinds: [typeof ONCE | null, Partial<TxnBody>][] = [
      [ONCE, {}],
      [null, { then: [...THEN, range] }],
      [null, { then: [lease, THEN[1] as TxnOp] }],
    ];
    for (const [key, more] of kinds) {
      const world = new World();
      world.answer = votesYes(() => at(world));
      world.begin(1_000, key, more);
      await world.pass(20);
      expect(logged(world)[0]).toBe('txnPrepare');
      expect(logged(world)).not.toContain('txnCommit');
    }
  });

  const MAIL: IndexDefinition = {
    ...{ id: 7, name: 'mail', tenant: 'default', space: 'kv', prefix: '', kind: 'fields' },
    ...{ fields: [{ path: '/m', steps: ['m'], type: 'string' }], sparse: false, unique: true },
  };
  const unique = [1, 2].map((group): TxnOp => {
    const value = Buffer.from(JSON.stringify({ m: `of ${group}` }));
    return { ...(THEN[group - 1] as TxnOpOf<'put'>), value };
  });
  const votesHeld = ({ body }: AskedRequest): Answer => {
    if (body.type !== 'TxnPrepare') return { type: 'Done', revision: 7 };
    const then = body.part.body.then.map((op) =>
      op.type === 'put'
        ? ({ type: 'put', createRevision: 0, version: 1 } as const)
        : ({ type: 'held' } as const),
    );
    const word = { revision: 7, failedCompare: null, validUntilMs: null, otherwise: [] };
    return voted({ type: 'yes', ...word, then });
  };

  it('is prepared where anything is claimed in a unique index, in whichever group', async () => {
    const results = [{ type: 'put' }, { type: 'put' }];
    for (const claiming of [
      [unique[0], THEN[1]],
      [THEN[0], unique[1]],
    ]) {
      const world = new World();
      world.replica.apply({ type: 'indexes', epoch: 1, indexes: [MAIL] });
      world.answer = votesHeld;
      world.begin(1_000, null, { then: claiming as TxnOp[] });
      await world.pass(100);
      expect(world.answers).toMatchObject([
        { type: 'TxnDone', outcome: { succeeded: true, results } },
      ]);
      expect(logged(world)).toEqual(['txnPrepare', 'txnDecide']);
      const plain = new World();
      plain.replica.apply({ type: 'indexes', epoch: 1, indexes: [MAIL] });
      plain.answer = votesHeld;
      plain.begin(1_000);
      await plain.pass(100);
      expect(logged(plain)).toEqual(['txnCommit']);
    }
  });

  it('begins again with claims when a unique index is defined before it is done', async () => {
    const world = new World();
    world.answer = votesHeld;
    const gate = world.closer.gate.close('n2.1.1') ?? 0;
    world.begin(3_000, null, { then: unique });
    await world.pass(50);
    expect(world.asked('TxnPrepare')).toMatchObject([{ indexEpoch: 0 }]);
    world.replica.apply({ type: 'indexes', epoch: 1, indexes: [MAIL] });
    world.closer.gate.open(gate);
    await world.pass(300);
    expect(logged(world)).toEqual(['txnCommit', 'txnPrepare', 'txnDecide']);
    expect(world.asked('TxnPrepare').at(-1)).toMatchObject({ indexEpoch: 1 });
    expect(world.answers).toMatchObject([
      {
        type: 'TxnDone',
        outcome: { succeeded: true, results: [{ type: 'put' }, { type: 'put' }] },
      },
    ]);
  });

  it('refuses: a compare that fails is told, and the others are unlocked', async () => {
    const world = new World();
    world.answer = votesYes(() => at(world));
    const compares = [
      { ref: keyIn(1), relation: '=', target: { type: 'exists', exists: true } } as const,
    ];
    world.begin(1_000, null, { compares });
    await world.pass(50);
    const outcome = { succeeded: false, failedCompare: 0, results: [] };
    expect(world.answers).toMatchObject([{ type: 'TxnDone', outcome }]);
    expect(world.told.map(({ fate }) => fate)).toEqual([ABORTED]);
  });

  it('asks nobody while others hold its keys, and tries again when they are free', async () => {
    const world = new World();
    world.answer = votesYes(() => at(world));
    const { replica } = world;
    const wallMs = replica.ports.clock.wallMs();
    const id = { home: 2, term: 1, start: replica.clock.assign(1, wallMs) };
    const part = {
      body: { compares: [], then: THEN.slice(0, 1), otherwise: null },
      ...{ comparesAt: [], thenAt: [0], otherwiseAt: [] },
    };
    const revision = replica.clock.assign(1, wallMs);
    replica.apply({ type: 'txnPrepare', revision, epoch: 1, id, part, indexEpoch: 0 });
    world.begin(3_000);
    await world.pass(100);
    expect(world.asked('TxnPrepare')).toEqual([]);
    replica.apply({ type: 'txnResolve', ends: [{ id, fate: ABORTED, removed: [] }] });
    await world.pass(300);
    expect(world.answers).toMatchObject([{ type: 'TxnDone' }]);
  });

  it('is given no revision while a snapshot is being taken', async () => {
    const world = new World();
    world.answer = votesYes(() => at(world));
    const gate = world.closer.gate.close('n2.1.1') ?? 0;
    world.begin(3_000);
    await world.pass(100);
    expect(logged(world)).toEqual([]);
    const seen = at(world) + 1_000;
    world.replica.clock.raise(seen);
    world.closer.gate.open(gate);
    await world.pass(50);
    const [done] = world.answers;
    expect(done?.type === 'TxnDone' && done.outcome.revision > seen).toBe(true);
  });

  it('is not done by a leader of a later term, nor when a vote has run out', async () => {
    const late = new World();
    late.answer = votesYes(() => at(late));
    const gate = late.closer.gate.close('n2.1.1') ?? 0;
    late.begin(3_000);
    await late.pass(50);
    late.raft.currentTerm = 2;
    late.closer.gate.open(gate);
    await late.pass(50);
    expect(late.answers).toMatchObject([{ type: 'Rejected', code: 'not_leader' }]);
    expect(logged(late)).toEqual([]);
    const expired = new World();
    const put = { type: 'put', createRevision: 0, version: 1 } as const;
    const rest = { failedCompare: null, validUntilMs: 0, otherwise: [] };
    expired.answer = ({ body }) =>
      body.type === 'TxnPrepare'
        ? voted({ type: 'yes', revision: at(expired), then: [put], ...rest })
        : { type: 'Done', revision: 7 };
    expired.begin(500);
    await expired.pass(500);
    expect(logged(expired)).toEqual([]);
    expect(expired.answers).toMatchObject([{ type: 'Waited', code: 'conflict' }]);
  });
});
