/** Cuts a stream into pieces of `pieceBytes`, the last one shorter; none where there are no bytes. */
export async function* piecesOf(
  source: AsyncIterable<Uint8Array>,
  pieceBytes: number,
): AsyncGenerator<Uint8Array, void> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for await (let part of source) {
    while (bytes + part.length >= pieceBytes) {
      const room = pieceBytes - bytes;
      parts.push(part.subarray(0, room));
      yield joined(parts, pieceBytes);
      parts = [];
      bytes = 0;
      part = part.subarray(room);
    }
    if (part.length > 0) parts.push(part);
    bytes += part.length;
  }
  if (bytes > 0) yield joined(parts, bytes);
}

/** Own bytes: what the source gave may be a small part of something larger, which would be kept with it. */
function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const piece = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  for (const part of parts) {
    piece.set(part, at);
    at += part.length;
  }
  return piece;
}
