import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AnswerReader, type HeaderPair } from '../../../../gateways/http/http1-answer.ts';

interface Seen {
  interim: number[];
  status: number | null;
  headers: readonly HeaderPair[];
  isWhole: boolean;
  body: string;
  ends: number;
}

/** Reads `text` in pieces of these lengths. */
function read(text: string, cuts: readonly number[] = [], isHeadOnly = false) {
  const seen: Seen = { interim: [], status: null, headers: [], isWhole: false, body: '', ends: 0 };
  const reader = new AnswerReader(
    {
      interim: (status) => seen.interim.push(status),
      head: (status, headers, isWhole) => Object.assign(seen, { status, headers, isWhole }),
      body: (piece) => {
        seen.body += piece.toString('latin1');
      },
      end: () => {
        seen.ends++;
      },
    },
    isHeadOnly,
  );
  let bytes = Buffer.from(text, 'latin1');
  for (const cut of cuts) {
    reader.push(bytes.subarray(0, cut));
    bytes = bytes.subarray(cut);
  }
  reader.push(bytes);
  return { seen, reader };
}

const chunked = (pieces: readonly string[]) =>
  `${pieces.map((one) => `${one.length.toString(16)}\r\n${one}\r\n`).join('')}0\r\n\r\n`;

describe('an answer of HTTP/1.1', () => {
  it('is read the same wherever it is cut', () => {
    const pieceArb = fc.string({
      minLength: 1,
      maxLength: 20,
      unit: fc.constantFrom('a', '\r', '\n', '0'),
    });
    const cutsArb = fc.array(fc.nat({ max: 30 }), { maxLength: 20 });
    fc.assert(
      fc.property(fc.array(pieceArb), fc.boolean(), cutsArb, (pieces, isChunked, cuts) => {
        const body = pieces.join('');
        const framing = isChunked ? 'Transfer-Encoding: chunked' : `content-length: ${body.length}`;
        const text = `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b:c\r\n${framing}\r\n\r\n`;
        const { seen, reader } = read(text + (isChunked ? chunked(pieces) : body), cuts);
        expect(reader.isDone).toBe(true);
        expect([seen.interim, seen.status, seen.body]).toEqual([[100], 200, body]);
        expect(seen.headers[0]).toEqual(['a', 'b:c']);
        expect(seen.ends).toBe(seen.isWhole ? 0 : 1);
      }),
    );
  });

  it('without a body says so, whatever its length would be', () => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n';
    expect(read(head, [], true).seen).toMatchObject({ status: 200, isWhole: true, ends: 0 });
    for (const status of [204, 304]) {
      const { seen, reader } = read(`HTTP/1.1 ${status} \r\n\r\n`);
      expect([seen.status, seen.isWhole, reader.isDone]).toEqual([status, true, true]);
    }
  });

  it('without a length goes to the end of the connection; one with a length is whole or it is not', () => {
    const open = read('HTTP/1.1 200 OK\r\n\r\nabc');
    expect([open.reader.isDone, open.reader.finish(), open.seen.body]).toEqual([
      false,
      true,
      'abc',
    ]);
    expect(open.seen.ends).toBe(1);
    for (const text of ['HTTP/1.1 200 OK\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc']) {
      expect(read(text).reader.finish()).toBe(false);
    }
  });

  it('that is none is not passed on', () => {
    for (const text of [
      'HTTP/2 200 OK\r\n\r\n',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n',
      'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab',
    ]) {
      expect(() => read(text)).toThrow();
    }
  });
});
