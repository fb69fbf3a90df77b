const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;

/** The caller's W3C traceparent where it is valid, else null: an invalid one is to be ignored. */
export function traceparentOf(header: unknown): string | null {
  const match = typeof header === 'string' && header.length <= 256 ? FORM.exec(header) : null;
  if (match === null) return null;
  const [whole, version, traceId, spanId, rest] = match;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null;
  if (/^0+$/.test(traceId ?? '') || /^0+$/.test(spanId ?? '')) return null;
  // What a later version appended is not ours to hand on.
  return whole.slice(0, 55);
}
