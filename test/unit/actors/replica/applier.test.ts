import { describe, expect, it } from 'vitest';
import { positionAfter } from '../../../../actors/apply/position.ts';
import { evolve } from '../../../../actors/raft/evolve.ts';
import type { Command } from '../../../../protocol/commands.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { put } from '../../../kit/applied-group.ts';
import { AppliedLog, BASE, writeAt as write } from '../../../kit/applied-log.ts';

describe('the applier', () => {
  it('applies what is committed in one batch, and tells clock, proposals and feed', () => {
    const world = new AppliedLog();
    const outcomes: string[] = [];
    const asked = world.proposals.ask(write(BASE + 1, 'b'), (o) => outcomes.push(o.type));
    world.log(write(BASE, 'a'), 2);
    world.log(write(BASE + 1, 'b'), 2);
    world.log({ type: 'reserve', bound: BASE + 500 }, 2);
    world.proposals.appended(asked?.proposalId ?? 0, 3, 2);
    const batches = world.store.batches.length;
    expect(world.applier.hasWork()).toBe(true);
    expect(world.applier.step()).toBe(true);
    expect(world.applier.step()).toBe(false);
    expect(world.store.batches.length).toBe(batches + 1);
    expect(world.replica.state.appliedIndex).toBe(4);
    expect(outcomes).toEqual(['applied']);
    const { clock } = world.replica;
    expect([clock.clock, clock.closed, clock.committedBound]).toEqual([
      BASE + 1,
      BASE + 1,
      BASE + 500,
    ]);
    expect(world.replica.ports.telemetry.total('applied_entries')).toBe(4);
  });

  it('tells outcomes only when the feed has all events of the batch', () => {
    const world = new AppliedLog();
    const seen: number[] = [];
    const first = world.proposals.ask(write(BASE, 'a'), () => {
      const request = { type: 'FeedRead' as const, waitMs: 0, limit: 9, prev: false };
      const after = positionAfter(0);
      world.feed.read({ ...request, after }, BASE + 1, 0, (body) => {
        if (body.type === 'Feed') seen.push(...body.events.map(({ revision }) => revision));
      });
    });
    world.log(write(BASE, 'a'), 2);
    world.log(write(BASE + 1, 'b'), 2);
    world.proposals.appended(first?.proposalId ?? 0, 2, 2);
    world.applier.step();
    expect(seen).toEqual([BASE, BASE + 1]);
  });

  it('publishes as leader of the entry’s own term only', () => {
    const world = new AppliedLog();
    world.log(write(BASE, 'a', '00-trace'), 2);
    world.applier.step();
    evolve(world.raft, { type: 'TermAdvanced', term: 3 });
    world.log(write(BASE + 1, 'b'), 2);
    world.applier.step();
    world.replica.leads = false;
    world.log(write(BASE + 2, 'c'), 3);
    world.applier.step();
    const { published, telemetry } = world.replica.ports;
    expect(published.map(({ event, traceparent }) => [event.ref.key, traceparent])).toEqual([
      ['a', '00-trace'],
    ]);
    expect(telemetry.total('events_published')).toBe(1);
  });

  it('pauses while a snapshot is loaded, and while the store is too far behind', () => {
    const world = new AppliedLog();
    world.log(write(BASE, 'a'), 2);
    world.applier.pause(true);
    expect([world.applier.hasWork(), world.applier.step()]).toEqual([false, false]);
    world.applier.pause(false);
    world.store.behindBytes = LIMITS.memtableBytesMax;
    expect([world.applier.hasWork(), world.applier.step()]).toEqual([false, false]);
    world.store.behindBytes = 0;
    expect(world.applier.step()).toBe(true);
  });

  it('F18 is behind when the store is and the log grows; either alone is well', () => {
    const world = new AppliedLog();
    world.store.behindBytes = LIMITS.memtableBytesMax;
    const large = 'x'.repeat(700_000);
    for (let i = 0; i * large.length <= LIMITS.unappliedBytesMax; i++) {
      expect(world.applier.isBehind()).toBe(false);
      world.log({ ...write(BASE + i, 'a'), ops: [put('a', large)] } as Command, 2);
    }
    expect(world.applier.isBehind()).toBe(true);
    world.store.behindBytes = 0;
    expect(world.applier.isBehind()).toBe(false);
    while (world.applier.step());
    world.store.behindBytes = LIMITS.memtableBytesMax;
    expect(world.applier.isBehind()).toBe(false);
  });

  it('does not apply what a quorum has and this node has not synced', () => {
    const world = new AppliedLog();
    world.log(write(BASE, 'a'), 2);
    world.log(write(BASE + 1, 'b'), 2, false);
    expect(world.applier.step()).toBe(true);
    expect(world.replica.state.appliedIndex).toBe(2);
    expect([world.applier.hasWork(), world.applier.step()]).toEqual([false, false]);
  });

  it('cuts a long log into batches', () => {
    const world = new AppliedLog();
    for (let i = 0; i < 1_500; i++) world.log({ type: 'compact', floor: 0 }, 2);
    expect(world.applier.step()).toBe(true);
    expect(world.replica.state.appliedIndex).toBe(1 + 1_024);
    expect(world.applier.hasWork()).toBe(true);
    world.applier.step();
    expect(world.replica.state.appliedIndex).toBe(1_501);
  });
});
