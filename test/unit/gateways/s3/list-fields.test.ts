import { describe, expect, it } from 'vitest';
import { booleanOf, listFieldsOf, numberOf, pageOf } from '../../../../gateways/s3/list-fields.ts';
import { codeOf } from '../../../kit/s3-error-code.ts';

const query = (fields: Record<string, string>) => new Map(Object.entries(fields));

describe('fields of listings', () => {
  it('have their defaults', () => {
    expect(listFieldsOf(query({}), 'max-keys')).toEqual({
      prefix: '',
      delimiter: null,
      isUrlEncoded: false,
      maxItems: 1000,
    });
    expect(
      listFieldsOf(
        query({ prefix: 'p/', delimiter: '/', 'encoding-type': 'url', 'max-uploads': '5' }),
        'max-uploads',
      ),
    ).toEqual({ prefix: 'p/', delimiter: '/', isUrlEncoded: true, maxItems: 5 });
    expect(listFieldsOf(query({ delimiter: '' }), 'max-keys').delimiter).toBeNull();
  });

  it('a page has at most a thousand items, and may have none', () => {
    const items = (text: string) => pageOf(query({ 'max-keys': text }), 'max-keys');
    expect(['0', '1', '1000', '1001', '2147483647', ''].map(items)).toEqual([
      0, 1, 1000, 1000, 1000, 1000,
    ]);
    for (const text of ['-1', '2147483648', '1.5', 'x', '1e3', ' 1', '9'.repeat(400)]) {
      expect(codeOf(() => items(text))).toBe('InvalidArgument');
    }
    expect(numberOf(query({ 'part-number-marker': '7' }), 'part-number-marker')).toBe(7);
    expect(numberOf(query({}), 'part-number-marker')).toBeNull();
  });

  it('other words than the known ones are refused', () => {
    expect(codeOf(() => listFieldsOf(query({ 'encoding-type': 'xml' }), 'max-keys'))).toBe(
      'InvalidArgument',
    );
    expect(['true', 'TRUE', 'false', ''].map((text) => booleanOf(query({ x: text }), 'x'))).toEqual(
      [true, true, false, false],
    );
    expect(codeOf(() => booleanOf(query({ x: 'yes' }), 'x'))).toBe('InvalidArgument');
  });
});
