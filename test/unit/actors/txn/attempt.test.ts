import { describe, expect, it } from 'vitest';
import {
  type Attempt,
  type AttemptEffect,
  type AttemptEvent,
  beginAttempt,
  coordinate,
  fateInMemory,
} from '../../../../actors/txn/attempt.ts';
import type { TxnVote } from '../../../../protocol/messages/txn.ts';
import { REVISIONS_PER_MS, wallMsOfRevision } from '../../../../protocol/revision.ts';
import { ABORTED, type TxnBody, type TxnOp } from '../../../../protocol/txn.ts';
import type { GroupId } from '../../../../protocol/types.ts';

const [G1, G2, G3] = [1, 2, 3] as GroupId[] as [GroupId, GroupId, GroupId];

function yes(revision: number, more: Partial<Extract<TxnVote, { type: 'yes' }>> = {}): TxnVote {
  return {
    ...{ type: 'yes', revision, failedCompare: null, validUntilMs: null, then: [], otherwise: [] },
    ...more,
  };
}

const NOBODY: readonly GroupId[] = [];
const NOTHING: TxnBody = { compares: [], then: [], otherwise: null };

/** A put that attaches under a promise up to `until`. */
function attached(key: string, until: number): TxnOp {
  const ref = { tenant: 'default', space: 'kv', key };
  const rest = { value: new Uint8Array(), contentType: null, ttlMs: null };
  return { type: 'put', ref, ...rest, attach: { lease: 7, until } };
}

/** One attempt, fed with events; keeps what followed. */
class Run {
  attempt: Attempt;
  readonly asked: readonly AttemptEffect[];
  readonly effects: AttemptEffect[] = [];

  constructor(groups: GroupId[] = [G1, G2], remembered = false, body = NOTHING, silent = NOBODY) {
    const begun = beginAttempt(body, groups, remembered, (group) => silent.includes(group));
    this.attempt = begun.attempt;
    this.asked = begun.effects;
  }

  on(event: AttemptEvent): AttemptEffect[] {
    const { attempt, effects } = coordinate(this.attempt, event, G1);
    this.attempt = attempt;
    this.effects.push(...effects);
    return [...effects];
  }

  vote(group: GroupId, vote: TxnVote): AttemptEffect[] {
    return this.on({ type: 'voted', group, vote });
  }
}

const COMMIT = { commitRevision: 7, succeeded: true };

describe('P1 a commit needs every vote, and takes the highest revision', () => {
  it('proposes nothing before the last one', () => {
    const run = new Run([G1, G2, G3]);
    expect(run.vote(G1, yes(5))).toEqual([]);
    expect(run.vote(G3, yes(7))).toEqual([]);
    expect(run.vote(G2, yes(6))).toEqual([{ type: 'decide', fate: COMMIT, failed: null }]);
    expect(run.attempt.phase).toBe('deciding');
  });

  it('counts a vote once, and none of a group that was not asked', () => {
    const run = new Run();
    run.vote(G1, yes(5));
    expect(run.vote(G1, yes(9))).toEqual([]);
    expect(run.vote(G3, yes(99))).toEqual([]);
    expect(run.vote(G2, yes(7))).toEqual([{ type: 'decide', fate: COMMIT, failed: null }]);
  });

  it('names the other branch when a compare failed anywhere', () => {
    const run = new Run();
    run.vote(G1, yes(5));
    const fate = { commitRevision: 7, succeeded: false };
    expect(run.vote(G2, yes(7, { failedCompare: 3 }))).toEqual([
      { type: 'decide', fate, failed: null },
    ]);
  });

  it('is done again when a key it counts on has expired by then', () => {
    const late = 10 * REVISIONS_PER_MS;
    const run = new Run();
    run.vote(G1, yes(5, { validUntilMs: wallMsOfRevision(late) }));
    expect(run.vote(G2, yes(late))).toEqual([
      { type: 'tell', verdict: { type: 'conflict' } },
      { type: 'unlock', group: G1 },
      { type: 'unlock', group: G2 },
    ]);
  });
});

