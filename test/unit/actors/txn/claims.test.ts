import { describe, expect, it } from 'vitest';
import { groupIndexes } from '../../../../actors/apply/index-codec.ts';
import { reservationRef } from '../../../../actors/apply/reservations.ts';
import { initialShardMap } from '../../../../actors/router/shard-map.ts';
import { withClaims } from '../../../../actors/txn/claims.ts';
import { afterRefusal } from '../../../../actors/txn/refusals.ts';
import { splitTxn } from '../../../../actors/txn/split.ts';
import { encodeString } from '../../../../protocol/index-encoding.ts';
import type { IndexDefinition } from '../../../../protocol/indexes.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { TxnBody, TxnOp } from '../../../../protocol/txn.ts';
import { tripleOf } from '../../../../storage/kv/keyspace.ts';
import { ref } from '../../../kit/applied-group.ts';

const MAIL: IndexDefinition = {
  ...{ id: 7, name: 'mail', tenant: 't1', space: 'kv', prefix: 'u/', kind: 'fields' },
  ...{ fields: [{ path: '/m', steps: ['m'], type: 'string' }], sparse: false, unique: true },
};
const INDEXES = groupIndexes(3, [
  {
    ...{ definition: MAIL, definedAt: 1, cursor: null, keys: 0, since: 1, text: null, epoch: 3 },
  },
]);
const put = (key: string, m: unknown): TxnOp => ({
  ...{ type: 'put', ref: ref(key), value: Buffer.from(JSON.stringify({ m })) },
  ...{ contentType: null, ttlMs: null },
});
const body = (...then: TxnOp[]): TxnBody => ({ compares: [], then, otherwise: null });
const reservation = (m: string) => reservationRef(7, encodeString(m));
const claiming = (one: TxnBody, takeovers = new Map()): TxnBody => {
  const found = withClaims(INDEXES, one, takeovers);
  if (!('compares' in found)) throw new Error('it has no claims');
  return found;
};

describe('claims', () => {
  it('are there for each value of each covered put, behind what the client asked for', () => {
    const { then } = claiming(body(put('u/1', ['a', 'b']), put('v/1', 'c'), put('u/2', null)));
    expect(then.map(({ type }) => type)).toEqual(['put', 'put', 'put', 'claim', 'claim']);
    expect(then[3]).toEqual({ type: 'claim', ref: reservation('a'), holder: 'u/1', over: null });
  });

  it('of one value by two keys are a clash; too many are a limit', () => {
    expect(withClaims(INDEXES, body(put('u/1', 'a'), put('u/2', 'a')), new Map())).toEqual({
      key: 'u/2',
      duplicate: { index: 'mail', encoded: encodeString('a'), holder: 'u/1' },
    });
    const many = Array.from({ length: LIMITS.uniqueClaimsPerKeyMax + 1 }, (_, i) => `m${i}`);
    expect(withClaims(INDEXES, body(put('u/1', many)), new Map())).toEqual({
      limit: 'uniqueClaimsPerKeyMax',
    });
    const long = Array.from({ length: 60 }, (_, i) => `${i}`.padEnd(250, 'x'));
    expect(
      withClaims(
        INDEXES,
        body(
          put('u/1', long),
          put(
            'u/2',
            long.map((m) => `y${m}`),
          ),
          put(
            'u/3',
            long.map((m) => `z${m}`),
          ),
        ),
        new Map(),
      ),
    ).toEqual({ limit: 'uniqueClaimBytesMax' });
  });

  it('over a holder hold it as it was seen', () => {
    const name = tripleOf(reservation('a'));
    const seen = new Map([[name, { holder: 'u/9', revision: 5 }]]);
    expect(claiming(body(put('u/1', 'a')), seen).then.slice(1)).toEqual([
      { type: 'claim', ref: reservation('a'), holder: 'u/1', over: 'u/9' },
      { type: 'expect', ref: ref('u/9'), condition: { type: 'revision', revision: 5 }, owed: null },
    ]);
    const absent = new Map([[name, { holder: 'u/9', revision: 0 }]]);
    expect(claiming(body(put('u/1', 'a')), absent).then[2]).toMatchObject({
      condition: { type: 'absent' },
    });
  });

  it('over one holder that was seen twice, and had changed, hold it as it was both times', () => {
    const seen = new Map([
      [tripleOf(reservation('a')), { holder: 'u/9', revision: 5 }],
      [tripleOf(reservation('b')), { holder: 'u/9', revision: 6 }],
    ]);
    const { then } = claiming(body(put('u/1', ['a', 'b'])), seen);
    const expected = then.flatMap((op) => (op.type === 'expect' ? [op.condition] : []));
    expect(expected).toEqual([
      { type: 'revision', revision: 5 },
      { type: 'revision', revision: 6 },
    ]);
  });

  it('over a holder that the transaction itself takes the value from are so in that branch alone', () => {
    const own = new Map([[tripleOf(reservation('a')), { holder: 'u/9', revision: null }]]);
    const gone: TxnOp = { type: 'delete', ref: ref('u/9') };
    const { then, otherwise } = claiming(
      { compares: [], then: [gone, put('u/1', 'a')], otherwise: [put('u/1', 'a')] },
      own,
    );
    expect(then.slice(2)).toEqual([
      { type: 'claim', ref: reservation('a'), holder: 'u/1', over: 'u/9' },
    ]);
    expect(otherwise?.slice(1)).toEqual([
      { type: 'claim', ref: reservation('a'), holder: 'u/1', over: null },
    ]);
  });

  it('that the builder brings take over as well', () => {
    const claim: TxnOp = { type: 'claim', ref: reservation('a'), holder: 'u/1', over: null };
    const seen = new Map([[tripleOf(reservation('a')), { holder: 'u/9', revision: 0 }]]);
    expect(claiming(body(claim), seen).then).toEqual([
      { ...claim, over: 'u/9' },
      { type: 'expect', ref: ref('u/9'), condition: { type: 'absent' }, owed: null },
    ]);
  });
});

