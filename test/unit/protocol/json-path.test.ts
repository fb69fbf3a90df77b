import { describe, expect, it } from 'vitest';
import { parsePath } from '../../../protocol/json-path.ts';

describe('a path into a value', () => {
  it('is a JSON Pointer', () => {
    expect(parsePath('')).toEqual([]);
    expect(parsePath('/a/0/b~1c~0d')).toEqual(['a', '0', 'b/c~d']);
    expect(parsePath('/')).toEqual(['']);
    expect(parsePath('/*')).toEqual(['*']);
  });

  it('or a JSONPath of names, indexes and wildcards', () => {
    expect(parsePath('$')).toEqual([]);
    expect(parsePath('$.a[*].b')).toEqual(['a', null, 'b']);
    expect(parsePath('$[\'a b\']["c"][2].*')).toEqual(['a b', 'c', '2', null]);
    expect(parsePath("$['it\\'s']")).toEqual(["it's"]);
  });

  it('and nothing else', () => {
    for (const path of [
      'a',
      '$a',
      '$..a',
      '$.a[?(@.b)]',
      '$.a[1:2]',
      '/a~2',
      `/${'a/'.repeat(20)}`,
    ]) {
      expect(() => parsePath(path), path).toThrow(/path/);
    }
  });
});
