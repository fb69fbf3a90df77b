import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Answer } from '../../../../gateways/http/answer.ts';
import { decimal } from '../../../../gateways/http/decimal.ts';
import { HttpDates } from '../../../../gateways/http/http-date.ts';
import { itemAnswer, writtenText } from '../../../../gateways/kv/key-answers.ts';
import { writeResultToJson } from '../../../../gateways/kv/shapes.ts';

it('the text of a write is its shape as JSON, whatever the key', () => {
  const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
  const key = fc
    .uint8Array({ minLength: 1, maxLength: 12 })
    .map((bytes) => Buffer.from(bytes).toString('latin1'));
  const plain = fc.stringMatching(/^[ -~]{1,12}$/);
  fc.assert(
    fc.property(fc.oneof(key, plain), count, count, count, (name, revision, created, version) => {
      const result = { type: 'put', revision, createRevision: created, version } as const;
      expect(writtenText(name, result)).toBe(JSON.stringify(writeResultToJson(name, result)));
    }),
  );
});

it('a number is text as String has it', () => {
  const edges = [0, 999_999_999, 1e9, 1e9 + 1, 1e12, Number.MAX_SAFE_INTEGER].map(fc.constant);
  fc.assert(
    fc.property(fc.oneof(fc.maxSafeNat(), fc.nat(), ...edges), (n) => {
      expect(decimal(n)).toBe(String(n));
    }),
  );
});

it('an HTTP date is what toUTCString says, in any order of days', () => {
  const dates = new HttpDates();
  const wallMs = fc.integer({ min: 0, max: Date.UTC(2200, 0) });
  fc.assert(
    fc.property(wallMs, fc.boolean(), (ms, isNear) => {
      const asked = isNear ? Date.UTC(2026, 10, 22) + (ms % 172_800_000) : ms;
      expect(dates.text(asked)).toBe(new Date(asked).toUTCString());
    }),
  );
});

it('a content type that could break out of its header is not shown', () => {
  const ref = { tenant: 'default', space: 'kv', key: 'k' };
  const item = {
    ...{ ref, value: new Uint8Array(1), revision: 9, createRevision: 9, version: 1 },
    ...{ contentType: 'a/b\r\nset-cookie: x', expiresAtMs: null },
  };
  const { lines } = itemAnswer({}, item, new HttpDates()) as Answer;
  expect(lines).toContain('content-type: application/octet-stream\r\n');
  expect(lines).not.toContain('set-cookie');
});