describe('P1 without the home group among those that prepare', () => {
  const run = (): Run => new Run([G2, G3]);
  const commit = (failedCompare: number | null = null, validUntilMs = Number.POSITIVE_INFINITY) => [
    { type: 'commit', above: 7, validUntilMs, failedCompare },
  ];

  it('its part is done with the decision, above the highest of the others', () => {
    const one = run();
    expect(one.vote(G2, yes(7))).toEqual([]);
    expect(one.vote(G3, yes(6, { validUntilMs: 99 }))).toEqual(commit(null, 99));
    expect([one.attempt.phase, fateInMemory(one.attempt)]).toEqual(['deciding', null]);
    expect(one.on({ type: 'expired' })).toEqual([]);
    const two = run();
    two.vote(G2, yes(7, { failedCompare: 4 }));
    expect(two.vote(G3, yes(6, { failedCompare: 2 }))).toEqual(commit(2));
  });

  it('P2 the asker and the others hear of it when it is applied', () => {
    const one = run();
    one.vote(G2, yes(7));
    one.vote(G3, yes(6));
    const fate = { commitRevision: 9, succeeded: true };
    const vote = yes(9) as Extract<TxnVote, { type: 'yes' }>;
    const votes = [...one.attempt.votes, { group: G1, vote }];
    expect(one.on({ type: 'committed', fate, home: G1, vote })).toEqual([
      { type: 'tell', verdict: { type: 'committed', fate, votes } },
      { type: 'announce', fate, groups: [G2, G3] },
    ]);
    expect(one.attempt.phase).toBe('over');
  });

  it('P3 what it has against its part unlocks the others, and so does an abort that came first', () => {
    const verdict = { type: 'compareFailed', at: 3, revision: 9 } as const;
    for (const [event, told] of [
      [{ type: 'refused', verdict }, verdict],
      [{ type: 'decided', fate: ABORTED, outcome: null }, { type: 'conflict' }],
      [{ type: 'tooLarge' }, { type: 'tooLarge' }],
    ] as const) {
      const one = run();
      one.vote(G2, yes(7));
      one.vote(G3, yes(6));
      expect(one.on(event)).toEqual([
        { type: 'tell', verdict: told },
        { type: 'unlock', group: G2 },
        { type: 'unlock', group: G3 },
      ]);
      expect(one.attempt.phase).toBe('over');
    }
  });
});

describe('P2 nobody hears of a commit before it is applied', () => {
  it('tells the asker and the participants then, the home group being done with it', () => {
    const run = new Run();
    run.vote(G1, yes(5));
    run.vote(G2, yes(7));
    expect(run.effects.map(({ type }) => type)).toEqual(['decide']);
    expect(fateInMemory(run.attempt)).toBeNull();
    const { votes } = run.attempt;
    expect(run.on({ type: 'decided', fate: COMMIT, outcome: null })).toEqual([
      { type: 'tell', verdict: { type: 'committed', fate: COMMIT, votes } },
      { type: 'announce', fate: COMMIT, groups: [G2] },
    ]);
    // The log knows it.
    expect([run.attempt.phase, fateInMemory(run.attempt)]).toEqual(['over', null]);
  });

  it('follows the decision that stands: an inquiry may have aborted it', () => {
    const run = new Run();
    run.vote(G1, yes(5));
    run.vote(G2, yes(7));
    expect(run.on({ type: 'decided', fate: ABORTED, outcome: null })).toEqual([
      { type: 'tell', verdict: { type: 'conflict' } },
      { type: 'unlock', group: G2 },
    ]);
  });

  it('repeats the answer of an earlier attempt of the same request', () => {
    const run = new Run([G1, G2], true);
    run.vote(G1, yes(5));
    run.vote(G2, yes(7));
    const outcome = { succeeded: true, failedCompare: null, revision: 3, results: [] };
    expect(run.on({ type: 'decided', fate: ABORTED, outcome })[0]).toEqual({
      ...{ type: 'tell', verdict: { type: 'answered', outcome } },
    });
  });

  it('says what is known when the entry is lost: certainly not, or nobody can tell', () => {
    for (const [definite, type] of [
      [true, 'notLeader'],
      [false, 'unknown'],
    ] as const) {
      const run = new Run();
      run.vote(G1, yes(5));
      run.vote(G2, yes(7));
      expect(run.on({ type: 'undecided', definite })).toEqual([
        { type: 'tell', verdict: { type } },
      ]);
      expect(run.attempt.phase).toBe('over');
    }
  });
});

