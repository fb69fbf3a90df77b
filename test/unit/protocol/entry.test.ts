import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvariantViolation } from '../../../protocol/assert.ts';
import { DecodeError } from '../../../protocol/codec.ts';
import {
  ENTRY_HEADER_BYTES,
  ENTRY_KINDS,
  entryPayload,
  type LogEntry,
  makeEntry,
  packEntries,
  parseEntry,
  unpackEntries,
} from '../../../protocol/entry.ts';
import { LIMITS } from '../../../protocol/limits.ts';

const fields = fc.record({
  index: fc.maxSafeNat(),
  term: fc.maxSafeNat(),
  clockBound: fc.maxSafeNat(),
  kind: fc.constantFrom(...ENTRY_KINDS),
});
const payload = fc.uint8Array({ maxLength: 100 });
const same = (a: LogEntry, b: LogEntry): void => {
  expect({ ...a, bytes: Buffer.from(a.bytes) }).toEqual({ ...b, bytes: Buffer.from(b.bytes) });
};

describe('log entries', () => {
  it('parse reverses make', () => {
    fc.assert(
      fc.property(fields, payload, (values, bytes) => {
        const entry = makeEntry(values, bytes);
        same(parseEntry(entry.bytes), entry);
        expect(Buffer.from(entryPayload(entry))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('has a fixed header that never changes', () => {
    const entry = makeEntry(
      { index: 0x0102030405, term: 7, clockBound: 2 ** 53 - 1, kind: 'command' },
      Buffer.from('payload'),
    );
    expect(Buffer.from(entry.bytes).toString('hex')).toBe(
      `0000000102030405${'0000000000000007'}001fffffffffffff02${Buffer.from('payload').toString('hex')}`,
    );
  });

  it('entries travel as views on one blob', () => {
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 20 }), (payloads) => {
        const entries = payloads.map((bytes, i) =>
          makeEntry({ index: i + 5, term: 3, clockBound: i, kind: 'command' }, bytes),
        );
        const blob = packEntries(entries);
        const unpacked = unpackEntries(blob);
        expect(unpacked.length).toBe(entries.length);
        for (const [i, entry] of unpacked.entries()) {
          same(entry, entries[i] as LogEntry);
          expect(entry.bytes.buffer).toBe(blob.buffer);
        }
      }),
    );
  });

  it('any bytes give entries or DecodeError, also any damage to good ones', () => {
    const tolerant = (bytes: Uint8Array): void => {
      try {
        unpackEntries(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), tolerant), { numRuns: 1_000 });
    const good = packEntries([1, 2, 3].map((index) => noop(index, 1)));
    for (let cut = 0; cut < good.length; cut++) tolerant(good.subarray(0, cut));
    for (let at = 0; at < good.length; at++) {
      const damaged = Uint8Array.from(good);
      damaged[at] = (damaged[at] ?? 0) ^ 0xff;
      tolerant(damaged);
    }
  });

  it('refuses gaps, falling terms, unknown kinds, cut headers and counts beyond 2^53', () => {
    const bad = [
      packEntries([noop(1, 1), noop(3, 1)]),
      packEntries([noop(1, 2), noop(2, 1)]),
      packEntries([noop(1, 1)]).subarray(0, 20),
    ];
    for (const blob of bad) expect(() => unpackEntries(blob)).toThrow(DecodeError);
    const bytes = Uint8Array.from(noop(1, 1).bytes);
    for (const [at, byte] of [
      [24, 3],
      [24, 255],
      [0, 0xff],
    ] as const) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = byte;
      expect(() => parseEntry(damaged)).toThrow(DecodeError);
    }
    expect(() => parseEntry(bytes.subarray(0, ENTRY_HEADER_BYTES - 1))).toThrow(DecodeError);
    const large = new Uint8Array(ENTRY_HEADER_BYTES + LIMITS.entryBytesMax + 1);
    expect(() => parseEntry(large)).toThrow(DecodeError);
  });

  it('makes no entry that could not be read', () => {
    const values = { index: 1, term: 1, clockBound: 0, kind: 'noop' as const };
    const none = new Uint8Array(0);
    expect(() => makeEntry({ ...values, index: 2 ** 53 }, none)).toThrow(InvariantViolation);
    expect(() => makeEntry({ ...values, term: -1 }, none)).toThrow(InvariantViolation);
    expect(() => makeEntry(values, new Uint8Array(LIMITS.entryBytesMax + 1))).toThrow(
      InvariantViolation,
    );
  });
});

function noop(index: number, term: number): LogEntry {
  return makeEntry({ index, term, clockBound: 0, kind: 'noop' }, new Uint8Array(0));
}
