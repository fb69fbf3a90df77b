import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Change, Truth } from '../../check/truth.ts';
import { checkWatchers, type WatchSeen, type WatchSession } from '../../check/watch.ts';

function put(key: string, revision: number, prevRevision = 0, vshard = 1): Change {
  const ref = { tenant: 'default', space: 'kv', key };
  const value = `${key}${revision}`;
  return { kind: 'put', ref, vshard, revision, prevRevision, value, expiresAtMs: null };
}

const event = (change: Change, initial = false): WatchSeen => {
  const { kind, ref, vshard, revision, prevRevision, value } = change;
  return { type: 'event', kind, ref, vshard, revision, prevRevision, value, initial };
};

const a2 = put('a', 2);
const b4 = put('b', 4);
const c4 = put('c', 4, 0, 9);
const a6 = put('a', 6, 2);
const truth = new Truth([a2, b4, c4, a6]);
const fromZero = { from: 'revision', revision: 0 } as const;
const resumed = { from: 'token' } as const;

function resultOf(sessions: WatchSession[], complete = true, prefix = ''): string {
  const watcher = { name: 'w', tenant: 'default', space: 'kv', prefix, sessions, complete };
  const verdict = checkWatchers(truth, [watcher]);
  return verdict.result === 'ok' ? 'ok' : verdict.reason;
}

const one = (...messages: WatchSeen[]): WatchSession[] => [{ start: fromZero, messages }];

describe('a watch from a revision', () => {
  it('sees every change once and in order', () => {
    expect(resultOf(one(...[a2, b4, c4, a6].map((c) => event(c))))).toBe('ok');
  });

  it('refuses a gap, a repetition, a wrong order and a missing tail', () => {
    expect(resultOf(one(event(a2), event(c4)))).toContain('skipped');
    expect(resultOf(one(event(a2), event(a2)))).toContain('again');
    expect(resultOf(one(event(a2), event(c4), event(b4)))).toContain('skipped');
    expect(resultOf(one(event(a2), event(b4), event(c4)))).toContain('never saw');
    expect(resultOf(one(event(a2), event(b4), event(c4)), false)).toBe('ok');
  });

  it('refuses an event that is not in the history, or differs from it', () => {
    expect(resultOf(one(event(put('a', 3))), false)).toContain('not in the history');
    expect(resultOf(one(event({ ...a2, value: 'x' })), false)).toContain('another value');
    expect(resultOf(one(event({ ...a2, prevRevision: 1 })), false)).toContain('predecessor');
  });

  it('selects by prefix', () => {
    expect(resultOf(one(event(a2), event(a6)), true, 'a')).toBe('ok');
    expect(resultOf(one(event(a2), event(b4)), false, 'a')).toContain('not asked for');
  });
});

describe('progress', () => {
  it('comes after everything up to its revision', () => {
    const progress = { type: 'progress', revision: 4 } as const;
    expect(resultOf(one(event(a2), event(b4), event(c4), progress, event(a6)))).toBe('ok');
    expect(resultOf(one(event(a2), event(b4), progress), false)).toContain('skipped');
  });
});

describe('resume', () => {
  it('goes on exactly after the last message, also among events of one revision', () => {
    const first = { start: fromZero, messages: [event(a2), event(b4)] };
    expect(resultOf([first, { start: resumed, messages: [event(c4), event(a6)] }])).toBe('ok');
    expect(resultOf([first, { start: resumed, messages: [event(a6)] }])).toContain('skipped');
    expect(resultOf([first, { start: resumed, messages: [event(b4)] }])).toContain('again');
  });

  it('nothing follows lagged or compacted on one connection', () => {
    expect(resultOf(one(event(a2), { type: 'lagged' }, event(b4)), false)).toContain(
      'after the end',
    );
    const lagged = { start: fromZero, messages: [event(a2), { type: 'lagged' } as const] };
    const rest = { start: resumed, messages: [event(b4), event(c4), event(a6)] };
    expect(resultOf([lagged, rest])).toBe('ok');
  });
});

describe('a watch with the current state first', () => {
  const start = { from: 'initial' } as const;
  const synced = { type: 'synced', revision: 4 } as const;

  it('gets the versions at the synced revision, then what comes after it', () => {
    const initial = [event(a2, true), event(b4, true), event(c4, true)];
    expect(resultOf([{ start, messages: [...initial, synced, event(a6)] }])).toBe('ok');
  });

  it('refuses a missing item, an item from another moment and an early change', () => {
    expect(resultOf([{ start, messages: [event(a2, true), synced] }], false)).toContain(
      'got nothing',
    );
    const torn = [event(a6, true), event(b4, true), event(c4, true), synced];
    expect(resultOf([{ start, messages: torn }], false)).toContain('"a" is @2');
    expect(resultOf([{ start, messages: [event(a2)] }], false)).toContain('before the initial');
  });
});

describe('a watch from now on', () => {
  it('may begin anywhere up to the first change requested later, and has no gap from there', () => {
    const start = { from: 'now', mustSeeFrom: 6 } as const;
    expect(resultOf([{ start, messages: [event(a6)] }])).toBe('ok');
    expect(resultOf([{ start, messages: [event(b4), event(c4), event(a6)] }])).toBe('ok');
    expect(resultOf([{ start, messages: [event(b4), event(a6)] }])).toContain('skipped');
    expect(resultOf([{ start, messages: [] }])).toContain('never saw');
    const progress = { type: 'progress', revision: 4 } as const;
    expect(resultOf([{ start, messages: [progress, event(c4)] }], false)).toContain(
      'after progress',
    );
  });

  it('may see nothing when nothing was requested later', () => {
    const start = { from: 'now', mustSeeFrom: Number.POSITIVE_INFINITY } as const;
    expect(resultOf([{ start, messages: [] }])).toBe('ok');
  });
});

it('accepts any cutting of a history into connections, and refuses it with one event removed', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(cuts, fc.nat(), (sizes, pick) => {
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const changes = Array.from({ length: total }, (_, i) => put(`k${i}`, (i >> 1) + 1, 0, i % 2));
      const all = changes.map((change) => event(change));
      let at = 0;
      const sessions = sizes.map((size, i): WatchSession => {
        const messages = all.slice(at, at + size);
        at += size;
        return { start: i === 0 ? fromZero : resumed, messages };
      });
      const watcher = {
        name: 'w',
        tenant: 'default',
        space: 'kv',
        prefix: '',
        sessions,
        complete: true,
      };
      expect(checkWatchers(new Truth(changes), [watcher]).result).toBe('ok');
      const gone = all[pick % total];
      const cut = sessions.map((s) => ({ ...s, messages: s.messages.filter((m) => m !== gone) }));
      const holed = { ...watcher, sessions: cut };
      expect(checkWatchers(new Truth(changes), [holed]).result).toBe('violation');
    }),
  );
});
