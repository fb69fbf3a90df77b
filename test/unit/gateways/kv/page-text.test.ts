import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { itemText, pageText } from '../../../../gateways/kv/page-text.ts';
import { itemToJson, pageToJson } from '../../../../gateways/kv/shapes.ts';
import { latin1, utf8 } from '../../../../protocol/bytes.ts';
import type { Item } from '../../../../protocol/messages/request.ts';

const text = fc.string({ unit: 'binary', maxLength: 12 });
const bytes = fc.oneof(text.map(utf8), fc.uint8Array({ maxLength: 12 }));
const revision = fc.oneof(
  fc.integer({ min: 1, max: 2_000 }),
  fc.integer({ min: 999_999_990, max: 1_000_000_010 }),
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
);
const key = fc.oneof(
  fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 12 }),
  bytes.map(latin1),
);
const item: fc.Arbitrary<Item> = fc.record({
  ref: key.map((name) => ({ tenant: 't1', space: 'kv', key: name })),
  value: bytes,
  revision,
  createRevision: revision,
  version: fc.integer({ min: 1, max: 1_000_000 }),
  contentType: fc.oneof(fc.constant(null), fc.constant('text/plain; charset="x"'), text),
  expiresAtMs: fc.oneof(
    { weight: 3, arbitrary: fc.constant(null) },
    fc.constant(1_795_000_000_123),
  ),
  lease: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.constant(77)),
});

describe('the text of a page', () => {
  it('is that of its shape, whatever keys, values and types hold', () => {
    fc.assert(
      fc.property(item, fc.boolean(), (one, values) => {
        expect(itemText(one, values)).toBe(JSON.stringify(itemToJson(one, { values })));
      }),
      { numRuns: 1_000 },
    );
  });

  it('has its cursor and what is said of its limit', () => {
    const cursors = fc.oneof(fc.constant(null), fc.string());
    const limits = fc.constantFrom({}, { limit: 1000 });
    fc.assert(
      fc.property(fc.array(item, { maxLength: 5 }), cursors, limits, (items, cursor, lowered) => {
        const shown = { page: { items, revision: 5, next: null }, cursor, lowered };
        expect(pageText(shown, true)).toBe(JSON.stringify(pageToJson(shown, { values: true })));
      }),
    );
  });
});
