import type { PieceBuffers } from './piece-buffers.ts';

/**
 * Pieces at the front that stay in the page cache: smaller objects are read more often, and what they cost is the wait
 * for the disk, not the copy.
 */
export const CACHED_PIECES = 4;

/** Cuts a stream into pieces of one size, the last one shorter; none where there are no bytes. */
export async function* piecesOf(
  source: AsyncIterable<Uint8Array>,
  buffers: PieceBuffers,
): AsyncGenerator<Uint8Array, void> {
  const { pieceBytes } = buffers;
  let parts: Uint8Array[] = [];
  let bytes = 0;
  let count = 0;
  for await (let part of source) {
    while (bytes + part.length >= pieceBytes) {
      const room = pieceBytes - bytes;
      parts.push(part.subarray(0, room));
      yield joined(parts, buffers.take(count++ >= CACHED_PIECES));
      parts = [];
      bytes = 0;
      part = part.subarray(room);
    }
    if (part.length > 0) parts.push(part);
    bytes += part.length;
  }
  if (bytes > 0) yield joined(parts, Buffer.allocUnsafeSlow(bytes));
}

/** Own bytes: what the source gave may be a small part of something larger, which would be kept with it. */
function joined(parts: readonly Uint8Array[], piece: Uint8Array): Uint8Array {
  let at = 0;
  for (const part of parts) {
    piece.set(part, at);
    at += part.length;
  }
  return piece;
}
