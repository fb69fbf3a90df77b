import { describe, expect, it } from 'vitest';
import { indexFromJson } from '../../../../gateways/kv/index-shapes.ts';

const fields = ['/a'];

describe('the name of an index', () => {
  it('is one that a URL can hold', () => {
    for (const name of ['a', 'by-tag', '...', '.a', 'a.', 'x'.repeat(64)]) {
      expect(indexFromJson({ name, fields }).name).toBe(name);
    }
    for (const name of ['.', '..', '', 'a/b', 'ä', 'x'.repeat(65), 7]) {
      expect(() => indexFromJson({ name, fields }), String(name)).toThrow('name must be');
    }
  });
});