describe('P3 a commit is told until it is confirmed, an abort once', () => {
  it('hands a commit over with everybody who does not know it, and keeps nothing of it', () => {
    const run = new Run([G1, G2, G3]);
    for (const group of [G1, G2, G3]) run.vote(group, yes(7));
    const effects = run.on({ type: 'decided', fate: COMMIT, outcome: null });
    expect(effects[1]).toEqual({ type: 'announce', fate: COMMIT, groups: [G2, G3] });
    expect(run.attempt.phase).toBe('over');
  });

  it('a refusal unlocks those who have voted, and those whose vote comes later', () => {
    const run = new Run([G1, G2, G3]);
    run.vote(G1, yes(5));
    expect(run.vote(G2, { type: 'conflict' })).toEqual([
      { type: 'tell', verdict: { type: 'conflict' } },
      { type: 'unlock', group: G1 },
    ]);
    expect([run.attempt.phase, fateInMemory(run.attempt)]).toEqual(['aborting', ABORTED]);
    expect(run.vote(G3, yes(6))).toEqual([{ type: 'unlock', group: G3 }]);
    expect(run.attempt.phase).toBe('over');
  });

  it('a group that does not answer finds out by itself whether it has prepared', () => {
    for (const type of ['unanswered', 'silent'] as const) {
      const run = new Run();
      run.vote(G1, yes(5));
      const verdict = { type: type === 'silent' ? 'silent' : 'unavailable' };
      expect(run.on({ type, group: G2 })).toEqual([
        { type: 'tell', verdict },
        { type: 'unlock', group: G1 },
      ]);
      expect(run.attempt.phase).toBe('over');
    }
  });

  it('nothing is kept of an abort once nobody is asked any more', () => {
    const run = new Run([G1, G2, G3]);
    run.vote(G1, yes(5));
    run.on({ type: 'expired' });
    expect(run.attempt.phase).toBe('aborting');
    expect(run.on({ type: 'unanswered', group: G2 })).toEqual([]);
    expect(run.on({ type: 'silent', group: G3 })).toEqual([]);
    expect(run.attempt.phase).toBe('over');
  });

  it('what is too large holds locks too', () => {
    const run = new Run();
    run.vote(G1, yes(5));
    expect(run.vote(G2, { type: 'tooLarge' })).toEqual([
      { type: 'tell', verdict: { type: 'tooLarge' } },
      { type: 'unlock', group: G1 },
      { type: 'unlock', group: G2 },
    ]);
  });

  it('is unlocked when its decision turns out to be too large', () => {
    const run = new Run();
    run.vote(G1, yes(5));
    run.vote(G2, yes(7));
    expect(run.on({ type: 'tooLarge' })).toEqual([
      { type: 'tell', verdict: { type: 'tooLarge' } },
      { type: 'unlock', group: G1 },
      { type: 'unlock', group: G2 },
    ]);
  });

  it('gives up at its deadline while votes are open, never when it decides', () => {
    const run = new Run();
    run.vote(G1, yes(5));
    expect(run.on({ type: 'expired' })[0]).toEqual({ type: 'tell', verdict: { type: 'silent' } });
    const deciding = new Run();
    deciding.vote(G1, yes(5));
    deciding.vote(G2, yes(7));
    expect(deciding.on({ type: 'expired' })).toEqual([]);
  });
});

