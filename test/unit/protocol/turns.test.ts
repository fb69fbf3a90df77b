import { describe, expect, it } from 'vitest';
import { Turns } from '../../../protocol/turns.ts';

describe('turns', () => {
  it('run so many at once, in order, and go on behind one that fails', async () => {
    const turns = new Turns(2, null);
    const begun: number[] = [];
    const ends: ((isGood: boolean) => void)[] = [];
    const work = (n: number) =>
      turns.run(
        () =>
          new Promise<number>((resolved, rejected) => {
            begun.push(n);
            ends[n] = (isGood) => (isGood ? resolved(n) : rejected(new Error(`${n} failed`)));
          }),
      );
    const all = [0, 1, 2, 3].map(work);
    expect(begun).toEqual([0, 1]);
    const failed = expect(all[1]).rejects.toThrow('1 failed');
    ends[1]?.(false);
    await failed;
    expect(begun).toEqual([0, 1, 2]);
    ends[0]?.(true);
    expect(await all[0]).toBe(0);
    const late = work(4);
    expect(begun).toEqual([0, 1, 2, 3]);
    for (const n of [2, 3]) ends[n]?.(true);
    expect(await Promise.all([all[2], all[3]])).toEqual([2, 3]);
    ends[4]?.(true);
    expect(await late).toBe(4);
  });

  it('whoever comes when enough wait is refused, and takes no place', async () => {
    const turns = new Turns(1, { waitingMax: 1, refused: () => new Error('too many') });
    let end = (): void => {};
    const first = turns.run(() => new Promise<void>((resolved) => (end = resolved)));
    const second = turns.run(async () => 2);
    let hasBegun = false;
    const third = turns.run(async () => {
      hasBegun = true;
    });
    await expect(third).rejects.toThrow('too many');
    end();
    expect(await first).toBe(undefined);
    expect(await second).toBe(2);
    expect(hasBegun).toBe(false);
    expect(await turns.run(async () => 4)).toBe(4);
  });
});
