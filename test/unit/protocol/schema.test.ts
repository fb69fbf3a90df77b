import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvariantViolation } from '../../../protocol/assert.ts';
import {
  DecodeError,
  decodeWith,
  encodeWith,
  packBytes,
  unpackBytes,
} from '../../../protocol/codec.ts';
import { commandCodec } from '../../../protocol/commands.ts';
import { messageCodec } from '../../../protocol/envelope.ts';
import * as s from '../../../protocol/schema.ts';
import { histories } from '../../kit/kv-history.ts';

const sample = s.union({
  Named: [
    1,
    s.record({
      id: s.count,
      ratio: s.float,
      on: s.bool,
      text: s.str(8),
      key: s.latin1Str(8),
      data: s.bin(8),
      mode: s.oneOf('a', 'b'),
      maybe: s.nullable(s.str(4)),
      list: s.list(s.count, 3),
    }),
  ],
  Empty: [7, s.record({})],
});

const BOUNDS = { bytesMax: 1 << 20, itemsMax: 4096, depthMax: 24 };

const named = fc.record({
  type: fc.constant('Named' as const),
  id: fc.maxSafeNat(),
  ratio: fc.double({ noNaN: true, noDefaultInfinity: true }),
  on: fc.boolean(),
  text: fc.string({ maxLength: 8 }),
  key: fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  data: fc.uint8Array({ maxLength: 8 }),
  mode: fc.constantFrom('a' as const, 'b' as const),
  maybe: fc.option(fc.string({ maxLength: 4 })),
  list: fc.array(fc.maxSafeNat(), { maxLength: 3 }),
});

