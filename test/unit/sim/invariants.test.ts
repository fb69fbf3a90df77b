import { describe, expect, it } from 'vitest';
import type { Command } from '../../../protocol/commands.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../../protocol/vshard.ts';
import { toyGroup } from './toy.ts';

const put = (revision: number): Command => ({
  type: 'write',
  revision,
  epoch: 1,
  ops: [
    {
      type: 'put',
      ref: { tenant: DEFAULT_TENANT, space: KV_SPACE, key: 'k' },
      value: Buffer.from(`v${revision}`),
      contentType: null,
      ttlMs: null,
      condition: null,
    },
  ],
  idempotency: null,
  traceparent: null,
});

/** A leads term 1, has one entry, and everybody has it. */
function settled() {
  const group = toyGroup();
  const { a, b, c, look } = group;
  a.role = 'leader';
  a.append(1);
  a.syncedIndex = 1;
  look(a);
  for (const follower of [b, c]) {
    follower.copyFrom(a, 1);
    look(follower);
  }
  a.commitIndex = 1;
  look(a);
  return group;
}

describe('step invariants', () => {
  it('hold for a group that does as it should', () => {
    const { a, b, look } = settled();
    b.commitIndex = 1;
    look(b);
    a.appliedIndex = 1;
    look(a);
  });

  it('see two leaders of one term (5.2)', () => {
    const { b, look } = settled();
    b.role = 'leader';
    expect(() => look(b)).toThrow(/election safety/);
  });

  it('see logs that differ at one index and term (5.3)', () => {
    const { b, look } = settled();
    b.log[0] = { ...b.log[0]!, bytes: Buffer.from('other bytes') };
    b.append(1);
    expect(() => look(b, 2)).toThrow(/log matching/);
  });

  it('see entries whose predecessors differ (5.3)', () => {
    const { a, b, c, look } = settled();
    a.append(2);
    a.append(3);
    look(a);
    b.append(2);
    look(b);
    b.log[1] = c.append(1);
    b.log.push(a.log[2]!);
    expect(() => look(b)).toThrow(/log matching/);
  });

  it('see a leader that cuts its own log (5.3)', () => {
    const { a, look } = settled();
    a.append(1);
    look(a);
    a.log.pop();
    expect(() => look(a)).toThrow(/leader append-only/);
  });

  it('see a leader without a committed entry (5.4)', () => {
    const { b, look } = settled();
    b.log.pop();
    b.syncedIndex = 0;
    b.currentTerm = 2;
    b.role = 'leader';
    expect(() => look(b)).toThrow(/leader completeness/);
  });

  it('see a committed entry change (5.4.3)', () => {
    const { a, b, look } = settled();
    b.commitIndex = 1;
    look(b);
    b.log.pop();
    b.append(2);
    expect(() => look(b)).toThrow(/committed entries never change/);
    expect(a.log[0]?.term).toBe(1);
  });

  it('see counters that go down (figure 2)', () => {
    const { a, look } = settled();
    a.commitIndex = 0;
    expect(() => look(a)).toThrow(/monotone counters/);
  });

  it('see a commit that no quorum has synced (5.3)', () => {
    const { a, b, look } = settled();
    a.append(1);
    look(a);
    b.copyFrom(a, 2);
    look(b);
    a.commitIndex = 2;
    expect(() => look(a)).toThrow(/synced on a quorum/);
  });

  it('see synced entries that a restart has lost (B14)', () => {
    const { b, look } = settled();
    b.log.pop();
    b.syncedIndex = 0;
    expect(() => look(b, 2)).toThrow(/synced entries survive/);
  });

  it('see a revision that does not grow, or that an earlier term had reserved', () => {
    const back = settled();
    back.a.append(1, put(200), 200);
    back.a.append(1, put(100), 200);
    commitAll(back);
    expect(() => commitAll(back)).toThrow(/revisions grow/);

    const reserved = settled();
    reserved.a.append(1, { type: 'reserve', bound: 500 }, 500);
    commitAll(reserved);
    reserved.a.currentTerm = 2;
    reserved.a.append(2, put(400), 400);
    expect(() => commitAll(reserved)).toThrow(/reserved 500/);
  });

  it('see an event at or below a closed revision', () => {
    const group = settled();
    group.a.closed = 300;
    group.look(group.a);
    group.a.append(1, put(300), 300);
    expect(() => commitAll(group)).toThrow(/closed revisions stay closed/);
  });
});

/** Copies A's log to everybody and commits one more entry. */
function commitAll({ a, b, c, look }: ReturnType<typeof toyGroup>): void {
  a.syncedIndex = a.log.length;
  look(a);
  for (const follower of [b, c]) {
    follower.copyFrom(a, a.log.length);
    look(follower);
  }
  a.commitIndex++;
  look(a);
}
