import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DurableRaftEvent } from '../../../../actors/raft/events.ts';
import { evolve } from '../../../../actors/raft/evolve.ts';
import { createRaftState } from '../../../../actors/raft/state.ts';
import { decodeEvent, encodeEvent } from '../../../../actors/raft/wal-codec.ts';
import { DecodeError } from '../../../../protocol/codec.ts';
import { ENTRY_KINDS, makeEntry } from '../../../../protocol/entry.ts';
import { encodeConfig } from '../../../../protocol/membership.ts';
import { command, config, configEntry, id } from '../../../kit/raft-given.ts';

const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const replica = fc.constantFrom('a', 'b', 'c').map(id);
const members = fc.uniqueArray(replica, { maxLength: 3 });
const groupConfig = fc.record({
  voters: members,
  votersOld: fc.option(members, { nil: null }),
  learners: members,
});
const base = { baseIndex: count, baseTerm: count, baseConfig: groupConfig, clockBound: count };

const entries = fc
  .tuple(
    fc.nat({ max: 2 ** 50 }),
    fc.nat({ max: 2 ** 40 }),
    fc.array(
      fc.record({
        kind: fc.constantFrom(...ENTRY_KINDS),
        rise: fc.nat({ max: 3 }),
        payload: fc.uint8Array({ maxLength: 40 }),
        members: groupConfig,
      }),
      { minLength: 1, maxLength: 6 },
    ),
  )
  .map(([prevLogIndex, firstTerm, items]): DurableRaftEvent => {
    let term = firstTerm;
    const list = items.map(({ kind, rise, payload, members }, at) => {
      term += rise;
      const fields = { index: prevLogIndex + 1 + at, term, kind, clockBound: at };
      return makeEntry(fields, kind === 'config' ? encodeConfig(members) : payload);
    });
    return { type: 'EntriesAppended', prevLogIndex, entries: list };
  });

const event: fc.Arbitrary<DurableRaftEvent> = fc.oneof(
  fc.record({ type: fc.constant('TermAdvanced' as const), term: count }),
  fc.record({ type: fc.constant('VoteCast' as const), candidateId: replica }),
  fc.record({ type: fc.constant('LogCompacted' as const), ...base }),
  fc.record({
    type: fc.constant('HardStateSaved' as const),
    currentTerm: count,
    votedFor: fc.option(replica, { nil: null }),
    ...base,
  }),
  fc.record({
    type: fc.constant('SnapshotRestored' as const),
    meta: fc.record({
      snapshotId: fc.string({ maxLength: 64 }),
      lastIncludedIndex: count,
      lastIncludedTerm: count,
      config: groupConfig,
      clockBound: count,
      totalBytes: count,
    }),
  }),
  entries,
);

/** Buffers and plain arrays of bytes alike. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, each: unknown) =>
      each instanceof Uint8Array ? Buffer.from(each).toString('hex') : each,
    ),
  );
}

/** A Buffer has its own toJSON, which runs before the replacer. */
function comparable(value: DurableRaftEvent): unknown {
  if (value.type !== 'EntriesAppended') return plain(value);
  const list = value.entries.map((entry) => ({ ...entry, bytes: Uint8Array.from(entry.bytes) }));
  return plain({ ...value, entries: list });
}

describe('wal-codec', () => {
  test('encode then decode is identity', () => {
    fc.assert(
      fc.property(event, (value) => {
        expect(comparable(decodeEvent(encodeEvent(value)))).toEqual(comparable(value));
      }),
      { numRuns: 300 },
    );
  });

  test('decoding any bytes throws only DecodeError', () => {
    const prefixed = fc
      .tuple(fc.constantFrom(0, 1, 2), fc.constantFrom(0, 1, 2), fc.uint8Array({ maxLength: 80 }))
      .map(([version, tag, rest]) => Uint8Array.from([version, tag, ...rest]));
    fc.assert(fc.property(fc.oneof(prefixed, fc.uint8Array({ maxLength: 80 })), decodesOrRefuses), {
      numRuns: 2000,
    });
  });

  test('decoding a damaged record throws only DecodeError', () => {
    fc.assert(
      fc.property(event, fc.nat(), fc.nat({ max: 255 }), fc.nat(), (value, at, byte, cut) => {
        const bytes = encodeEvent(value).slice();
        bytes[at % bytes.length] = byte;
        decodesOrRefuses(bytes);
        decodesOrRefuses(bytes.subarray(0, cut % bytes.length));
      }),
      { numRuns: 1000 },
    );
  });

  test('entries keep the bytes that went to the followers', () => {
    const entry = command(1, 1, 'payload');
    const bytes = encodeEvent({ type: 'EntriesAppended', prevLogIndex: 0, entries: [entry] });
    expect(Buffer.from(bytes).includes(Buffer.from(entry.bytes))).toBe(true);
    const back = decodeEvent(bytes);
    const first = back.type === 'EntriesAppended' ? back.entries[0] : undefined;
    expect(first?.bytes.buffer).toBe(bytes.buffer);
  });

  test('an unknown version or a configuration that does not decode is refused', () => {
    const good = encodeEvent({ type: 'TermAdvanced', term: 1 });
    expect(() => decodeEvent(Uint8Array.from([9, ...good.subarray(1)]))).toThrow(DecodeError);
    expect(() => decodeEvent(new Uint8Array(0))).toThrow(DecodeError);
    const fields = { index: 1, term: 1, kind: 'config' as const, clockBound: 0 };
    const bad = makeEntry(fields, Uint8Array.from([1, 2, 3]));
    const bytes = encodeEvent({ type: 'EntriesAppended', prevLogIndex: 0, entries: [bad] });
    expect(() => decodeEvent(bytes)).toThrow(DecodeError);
  });

  test('a checkpoint cut short by a crash loses nothing', () => {
    const state = createRaftState({ self: id('a'), seed: 1 });
    const joint = config('a b', 'a', '');
    const list = [command(1, 1), configEntry(2, 1, joint), command(3, 2)];
    evolve(state, { type: 'EntriesAppended', prevLogIndex: 0, entries: list });
    const { baseIndex, baseTerm } = state.log;
    const baseConfig = state.log.pointAt(0).config;
    const hard = { currentTerm: 2, votedFor: null, baseIndex, baseTerm, baseConfig, clockBound: 0 };
    evolve(state, { type: 'HardStateSaved', ...hard });
    evolve(state, { type: 'EntriesAppended', prevLogIndex: 0, entries: list.slice(0, 1) });
    expect([state.log.lastIndex, state.log.config]).toEqual([3, joint]);
  });
});

function decodesOrRefuses(bytes: Uint8Array): void {
  try {
    decodeEvent(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError);
  }
}