describe('schema codecs', () => {
  it('unpack reverses pack', () => {
    fc.assert(
      fc.property(named, (value) => {
        expect(sample.unpack(sample.pack(value))).toEqual(value);
      }),
    );
    expect(sample.unpack(sample.pack({ type: 'Empty' }))).toEqual({ type: 'Empty' });
  });

  it('write gives the bytes of what pack gives', () => {
    fc.assert(
      fc.property(named, (value) => {
        expect(encodeWith(sample, value)).toEqual(packBytes(sample.pack(value)));
      }),
    );
    const empty = { type: 'Empty' as const };
    expect(encodeWith(sample, empty)).toEqual(packBytes(sample.pack(empty)));
  });

  it('write gives the same for commands, and for entries in a message', () => {
    fc.assert(
      fc.property(histories(20), ({ entries }) => {
        for (const { command } of entries) {
          if (command === null) continue;
          expect(encodeWith(commandCodec, command)).toEqual(packBytes(commandCodec.pack(command)));
        }
        const append = {
          ...{ type: 'AppendEntries' as const, term: 3, prevLogIndex: 0, prevLogTerm: 0 },
          ...{ leaderCommit: 0, nonce: 2 ** 40, entries: entries.map(({ entry }) => entry) },
        };
        expect(encodeWith(messageCodec, append)).toEqual(packBytes(messageCodec.pack(append)));
      }),
      { numRuns: 30 },
    );
  });

  it('read gives what unpack gives of a message, also of a longer or shorter one', () => {
    const newer = s.union({ Named: [1, s.record({ id: s.count, more: s.nullable(s.count) })] });
    fc.assert(
      fc.property(named, (value) => {
        const bytes = encodeWith(sample, value);
        expect(decodeWith(sample, bytes, BOUNDS)).toEqual(
          sample.unpack(unpackBytes(bytes, BOUNDS)),
        );
        const short = packBytes([1, [value.id], 'and more']);
        expect(decodeWith(newer, short, BOUNDS)).toEqual({
          type: 'Named',
          id: value.id,
          more: null,
        });
        const long = packBytes([1, [value.id, null, value.list, { a: [value.text] }]]);
        expect(decodeWith(newer, long, BOUNDS)).toEqual({
          type: 'Named',
          id: value.id,
          more: null,
        });
      }),
    );
  });

  it('read gives the same for commands, and for entries in a message', () => {
    fc.assert(
      fc.property(histories(20), ({ entries }) => {
        for (const { command } of entries) {
          if (command === null) continue;
          const bytes = encodeWith(commandCodec, command);
          const unpacked = commandCodec.unpack(unpackBytes(bytes, BOUNDS));
          expect(decodeWith(commandCodec, bytes, BOUNDS)).toEqual(unpacked);
        }
        const append = {
          ...{ type: 'AppendEntries' as const, term: 3, prevLogIndex: 0, prevLogTerm: 0 },
          ...{ leaderCommit: 0, nonce: 2 ** 40, entries: entries.map(({ entry }) => entry) },
        };
        const bytes = encodeWith(messageCodec, append);
        const unpacked = messageCodec.unpack(unpackBytes(bytes, BOUNDS));
        expect(decodeWith(messageCodec, bytes, BOUNDS)).toEqual(unpacked);
      }),
      { numRuns: 30 },
    );
  });

  it('read of damaged bytes takes what unpack takes, and throws DecodeError', () => {
    const outcome = (run: () => unknown): unknown => {
      try {
        return run();
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
        return 'refused';
      }
    };
    const damage = fc.array(fc.record({ at: fc.nat(60), byte: fc.nat(255) }), { maxLength: 3 });
    fc.assert(
      fc.property(named, damage, fc.nat(3), (value, changes, cut) => {
        const whole = Uint8Array.from(encodeWith(sample, value));
        for (const { at, byte } of changes) if (at < whole.length) whole[at] = byte;
        const bytes = whole.subarray(0, whole.length - cut);
        const read = outcome(() => decodeWith(sample, bytes, BOUNDS));
        expect(read).toEqual(outcome(() => sample.unpack(unpackBytes(bytes, BOUNDS))));
      }),
      { numRuns: 5_000 },
    );
  });

  it('unpack of anything gives a value or throws DecodeError', () => {
    fc.assert(
      fc.property(fc.anything({ withTypedArray: true }), fc.anything(), (raw, field) => {
        for (const input of [raw, [1, raw], [1, [1, 0.5, true, raw, field]], [raw, field]]) {
          try {
            sample.unpack(input);
          } catch (error) {
            expect(error).toBeInstanceOf(DecodeError);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('holds every bound', () => {
    const tooMuch: [s.Codec<unknown>, unknown][] = [
      [s.count, -1],
      [s.count, 0.5],
      [s.count, 2 ** 53],
      [s.count, '1'],
      [s.float, Number.NaN],
      [s.float, Number.POSITIVE_INFINITY],
      [s.bool, 1],
      [s.str(2), 'abc'],
      [s.latin1Str(2), new Uint8Array(3)],
      [s.latin1Str(2), 'ab'],
      [s.bin(2), new Uint8Array(3)],
      [s.oneOf('a', 'b'), 2],
      [s.oneOf('a', 'b'), 'a'],
      [s.list(s.count, 2), [1, 2, 3]],
      [s.record({ a: s.count }), []],
      [s.record({ a: s.count }), { a: 1 }],
    ];
    for (const [codec, raw] of tooMuch) expect(() => codec.unpack(raw)).toThrow(DecodeError);
  });

  it('an optional field at the end may be missing, so old senders stay readable', () => {
    const older = s.record({ a: s.count });
    const newer = s.record({ a: s.count, b: s.nullable(s.str(4)) });
    expect(newer.unpack(older.pack({ a: 1 }))).toEqual({ a: 1, b: null });
    expect(older.unpack(newer.pack({ a: 1, b: 'x' }))).toEqual({ a: 1 });
  });

  it('a record has its fields in order and nothing else, and its type first', () => {
    expect(Object.keys(sample.unpack([7, []]))).toEqual(['type']);
    const value = sample.unpack([
      1,
      [1, 1, true, '', new Uint8Array(0), new Uint8Array(0), 0].concat([
        null as never,
        [] as never,
      ]),
    ]);
    expect(Object.keys(value).slice(0, 3)).toEqual(['type', 'id', 'ratio']);
  });

  it('refuses schemas that cannot be: a tag used twice, a field that is no name', () => {
    const empty = s.record({});
    expect(() => s.union({ A: [1, empty], B: [1, empty] })).toThrow(InvariantViolation);
    expect(() => s.record({ 'a; process.exit(1)': s.count })).toThrow(InvariantViolation);
  });

  it('shape names everything that travels', () => {
    expect(sample.shape).toBe(
      'union(1=Named{id:count,ratio:float,on:bool,text:str8,key:latin1:8,data:bin8,mode:oneOf(a|b),maybe:str4?,list:[count]3};7=Empty{})',
    );
  });
});
