import { packBytes, unpackBytes } from '../../protocol/codec.ts';

/** Fields that go out with an answer and come back with a later request, as text that says nothing to people. */
export function packOpaque(fields: readonly unknown[]): string {
  return Buffer.from(packBytes(fields)).toString('base64url');
}

/** The fields again; null for text that is none of ours. */
export function unpackOpaque(text: string, count: number, bytesMax: number): unknown[] | null {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text) return null;
  try {
    const fields: unknown = unpackBytes(bytes, { bytesMax, itemsMax: count, depthMax: 1 });
    return Array.isArray(fields) && fields.length === count ? fields : null;
  } catch {
    return null;
  }
}
