import { CommandFailed } from '../failures.ts';

const LINE_BYTES_MAX = 8 * 1024 * 1024;
const NEWLINE = 10;

/**
 * Lines of a byte stream, without their LF or CR LF. A last line without a line end counts; nothing
 * after the last line end does not. Memory is bounded by one line and one chunk.
 */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start);
      const part = bytes.subarray(start, end < 0 ? bytes.length : end);
      size += part.length;
      if (size > LINE_BYTES_MAX)
        throw new CommandFailed(`a line is longer than ${LINE_BYTES_MAX} bytes`);
      if (part.length > 0) parts.push(part);
      if (end < 0) break;
      yield withoutReturn(parts);
      parts = [];
      size = 0;
      start = end + 1;
    }
  }
  if (parts.length > 0) yield withoutReturn(parts);
}

function withoutReturn(parts: readonly Buffer[]): Buffer {
  const line = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  return line.at(-1) === 13 ? line.subarray(0, -1) : line;
}
