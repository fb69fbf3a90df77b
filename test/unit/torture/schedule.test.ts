import { expect, it } from 'vitest';
import { FAULT_KINDS, type Planned, schedule } from '../../torture/nemesis.ts';

function first(seed: number, count: number): string[] {
  const shown = ({ number, kind, lastsMs, random }: Planned) =>
    `${number} ${kind.name} ${lastsMs} ${random.next()}`;
  const faults: string[] = [];
  for (const planned of schedule(seed, FAULT_KINDS)) {
    faults.push(shown(planned));
    if (faults.length === count) break;
  }
  return faults;
}

it('a seed gives the same faults, in the same order, as long, with the same draws', () => {
  expect(first(7, 60)).toEqual(first(7, 60));
  expect(first(7, 60)).not.toEqual(first(8, 60));
});

it('every kind comes once before any comes again', () => {
  const kinds = first(3, FAULT_KINDS.length).map((line) => line.split(' ')[1]);
  expect(new Set(kinds)).toEqual(new Set(FAULT_KINDS.map(({ name }) => name)));
});

it('a fault lasts as long as its kind allows', () => {
  const byName = new Map(FAULT_KINDS.map((kind) => [kind.name, kind]));
  for (const line of first(5, 200)) {
    const [, name = '', lastsMs = ''] = line.split(' ');
    const [low, high] = byName.get(name)?.lastsMs ?? [1, 0];
    expect(Number(lastsMs)).toBeGreaterThanOrEqual(low);
    expect(Number(lastsMs)).toBeLessThanOrEqual(high);
  }
});
