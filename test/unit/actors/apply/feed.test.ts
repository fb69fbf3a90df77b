import { describe, expect, test } from 'vitest';
import { readFeed } from '../../../../actors/apply/feed.ts';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { positionAfter, positionOf } from '../../../../actors/apply/position.ts';
import type { ChangeEvent, Position } from '../../../../protocol/messages/request.ts';
import { AppliedGroup, del, put } from '../../../kit/applied-group.ts';

interface Page {
  readonly after: Position;
  readonly closed: number;
  readonly limit: number;
  readonly bytesMax: number;
  readonly prev: boolean;
}

async function feed(
  group: AppliedGroup,
  page: Partial<Page>,
): Promise<ChangeEvent[] | 'compacted'> {
  const view = group.state.view();
  const { after, closed, limit, bytesMax, prev }: Page = {
    ...{ after: positionAfter(0), closed: group.state.clock, limit: 100 },
    ...{ bytesMax: 1 << 20, prev: true, ...page },
  };
  try {
    return await readFeed(view, after, closed, limit, bytesMax, prev);
  } finally {
    await view.close();
  }
}

function fourEvents(): [AppliedGroup, ChangeEvent[]] {
  const group = new AppliedGroup();
  const events = [
    ...group.write([put('a', '1'), put('b', 'x'.repeat(1000))]).events,
    ...group.write([put('a', '2'), del('b')]).events,
  ];
  return [group, events];
}

describe('the feed', () => {
  test('B19 watch: page after page from each last position, every event once, in order', async () => {
    const [group, events] = fourEvents();
    for (const limit of [1, 2, 3, 4]) {
      const seen: ChangeEvent[] = [];
      let after = positionAfter(0);
      for (;;) {
        const page = await feed(group, { after, limit });
        if (page === 'compacted' || page.length === 0) break;
        seen.push(...page);
        after = positionOf(page.at(-1) as ChangeEvent);
      }
      expect(seen.map((e) => [e.kind, e.sequence, e.revision, e.prevRevision])).toEqual(
        events.map((e) => [e.kind, e.sequence, e.revision, e.prevRevision]),
      );
      expect(seen.map((e) => e.prev?.value.toString())).toEqual(
        events.map((e) => e.prev?.value.toString()),
      );
    }
  });

  test('nothing above the closed revision is shown', async () => {
    const [group, events] = fourEvents();
    const closed = events[1]?.revision as number;
    expect(await feed(group, { closed })).toHaveLength(2);
    expect(await feed(group, { closed: closed - 1 })).toHaveLength(1);
    expect(await feed(group, { closed: 0 })).toEqual([]);
    expect(await feed(group, { after: positionAfter(closed), closed })).toEqual([]);
  });

  test('a page ends before the event that passes its bytes, but its first event always fits', async () => {
    const [group] = fourEvents();
    expect(await feed(group, { bytesMax: 1 })).toHaveLength(1);
    expect(await feed(group, { bytesMax: 600 })).toHaveLength(1);
    const page = await feed(group, { prev: false, bytesMax: 3000 });
    expect(page).toHaveLength(4);
    expect((page as ChangeEvent[]).every((event) => event.prev === null)).toBe(true);
  });

  test('B19 watch: a resume point below the floor is told compacted, at the floor it goes on', async () => {
    const [group, events] = fourEvents();
    const floor = events[2]?.revision as number;
    group.compact(floor);
    for (const collected of [false, true]) {
      if (collected) while ((await gcStep(group.state, 10)) > 0);
      expect(await feed(group, { after: positionAfter(floor - 1) })).toBe('compacted');
      expect(await feed(group, { after: positionOf(events[1] as ChangeEvent) })).toBe('compacted');
      const whole = await feed(group, { after: { revision: floor, vshard: 0, triple: '' } });
      expect(whole).toHaveLength(2);
      expect((whole as ChangeEvent[])[0]?.prev?.revision).toBe(events[0]?.revision);
      expect(await feed(group, { after: positionAfter(floor) })).toHaveLength(1);
    }
  });
});
