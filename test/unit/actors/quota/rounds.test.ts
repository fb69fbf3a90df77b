import { describe, expect, it } from 'vitest';
import { encodeQuotaRow } from '../../../../actors/quota/quota-row.ts';
import { QuotaRounds } from '../../../../actors/quota/rounds.ts';
import type { Calls } from '../../../../actors/router/calls.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';

const SCOPE = 'prefix:default/full/';
const GROUP = 1 as GroupId;

/** One group, whose share of three keys is used up. */
function full() {
  const row = { scope: SCOPE, id: 'i', isSettled: true, writer: 'w' };
  const json = encodeQuotaRow({ ...row, quota: { bytes: null, keys: 3, objects: null } });
  const used = [30, 3, 0];
  const share = { round: 5, allowed: [null, 3, null], used, isCounted: true };
  const seen = { looks: 0, reads: 0, onLook: () => {} };
  const call = async (_group: GroupId, { type }: { readonly type: string }) => {
    if (type === 'MetaCheck') {
      seen.reads++;
      return { changed: [{ name: SCOPE, json, revision: 5 }] };
    }
    expect(type).toBe('QuotaLook');
    seen.looks++;
    seen.onLook();
    return { share: { ...share, used: [...used] } };
  };
  const calls = { call } as unknown as Calls;
  const parts = { calls, clock: REAL_CLOCK, random: seededRandom(1, 'rounds') };
  const rounds = new QuotaRounds({ ...parts, groups: () => [GROUP] });
  const obtain = (keys: number, clip = false) =>
    rounds.obtain(SCOPE, { group: GROUP, growth: [10, keys, 0] }, clip, 5_000, () => {});
  return { obtain, seen };
}

describe('many who want room at once in a quota that is full', () => {
  it('are refused by one look, which began when they were there', async () => {
    const { obtain, seen } = full();
    const ends = await Promise.all(Array.from({ length: 200 }, () => obtain(1)));
    expect(new Set(ends)).toEqual(new Set(['none']));
    expect(seen).toMatchObject({ reads: 1, looks: 1 });
  });

  it('look themselves where they came later, want less, or take what there is', async () => {
    const { obtain, seen } = full();
    let late: Promise<string> | null = null;
    seen.onLook = () => {
      late ??= obtain(2);
    };
    const ends = await Promise.all([obtain(2), obtain(1), obtain(2, true), obtain(3)]);
    expect(ends).toEqual(['none', 'again', 'again', 'none']);
    expect(await late).toBe('again');
  });
});