describe('P5 a group that was silent votes before anybody else locks', () => {
  it('asks it alone, then the others', () => {
    const run = new Run([G1, G2, G3], false, NOTHING, [G2]);
    expect(run.asked).toEqual([{ type: 'prepare', groups: [G2] }]);
    expect(run.vote(G1, yes(1))).toEqual([]);
    expect(run.vote(G2, yes(5))).toEqual([{ type: 'prepare', groups: [G1, G3] }]);
    expect(run.vote(G3, yes(7))).toEqual([]);
    expect(run.vote(G1, yes(6))).toEqual([{ type: 'decide', fate: COMMIT, failed: null }]);
  });

  it('asks nobody else when it does not vote, or not yes', () => {
    const silent = new Run([G1, G2], false, NOTHING, [G2]);
    expect(silent.on({ type: 'expired' })).toEqual([{ type: 'tell', verdict: { type: 'silent' } }]);
    expect(silent.vote(G2, yes(5))).toEqual([{ type: 'unlock', group: G2 }]);
    expect(silent.attempt.phase).toBe('over');
    const refused = new Run([G1, G2], false, NOTHING, [G2]);
    expect(refused.vote(G2, { type: 'conflict' })).toHaveLength(1);
    expect(refused.attempt.phase).toBe('over');
  });

  it('asks all at once when nobody was silent', () => {
    expect(new Run([G1, G2, G3]).asked).toEqual([{ type: 'prepare', groups: [G1, G2, G3] }]);
  });
});

describe('a failed compare without another branch', () => {
  const failed = { type: 'compareFailed', at: 2, revision: 8 } as const;

  it('is told at once', () => {
    const run = new Run();
    run.vote(G1, yes(5));
    expect(run.vote(G2, failed)).toEqual([
      { type: 'tell', verdict: failed },
      { type: 'unlock', group: G1 },
    ]);
  });

  it('is written down first where the request is to be remembered', () => {
    const run = new Run([G1, G2], true);
    run.vote(G1, yes(5));
    expect(run.vote(G2, failed)).toEqual([
      { type: 'decide', fate: ABORTED, failed },
      { type: 'unlock', group: G1 },
    ]);
    expect(run.attempt.phase).toBe('refusing');
    expect(run.on({ type: 'decided', fate: ABORTED, outcome: null })).toEqual([
      { type: 'tell', verdict: failed },
    ]);
    expect(run.attempt.phase).toBe('over');
  });
});

describe('P4 a commit is at or below every promise about the leases it attaches to', () => {
  const aborted = (verdict: object): object[] => [
    { type: 'tell', verdict },
    { type: 'unlock', group: G1 },
    { type: 'unlock', group: G2 },
  ];
  const voted = (then: TxnOp[], otherwise: TxnOp[] | null, failedCompare: number | null = null) => {
    const run = new Run([G1, G2], false, { compares: [], then, otherwise });
    run.vote(G1, yes(5));
    return run.vote(G2, yes(7, { failedCompare }));
  };

  it('commits at the last revision of a promise, not above it', () => {
    expect(voted([attached('a', 7), attached('b', 9)], null)).toEqual([
      { type: 'decide', fate: COMMIT, failed: null },
    ]);
    expect(voted([attached('a', 9), attached('b', 6)], null)).toEqual(
      aborted({ type: 'leaseStale', revision: 7 }),
    );
  });

  it('says so when a lease is not there, whatever the other promises are', () => {
    expect(voted([attached('a', 6), attached('b', 0)], null)).toEqual(
      aborted({ type: 'leaseStale', revision: 0 }),
    );
  });

  it('looks only at the branch that is done', () => {
    expect(voted([attached('a', 9)], [attached('b', 0)])).toEqual([
      { type: 'decide', fate: COMMIT, failed: null },
    ]);
    expect(voted([attached('a', 9)], [attached('b', 0)], 0)).toEqual(
      aborted({ type: 'leaseStale', revision: 0 }),
    );
  });

  it('remembers no such refusal under an idempotency key: the next attempt may do it', () => {
    const body = { compares: [], then: [attached('a', 6)], otherwise: null };
    const run = new Run([G1, G2], true, body);
    run.vote(G1, yes(5));
    const verdict = { type: 'leaseStale', revision: 7 };
    expect(run.vote(G2, yes(7))).toEqual(aborted(verdict));
  });
});