describe('a refusal', () => {
  const map = initialShardMap(1);
  const step = (asked: TxnBody, at: number, holder: string | null, takeovers = new Map()) => {
    const whole = claiming(asked, takeovers);
    const refusal = { group: map.groups[0]!, at, revision: 4, holder, object: null };
    const parts = splitTxn(whole, map);
    return afterRefusal(INDEXES, asked, whole, parts, {
      type: 'refused',
      succeeded: true,
      refusal,
    });
  };

  it('of a claim asks what the holder has', () => {
    expect(step(body(put('u/1', 'a')), 1, 'u/2')).toMatchObject({
      ...{ type: 'look', holder: ref('u/2'), reservation: tripleOf(reservation('a')) },
      clash: { key: 'u/1', duplicate: { index: 'mail', holder: 'u/2' } },
    });
  });

  it('of a claim takes over from a key that the same branch writes or removes', () => {
    const over = { type: 'takeOver', holder: 'u/2' };
    expect(step(body(put('u/1', 'a'), put('u/2', 'b')), 2, 'u/2')).toMatchObject(over);
    expect(
      step(body({ type: 'delete', ref: ref('u/2') }, put('u/1', 'a')), 2, 'u/2'),
    ).toMatchObject(over);
    const all: TxnOp = { type: 'deleteRange', tenant: 't1', space: 'kv', start: 'u/2', end: null };
    expect(step(body(all, put('u/1', 'a')), 2, 'u/2')).toMatchObject(over);
    expect(step(body(all, put('u/1', 'a')), 2, 'u/1x')).toMatchObject({ type: 'look' });
  });

  it('of an expectation is told when it was asked for, else everything is looked at again', () => {
    const expect5: TxnOp = {
      ...{
        type: 'expect',
        ref: ref('u/1'),
        condition: { type: 'revision', revision: 5 },
        owed: null,
      },
    };
    expect(step(body(expect5, put('u/1', 'a')), 0, null)).toEqual({
      type: 'tell',
      refusal: { type: 'operation', at: 0, revision: 4 },
    });
    const seen = new Map([[tripleOf(reservation('a')), { holder: 'u/9', revision: 5 }]]);
    expect(step(body(put('u/1', 'a')), 2, null, seen)).toEqual({ type: 'again' });
  });
});
