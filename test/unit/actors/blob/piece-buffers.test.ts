import { describe, expect, it } from 'vitest';
import { PieceBuffers } from '../../../../actors/blob/piece-buffers.ts';
import { CACHED_PIECES, piecesOf } from '../../../../actors/blob/pieces.ts';
import { isPageAligned, PAGE_BYTES } from '../../../../protocol/page-aligned.ts';

const PIECE_BYTES = 1_000;

describe('buffers of pieces', () => {
  it('are used again, each by one at a time', () => {
    const buffers = new PieceBuffers(PIECE_BYTES);
    const [first, second] = [buffers.take(false), buffers.take(false)];
    expect(first).not.toBe(second);
    buffers.give(first);
    expect(() => buffers.give(first)).toThrow('given back once');
    expect(buffers.take(false)).toBe(first);
    expect(buffers.take(false)).not.toBe(first);
  });

  it('are whole: a shorter piece, or a part of something larger, is left alone', () => {
    const buffers = new PieceBuffers(PIECE_BYTES);
    const short = new Uint8Array(PIECE_BYTES - 1);
    const part = new Uint8Array(2 * PIECE_BYTES).subarray(0, PIECE_BYTES);
    buffers.give(short);
    buffers.give(part);
    const taken = buffers.take(false);
    expect(taken.length).toBe(PIECE_BYTES);
    expect(taken.buffer).not.toBe(part.buffer);
  });

  it('a stream is cut into them, and only into those that were given back', async () => {
    const buffers = new PieceBuffers(PIECE_BYTES);
    const source = async function* (): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 10; i++) yield new Uint8Array(450).fill(i);
    };
    const held: Uint8Array[] = [];
    for await (const piece of piecesOf(source(), buffers)) held.push(piece);
    expect(held.map(({ length }) => length)).toEqual([1_000, 1_000, 1_000, 1_000, 500]);
    const bytes = Buffer.concat(held);
    for (let i = 0; i < bytes.length; i++) expect(bytes[i]).toBe(Math.floor(i / 450));
  });

  it('of a stream are aligned behind its front; both kinds come back', async () => {
    const buffers = new PieceBuffers(PAGE_BYTES);
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array((CACHED_PIECES + 2) * PAGE_BYTES);
    };
    const aligned: boolean[] = [];
    const held: Uint8Array[] = [];
    for await (const piece of piecesOf(source(), buffers)) {
      aligned.push(isPageAligned(piece));
      held.push(piece);
    }
    expect(aligned).toEqual([...Array(CACHED_PIECES).fill(false), true, true]);
    for (const piece of held) buffers.give(piece);
    expect(isPageAligned(buffers.take(true))).toBe(true);
    expect(held).toContain(buffers.take(true));
    expect(held).toContain(buffers.take(false));
  });
});
