import { describe, expect, it } from 'vitest';
import { boundsOf } from '../../../../actors/router/index-bounds.ts';
import type { IndexConditions } from '../../../../protocol/index-access.ts';
import { encodeNumber, encodeString, NULL_COMPONENT } from '../../../../protocol/index-encoding.ts';
import { definitionOf } from '../../../kit/index-history.ts';

const NONE: IndexConditions = { eq: null, gt: null, gte: null, lt: null, lte: null, prefix: null };
const index = definitionOf(1, [
  ['/name', 'string'],
  ['/size', 'number'],
]);

/** Which of some entries are inside. */
function inside(conditions: Partial<IndexConditions>): string[] {
  const { start, end } = boundsOf(index, { ...NONE, ...conditions });
  const entries: [string, string][] = [];
  for (const name of [null, '', 'a', 'ab', 'b']) {
    for (const size of [null, -1, 2, 10]) {
      const first = name === null ? NULL_COMPONENT : encodeString(name);
      const second = size === null ? NULL_COMPONENT : encodeNumber(size);
      entries.push([`${name}/${size}`, first + second]);
    }
  }
  return entries.filter(([, entry]) => entry >= start && entry < end).map(([name]) => name);
}

describe('conditions as a range of entries', () => {
  it('without any, everything; with a value of the first field, all that has it', () => {
    expect(inside({})).toHaveLength(20);
    expect(inside({ eq: 'a' })).toEqual(['a/null', 'a/-1', 'a/2', 'a/10']);
    expect(inside({ eq: '[null]' })).toEqual(['null/null', 'null/-1', 'null/2', 'null/10']);
    expect(inside({ eq: '["a", 2]' })).toEqual(['a/2']);
    expect(inside({ eq: '["a", null]' })).toEqual(['a/null']);
    expect(inside({ eq: '[]' })).toHaveLength(20);
  });

  it('a range and a prefix are about the next field, without null', () => {
    expect(inside({ gt: 'a' })).toEqual(['ab', 'b'].flatMap((n) => rows(n)));
    expect(inside({ gte: 'a', lt: 'b' })).toEqual(['a', 'ab'].flatMap((n) => rows(n)));
    expect(inside({ lte: 'a' })).toEqual(['', 'a'].flatMap((n) => rows(n)));
    expect(inside({ prefix: 'a' })).toEqual(['a', 'ab'].flatMap((n) => rows(n)));
    expect(inside({ eq: 'b', gt: '-1' })).toEqual(['b/2', 'b/10']);
    expect(inside({ eq: 'b', lte: '2' })).toEqual(['b/-1', 'b/2']);
    expect(inside({ gt: 'b', lt: 'a' })).toEqual([]);
  });

  it('what makes no sense is refused', () => {
    for (const conditions of [
      ...[{ eq: '["a", 2, 3]' }, { eq: '["a"' }, { eq: '[1]' }, { gt: 'a', gte: 'b' }],
      ...[
        { lt: 'a', lte: 'b' },
        { prefix: 'a', gt: 'b' },
        { eq: 'a', prefix: 'b' },
      ],
      ...[
        { eq: 'a', gt: '0x10' },
        { eq: '["a", 1]', gt: '1' },
      ],
    ]) {
      expect(
        () => boundsOf(index, { ...NONE, ...conditions }),
        JSON.stringify(conditions),
      ).toThrow();
    }
    expect(() => boundsOf(index, { ...NONE, eq: 'x'.repeat(257) })).toThrow(/indexValueBytesMax/);
  });
});

function rows(name: string): string[] {
  return ['null', '-1', '2', '10'].map((size) => `${name}/${size}`);
}
