import { expect, it } from 'vitest';
import { HashBook } from '../../torture/convergence.ts';

function told(group: number, appliedIndex: number, hash: string, replica = 'n1:a') {
  return { group, appliedIndex, hash, replica };
}

it('groups are level one by one, each when all nodes told one hash for one index', () => {
  const book = new HashBook(2);
  book.note(0, [told(0, 5, 'a'), told(1, 7, 'b')]);
  expect(book.missing(1)).toMatch(/group 0/);
  book.note(1, [told(0, 5, 'a'), told(1, 8, 'c')]);
  expect(book.missing(1)).toMatch(/group 1/);
  book.note(0, [told(0, 6, 'd'), told(1, 8, 'c')]);
  expect(book.missing(1)).toBe('');
  expect(book.divergence).toBeNull();
});

it('a group is level since all nodes were at the index of which they told one hash later', () => {
  const book = new HashBook(2);
  book.abreast(new Map([[0, 5]]), 100);
  book.abreast(new Map([[0, 5]]), 200);
  book.abreast(new Map([[0, 6]]), 300);
  book.note(0, [told(0, 6, 'a')]);
  book.note(1, [told(0, 6, 'a')]);
  expect(book.levelAt()).toBe(300);
});

it('a group whose nodes were never seen at one index together is level when its hashes are told', () => {
  const book = new HashBook(2);
  book.abreast(new Map([[0, 4]]), 100);
  const before = performance.now();
  book.note(0, [told(0, 5, 'a')]);
  book.note(1, [told(0, 5, 'a')]);
  expect(book.levelAt()).toBeGreaterThanOrEqual(before);
});

it('one node alone never makes a group level', () => {
  const book = new HashBook(2);
  book.note(0, [told(0, 5, 'a')]);
  book.note(0, [told(0, 5, 'a')]);
  expect(book.missing(0)).not.toBe('');
});

it('B17 two hashes at one index are a divergence', () => {
  const book = new HashBook(2);
  book.note(0, [told(1, 7, 'b')]);
  book.note(1, [told(1, 7, 'x', 'n2:b')]);
  expect(book.divergence).toBe('group 1 at 7: n2:b has x, n1:a b');
});
