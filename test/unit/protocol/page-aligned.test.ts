import { expect, it } from 'vitest';
import { isPageAligned, PAGE_BYTES, pageAligned } from '../../../protocol/page-aligned.ts';

it('aligned memory is zeros, and aligned where it is whole pages from a page on', () => {
  const bytes = pageAligned(4 * PAGE_BYTES);
  expect(bytes.length).toBe(4 * PAGE_BYTES);
  expect(bytes.every((byte) => byte === 0)).toBe(true);
  const part = (start: number, end: number) => isPageAligned(bytes.subarray(start, end));
  expect(isPageAligned(bytes)).toBe(true);
  expect(part(PAGE_BYTES, 3 * PAGE_BYTES)).toBe(true);
  expect(part(512, PAGE_BYTES + 512)).toBe(false);
  expect(part(0, PAGE_BYTES + 512)).toBe(false);
  expect(isPageAligned(Buffer.allocUnsafeSlow(PAGE_BYTES))).toBe(false);
});
